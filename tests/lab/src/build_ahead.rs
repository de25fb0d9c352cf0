//! What the tests on a node will need is built while the tests before them run, with the CPU time that those leave.
//!
//! Whoever needs a program or an image before it is built waits for this build of it, by the lock of the cache.

use std::{fs::File, process::Stdio, thread};

use anyhow::{Context, Result, anyhow};
use indicatif::MultiProgress;
use lab_tools::Tool;
use tokio::process::{Child, Command};

use crate::{
    addons::AddOn,
    images::{self, OwnImage},
    paths,
};

/// Starts the build as a process of its own; it ends when the child is dropped, and when this process ends. What fails in
/// it fails again where it is needed, and is told there.
pub fn start(add_ons: &[AddOn]) -> Result<Child> {
    let path = paths::state_dir().join("build-ahead.log");
    paths::create_dir(&paths::state_dir())?;
    let log = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    let errors = log
        .try_clone()
        .with_context(|| format!("cannot write {}", path.display()))?;
    let mut build = Command::new("setpriv");
    build
        .args(["--pdeathsig", "TERM", "--", "nice", "-n", "19"])
        .arg(paths::own_program()?)
        .arg("build-ahead");
    if !add_ons.is_empty() {
        let names: Vec<&str> = add_ons.iter().map(|add_on| add_on.name()).collect();
        build.arg(format!("--with={}", names.join(",")));
    }
    println!(
        "what the node needs is built beside the first tests; its log is {}",
        path.display()
    );
    build
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        .kill_on_drop(true)
        .spawn()
        .context("cannot run `setpriv`, which is in Debian's package util-linux")
}

/// Builds the node's programs and images beside the project's own, then those of the add-ons, for which nobody waits yet.
pub fn build(add_ons: &[AddOn]) -> Result<()> {
    let bars = MultiProgress::new();
    thread::scope(|scope| {
        let stack = scope.spawn(|| {
            lab_tools::ensure_with(Tool::BASE, &bars)?;
            images::build(images::BASE, &bars).map(drop)
        });
        for image in [OwnImage::OPERATOR, OwnImage::TASKS, OwnImage::TASKS_LOAD] {
            images::build_own(&image)?;
        }
        stack
            .join()
            .map_err(|_| anyhow!("the build of the stack panicked"))?
    })?;
    for add_on in add_ons {
        images::build(add_on.images(), &bars)?;
    }
    Ok(())
}
