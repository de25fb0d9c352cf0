//! kubeconform on every reviewed object.

use golden_tests::{Case, kubeconform};

#[test]
fn kubeconform_accepts_every_object() {
    let cases = Case::all().unwrap();
    kubeconform(cases.iter().map(|case| case.folder.join("objects")))
        .unwrap_or_else(|error| panic!("{error}"));
}
