//! Files from Debian and Python packages.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result};

use super::build::run;
use crate::paths;

/// Large and not needed to run a program.
const DEBIAN_LEFT_OUT: &[&str] = &[
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
    "usr/share/lintian",
    "usr/lib/x86_64-linux-gnu/gconv",
];

/// Extracts the listed packages into the folder, without installing them.
pub(super) fn debian(list: &Path, into: &Path) -> Result<()> {
    if !list.exists() {
        return Ok(());
    }
    let list = fs::read_to_string(list).with_context(|| format!("cannot read {}", list.display()))?;
    let packages: Vec<&str> = list.split_whitespace().collect();
    let downloads = into.with_extension("packages");
    paths::create_dir(&downloads)?;
    let download = || {
        // The sandbox user cannot read a folder of root's; signatures are verified all the same.
        let mut apt = Command::new("apt-get");
        apt.args(["-qq", "-o", "APT::Sandbox::User=root", "download"])
            .args(&packages);
        run(apt.current_dir(&downloads))
    };
    // A fresh machine has no package lists, and old lists have versions that no longer exist.
    download().or_else(|_| run(Command::new("apt-get").args(["-qq", "update"])).and_then(|()| download()))?;
    for package in fs::read_dir(&downloads).with_context(|| format!("cannot list {}", downloads.display()))? {
        run(Command::new("dpkg-deb")
            .arg("--extract")
            .arg(package?.path())
            .arg(into))?;
    }
    for folder in DEBIAN_LEFT_OUT {
        paths::remove_dir(&into.join(folder))?;
    }
    paths::remove_dir(&downloads)
}

/// Installs the pinned wheels into the folder, independent of this machine's Python version.
pub(super) fn python(requirements: &Path, into: &Path) -> Result<()> {
    if !requirements.exists() {
        return Ok(());
    }
    let mut pip = Command::new("python3");
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-compile",
        "--require-hashes",
    ]);
    pip.args(["--root-user-action=ignore", "--disable-pip-version-check"]);
    pip.args([
        "--only-binary=:all:",
        "--platform=manylinux_2_28_x86_64",
        "--implementation=cp",
    ]);
    pip.args(["--python-version=3.11", "--abi=cp311"]);
    run(pip
        .arg("--target")
        .arg(into)
        .arg("--requirement")
        .arg(requirements))
}
