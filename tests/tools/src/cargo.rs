//! Starts cargo from a program that cargo has started.

use std::env;
use std::process::Command;

/// The cargo that started this program, else the one on `PATH`, without this package's variables.
#[must_use]
pub fn cargo() -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    without_package(&mut cargo);
    cargo
}

/// Removes the variables that `cargo run` and `cargo test` set for a program. Some build scripts depend on variables
/// with these names: with them set, cargo would rebuild everything that was built from a shell, and again in the next
/// shell.
pub fn without_package(command: &mut Command) {
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(is_package_variable) {
            command.env_remove(name);
        }
    }
}

fn is_package_variable(name: &str) -> bool {
    // The last one is set for test programs, to report durations; for a compiler, it causes a full rebuild.
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
        // Cargo sets them for this test, too.
        assert!(env::var_os("CARGO_MANIFEST_DIR").is_some());
        let seen = cargo();
        let seen: Vec<_> = seen.get_envs().collect();
        for name in ["CARGO_MANIFEST_DIR", "CARGO_PKG_NAME", "CARGO_PKG_VERSION_PRE"] {
            assert!(
                seen.contains(&(name.as_ref(), None)),
                "{name} is not removed: {seen:?}"
            );
        }
        assert!(
            !seen
                .iter()
                .any(|(name, _)| *name == "PATH" || *name == "CARGO_TARGET_DIR")
        );
    }
}
