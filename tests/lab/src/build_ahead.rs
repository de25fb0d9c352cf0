//! Builds what the tests on a node need while earlier tests run, at the lowest CPU priority.
//!
//! The cache's locks make others wait for a build that is running.

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

/// Starts the build as a process, which ends when the child is dropped and when this process ends. A failed build fails
/// again, and is reported, where its result is needed.
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
        "what the node needs is built while the first tests run; the log is {}",
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

/// Builds the stack's images and the project's own side by side, then those of the add-ons, which are needed last.
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
