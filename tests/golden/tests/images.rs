//! The images' build context holds what cargo needs to compile in it.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::Command;

use golden_tests::commands::root;
use serde_json::Value;

/// Cargo compiles no member of a workspace of which another one is missing, or a part that its manifest names.
#[test]
fn every_member_of_the_workspace_is_whole_in_the_context() {
    let ignored = fs::read_to_string(root().join(".dockerignore")).unwrap();
    let let_in: Vec<&str> = ignored
        .lines()
        .filter_map(|line| line.strip_prefix('!'))
        .collect();
    let cargo = Command::new("cargo")
        .args(["metadata", "--no-deps", "--offline", "--format-version=1"])
        .current_dir(root())
        .output()
        .unwrap();
    let workspace: Value = serde_json::from_slice(&cargo.stdout).unwrap();
    let at = Path::new(workspace["workspace_root"].as_str().unwrap());
    let members = workspace["packages"].as_array().unwrap();
    assert!(members.len() > 10, "only {} members were found", members.len());
    for member in members {
        let manifest = Path::new(member["manifest_path"].as_str().unwrap());
        let folder = manifest.parent().unwrap().strip_prefix(at).unwrap();
        assert!(
            let_in.iter().any(|path| folder.starts_with(path)),
            ".dockerignore leaves out {}, or lets in only a part of it",
            folder.display()
        );
    }
}
