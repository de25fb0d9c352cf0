//! `cargo lab status` and `cargo lab logs`.

use std::process::Stdio;

use anyhow::{Result, ensure};
use lab::paths::workspace_dir;

fn lab(arguments: &[&str]) -> Result<String> {
    let output = lab_tools::cargo()
        .arg("lab")
        .args(arguments)
        .current_dir(workspace_dir())
        .stdin(Stdio::null())
        .output()?;
    ensure!(
        output.status.success(),
        "`cargo lab {}` failed: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn lab_status_prints_addresses_and_lab_logs_prints_pod_logs() -> Result<()> {
    let status = lab(&["status"])?;
    for service in ["Prometheus ", "Alertmanager "] {
        let line = status.lines().find(|line| line.trim().starts_with(service));
        ensure!(line.is_some_and(|line| line.contains("http://")), "{status}");
    }
    // By the label `app.kubernetes.io/name`.
    let log = lab(&["logs", "prometheus", "--lines=500"])?;
    ensure!(log.contains("[pod/prometheus-"), "{log}");
    // By the prefix of their names.
    let log = lab(&["logs", "coredns", "--lines=5"])?;
    ensure!(log.contains("[pod/coredns-"), "{log}");
    Ok(())
}
