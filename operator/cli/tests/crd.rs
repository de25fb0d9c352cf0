//! `crds/observedapps.yaml` is what `observedapp crd` prints.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::Command;

#[test]
fn the_committed_crd_is_the_printed_one() {
    let output = Command::new(env!("CARGO_BIN_EXE_observedapp"))
        .arg("crd")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let printed = String::from_utf8(output.stdout).unwrap();

    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crds/observedapps.yaml");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&file, &printed).unwrap();
    }
    let committed = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        printed == committed,
        "the types have changed: run `UPDATE_GOLDEN=1 cargo test -p observedapp --test crd` and review crds/"
    );
}
