//! Every command that a document tells people to type is run by a test, or another test that exists does what it does.

#![allow(clippy::unwrap_used)]

use std::fs;

use golden_tests::commands::{Command, Proof, documented, proof, proofs_elsewhere, root};

#[test]
fn every_command_is_proven() {
    let commands = documented().unwrap();
    assert!(commands.len() > 40, "only {} commands were found", commands.len());
    let unproven: Vec<_> = commands
        .iter()
        .filter(|command| proof(command).is_none())
        .collect();
    assert!(
        unproven.is_empty(),
        "no test runs these; have one run them, or name it in tests/golden/src/commands.rs: {unproven:#?}"
    );
}

#[test]
fn every_proof_exists() {
    for (file, words) in proofs_elsewhere() {
        let text = fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(text.contains(words), "{file} does not hold {words}");
    }
}

#[test]
fn a_command_is_proven_whole_and_not_by_how_it_begins() {
    let of = |text: &str| {
        proof(&Command {
            document: "manifests/walkthroughs/another.md".to_owned(),
            text: text.to_owned(),
            in_sentence: false,
        })
    };
    assert!(matches!(of("cargo lab up"), Some(Proof::Elsewhere(..))));
    assert!(matches!(
        of("cargo lab up --cluster minikube"),
        Some(Proof::Unproven(_))
    ));
    assert_eq!(of("cargo lab up --cluster somewhere"), None);
}
