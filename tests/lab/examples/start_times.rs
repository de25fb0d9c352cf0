//! How long starting takes: `cargo run --package lab --example start_times`, as root, with no node running.
//!
//! Each time stands beside what it must keep to, and beside a floor of the same run: the API server of etcd and
//! kube-apiserver alone, without which nothing can be had.

use std::{
    env,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use lab::{apiserver::ApiServer, machine::Machine, node};

const SERVERS: usize = 5;

#[tokio::main]
async fn main() -> Result<()> {
    ensure!(
        node::kubeconfig().is_none(),
        "a node runs; end it with `cargo lab down` first"
    );
    let mut servers = Vec::new();
    for _ in 0..SERVERS {
        let start = Instant::now();
        let server = ApiServer::start().await?;
        servers.push(start.elapsed());
        server.stop()?;
    }
    servers.sort();
    let floor = servers[0];
    println!("{:<44} {:>8} {:>10} {:>14}", "", "took", "limit", "of the floor");
    row("API server for tests, fastest of 5 (the floor)", floor, 6, floor);
    row(
        "API server for tests, slowest of 5",
        servers[SERVERS - 1],
        6,
        floor,
    );

    // The first `up` loads the images; it is the second that is measured.
    up()?;
    node::down().await?;
    let before = Machine::look().await;
    let start = Instant::now();
    up()?;
    row("node and stack, `up` after `down`", start.elapsed(), 60, floor);
    let start = Instant::now();
    up()?;
    row("node and stack, `up` when all runs", start.elapsed(), 60, floor);
    let start = Instant::now();
    node::down().await?;
    row("`down`", start.elapsed(), 60, floor);
    let changes = Machine::look().await.changes_since(&before);
    ensure!(changes.is_empty(), "`down` left behind: {changes:?}");
    Ok(())
}

/// What a person types.
fn up() -> Result<()> {
    let cargo = env::var_os("CARGO").context("run it by `cargo run --package lab --example start_times`")?;
    let output = Command::new(cargo)
        .args(["lab", "up", "--cluster=embedded", "--no-product"])
        .output()?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

fn row(what: &str, took: Duration, limit: u64, floor: Duration) {
    let ratio = took.as_secs_f64() / floor.as_secs_f64();
    println!(
        "{what:<44} {:>6.1} s {limit:>8} s {ratio:>13.1}x",
        took.as_secs_f64()
    );
}
