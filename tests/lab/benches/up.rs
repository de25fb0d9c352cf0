//! How long the lab takes to start, compared with what is promised.
//!
//! ```text
//! cargo bench -p lab --bench up              # an API server for tests, and a second `up` after `down` (as root)
//! cargo bench -p lab --bench up -- --cold    # also the first `up`, with nothing built yet: half an hour
//! ```
#![allow(clippy::print_stdout)]

use std::{
    path::Path,
    process::{Command, ExitCode},
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use lab::apiserver::ApiServer;

#[path = "../../promises.rs"]
mod promises;

const ROUNDS: usize = 5;

fn main() -> Result<ExitCode> {
    let cold = std::env::args().any(|argument| argument == "--cold");
    lab(&["down"], None)?;
    if cold {
        let empty = tempfile::tempdir()?;
        let took = time(|| lab(&["up"], Some(empty.path())))?;
        compare("a first `up`, everything built", took, Duration::from_mins(35));
        lab(&["down"], Some(empty.path()))?;
    }
    let runtime = tokio::runtime::Runtime::new()?;
    let mut servers = (0..ROUNDS)
        .map(|_| time(|| runtime.block_on(async { ApiServer::start().await.map(drop) })))
        .collect::<Result<Vec<_>>>()?;
    servers.sort();
    compare(
        "an API server for tests",
        servers[ROUNDS / 2],
        Duration::from_secs(6),
    );

    // The first `up` also imports images and creates volumes.
    lab(&["up", "--no-product"], None)?;
    lab(&["down"], None)?;
    let took = time(|| lab(&["up", "--no-product"], None))?;
    compare(
        "a second `up` to a node with its stack",
        took,
        Duration::from_mins(1),
    );
    lab(&["down"], None)?;

    lab(&["up"], None)?;
    lab(&["down"], None)?;
    let took = time(|| lab(&["up"], None))?;
    compare(
        "a second `up` to the sample's conditions",
        took,
        Duration::from_mins(1),
    );
    lab(&["down"], None)?;
    Ok(promises::outcome())
}

fn time(work: impl FnOnce() -> Result<()>) -> Result<Duration> {
    let began = Instant::now();
    work()?;
    Ok(began.elapsed())
}

/// Runs `cargo lab`, with its caches in this folder if one is given.
fn lab(arguments: &[&str], caches: Option<&Path>) -> Result<()> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lab"));
    command.arg("--cluster=embedded").args(arguments);
    if let Some(caches) = caches {
        command
            .env("XDG_CACHE_HOME", caches.join("cache"))
            .env("GOCACHE", caches.join("go"))
            .env("CARGO_TARGET_DIR", caches.join("target"));
    }
    let status = command.status()?;
    ensure!(
        status.success(),
        "`cargo lab {}` failed ({status})",
        arguments.join(" ")
    );
    Ok(())
}

fn compare(what: &str, took: Duration, promised: Duration) {
    let ratio = took.as_secs_f64() / promised.as_secs_f64();
    let measured = format!(
        "{what}: {:.1} s, {ratio:.2} x the {} s that are promised",
        took.as_secs_f64(),
        promised.as_secs(),
    );
    promises::promise(&measured, ratio <= 1.0);
}
