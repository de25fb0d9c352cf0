//! Cargo, started by a program that cargo itself has started.

use std::env;
use std::process::Command;

/// The same cargo that started this program, or else the one on `PATH`; of this program's own package it learns nothing.
#[must_use]
pub fn cargo() -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    without_package(&mut cargo);
    cargo
}

/// Takes away what `cargo run` and `cargo test` tell a program about its package. Some build scripts ask cargo to run
/// them again when a variable of these names has changed, and one that was compiled from a shell has seen none of them:
/// with them, everything above such a crate would be compiled anew, and again from the next shell.
pub fn without_package(command: &mut Command) {
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(is_package_variable) {
            command.env_remove(name);
        }
    }
}

fn is_package_variable(name: &str) -> bool {
    // The last is for the programs of tests, that they tell their times; a compiler takes it for another set of flags.
    ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"]
        .iter()
        .any(|prefix| name.starts_with(prefix))
        || ["CARGO_CRATE_NAME", "CARGO_PRIMARY_PACKAGE", "RUSTC_BOOTSTRAP"].contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_is_started_without_our_packages_variables() {
        // Cargo has told this test what it tells every program that it runs.
        assert!(env::var_os("CARGO_MANIFEST_DIR").is_some());
        let seen = cargo();
        let seen: Vec<_> = seen.get_envs().collect();
        for name in ["CARGO_MANIFEST_DIR", "CARGO_PKG_NAME", "CARGO_PKG_VERSION_PRE"] {
            assert!(
                seen.contains(&(name.as_ref(), None)),
                "{name} is not taken away: {seen:?}"
            );
        }
        assert!(
            !seen
                .iter()
                .any(|(name, _)| *name == "PATH" || *name == "CARGO_TARGET_DIR")
        );
    }
}
