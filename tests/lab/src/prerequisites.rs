//! Checks and installs what the machine needs: Go, and Debian packages, in one list for the node and the tests. What
//! cannot be installed is reported with the command that installs it.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use tokio::process::Command;

use crate::command;

/// What a package is needed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// The embedded node, and the images on it
    Node,
    /// The tests that need no cluster
    UnitTests,
    /// The tests on any node
    NodeTests,
}

/// A Debian package.
struct Package {
    name: &'static str,
    /// Programs, or paths with at most one `*`; one of them shows that the package is installed.
    proofs: &'static [&'static str],
    used_by: Use,
}

const PACKAGES: &[Package] = &[
    package("containerd", &["containerd"], Use::Node),
    package("runc", &["runc"], Use::Node),
    package("containernetworking-plugins", &["/usr/lib/cni/bridge"], Use::Node),
    package("iptables", &["iptables"], Use::Node),
    package("conntrack", &["conntrack"], Use::Node),
    package("ipset", &["ipset"], Use::Node),
    package("iproute2", &["ip"], Use::Node),
    package("buildah", &["buildah"], Use::Node),
    package("python3-pip", &["pip3"], Use::Node),
    package("util-linux", &["nsenter"], Use::Node),
    // The task service is tested with real Postgres and Redis, dashboards with Grafana's own types.
    package(
        "postgresql",
        &["/usr/lib/postgresql/*/bin/initdb", "initdb"],
        Use::UnitTests,
    ),
    package("redis-server", &["redis-server"], Use::UnitTests),
    package("redis-tools", &["redis-cli"], Use::UnitTests),
    package("npm", &["npm"], Use::UnitTests),
    // The walkthrough uses it.
    package("curl", &["curl"], Use::NodeTests),
];

const fn package(name: &'static str, proofs: &'static [&'static str], used_by: Use) -> Package {
    Package {
        name,
        proofs,
        used_by,
    }
}

/// Installs missing packages, or fails with the command that installs them.
pub async fn install(uses: &[Use]) -> Result<()> {
    lab_tools::need_go()?;
    let found = Search::of_this_machine();
    if uses.contains(&Use::Node) && !found.has("apt-get") {
        bail!(
            "the embedded cluster builds its images from Debian packages, and this is not Debian (there is no apt-get); \
             try `--cluster minikube`"
        );
    }
    let missing = found.missing(uses);
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing.join(" ");
    let by_hand = format!("sudo apt-get update && sudo apt-get install --no-install-recommends {list}");
    if !found.has("apt-get") {
        bail!(
            "these Debian packages are missing: {list}; this is not Debian, so install them under the names that \
             your system has for them"
        );
    }
    if !rustix::process::geteuid().is_root() {
        bail!("these packages are missing: {list}; install them with `{by_hand}`");
    }
    eprintln!("installing {list}");
    let apt = |arguments: &[&str]| {
        let mut apt = Command::new("apt-get");
        apt.env("DEBIAN_FRONTEND", "noninteractive")
            // A fresh machine may be installing updates.
            .args(["-o", "DPkg::Lock::Timeout=300", "--yes", "--quiet"])
            .args(arguments);
        apt
    };
    let mut install = apt(&["install", "--no-install-recommends"]);
    install.args(&missing);
    if command::output(&mut install).await.is_err() {
        // A fresh machine has no package lists, and old lists have versions that no longer exist.
        command::output(&mut apt(&["update"]))
            .await
            .with_context(|| format!("`{by_hand}` installs what is missing"))?;
        command::output(&mut install)
            .await
            .with_context(|| format!("`{by_hand}` installs what is missing"))?;
    }
    match found.missing(uses).as_slice() {
        [] => Ok(()),
        still => bail!(
            "apt-get installed {list}, but the programs of {} are still missing",
            still.join(" ")
        ),
    }
}

/// The folders with programs.
struct Search {
    path: Vec<PathBuf>,
    root: PathBuf,
}

impl Search {
    fn of_this_machine() -> Self {
        let path = env::var_os("PATH").unwrap_or_default();
        // Root's PATH may lack the sbin folders.
        let administrators = ["/usr/sbin", "/sbin"].map(PathBuf::from);
        Self {
            path: env::split_paths(&path).chain(administrators).collect(),
            root: "/".into(),
        }
    }

    fn missing(&self, uses: &[Use]) -> Vec<&'static str> {
        PACKAGES
            .iter()
            .filter(|package| uses.contains(&package.used_by))
            .filter(|package| !package.proofs.iter().any(|proof| self.has(proof)))
            .map(|package| package.name)
            .collect()
    }

    fn has(&self, proof: &str) -> bool {
        let Some(path) = proof.strip_prefix('/') else {
            return self.path.iter().any(|dir| dir.join(proof).exists());
        };
        match path.split_once("/*/") {
            None => self.root.join(path).exists(),
            Some((folder, rest)) => folders(&self.root.join(folder)).any(|one| one.join(rest).exists()),
        }
    }
}

fn folders(folder: &Path) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn missing_packages_are_listed_for_the_layers_that_need_them() {
        let machine = tempfile::tempdir().unwrap();
        let bin = machine.path().join("bin");
        fs::create_dir(&bin).unwrap();
        let search = Search {
            path: vec![bin.clone()],
            root: machine.path().to_path_buf(),
        };
        let of_tests = ["postgresql", "redis-server", "redis-tools", "npm"];
        assert_eq!(search.missing(&[Use::UnitTests]), of_tests);
        assert_eq!(search.missing(&[Use::NodeTests]), ["curl"]);
        assert!(search.missing(&[Use::Node]).contains(&"containerd"));
        assert!(search.missing(&[]).is_empty());

        for program in ["redis-server", "redis-cli", "npm"] {
            fs::write(bin.join(program), "").unwrap();
        }
        assert_eq!(search.missing(&[Use::UnitTests]), ["postgresql"]);
        let postgres = machine.path().join("usr/lib/postgresql/18/bin");
        fs::create_dir_all(&postgres).unwrap();
        fs::write(postgres.join("initdb"), "").unwrap();
        assert!(search.missing(&[Use::UnitTests]).is_empty());
    }

    /// Tests that need a Debian package name it in their error message.
    #[test]
    fn every_package_that_a_test_asks_for_is_in_the_list() {
        let root = crate::paths::workspace_dir();
        let mut named = Vec::new();
        for folder in [
            "workload/tests",
            "tests/golden/tests",
            "tests/apiserver",
            "tests/e2e",
        ] {
            read(&root.join(folder), &mut |text| {
                for install in text.split("apt-get install ").skip(1) {
                    let package = install.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
                    named.extend(package.take(1).map(str::to_owned));
                }
            });
        }
        assert!(named.len() >= 3, "{named:?}");
        for package in named {
            assert!(
                PACKAGES.iter().any(|known| known.name == package),
                "{package} is not in tests/lab/src/prerequisites.rs"
            );
        }
    }

    fn read(folder: &Path, each: &mut impl FnMut(&str)) {
        for path in folders(folder) {
            if path.is_dir() {
                read(&path, each);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                each(&fs::read_to_string(path).unwrap());
            }
        }
    }
}
