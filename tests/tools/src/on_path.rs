//! Programs on the user's `PATH`.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::tool::Recipe;

/// The program on `PATH`, if it has exactly the pinned version.
pub(crate) fn find(recipe: &Recipe) -> Option<PathBuf> {
    find_in(recipe, &env::var_os("PATH")?)
}

fn find_in(recipe: &Recipe, path: &OsStr) -> Option<PathBuf> {
    let version_args = recipe.version_args?;
    env::split_paths(path)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(recipe.name))
        .find(|program| program.is_file() && says_version(program, version_args, recipe.version))
}

fn says_version(program: &Path, args: &[&str], version: &str) -> bool {
    let Ok(output) = Command::new(program).args(args).stdin(Stdio::null()).output() else {
        return false;
    };
    // Some programs print their version to standard error.
    [&output.stdout, &output.stderr]
        .iter()
        .any(|text| names_version(&String::from_utf8_lossy(text), version))
}

/// Whether one of the words is this version: `v1.34.4` is 1.34.4, `1.34.40` and `1.34.4-rc.1` are not.
fn names_version(text: &str, version: &str) -> bool {
    text.split(|c: char| c.is_whitespace() || matches!(c, ',' | '(' | ')' | '"' | '\''))
        // Helm and others append the commit: v4.3.1+g1a2b3c.
        .filter_map(|word| word.split('+').next())
        .any(|word| word.strip_prefix('v').unwrap_or(word) == version)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::Tool;

    #[test]
    fn only_exactly_this_version_matches() {
        for text in [
            "Kubernetes v1.34.4",
            "etcd Version: 1.34.4\nGit SHA: Not provided",
            "promtool, version 1.34.4 (branch: , revision: unknown)",
            "v1.34.4+g1a2b3c",
        ] {
            assert!(names_version(text, "1.34.4"), "{text}");
        }
        for text in ["Kubernetes v1.34.40", "v1.34.4-rc.1", "v11.34.4", "go1.34.4", ""] {
            assert!(!names_version(text, "1.34.4"), "{text}");
        }
    }

    #[test]
    fn the_first_program_of_that_version_is_found() {
        let root = tempfile::tempdir().unwrap();
        let install = |folder: &str, version: &str| {
            let folder = root.path().join(folder);
            fs::create_dir_all(&folder).unwrap();
            let program = folder.join("etcd");
            fs::write(&program, format!("#!/bin/sh\necho etcd Version: {version}\n")).unwrap();
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
            folder
        };
        let older = install("older", "3.5.0");
        let right = install("right", Tool::Etcd.version());
        let etcd = Tool::Etcd.recipe();

        let path = env::join_paths([&older, &right]).unwrap();
        assert_eq!(find_in(&etcd, &path), Some(right.join("etcd")));
        assert_eq!(find_in(&etcd, older.as_os_str()), None);
    }

    #[test]
    fn programs_for_images_are_never_taken_from_path() {
        assert!(Tool::Coredns.recipe().version_args.is_none());
        assert_eq!(find(&Tool::Coredns.recipe()), None);
    }
}
