//! 1,000 users, spawned at 100 a second, with 1-5 s of think time, against two instances and one
//! PostgreSQL, for five minutes (or as long as `DURATION` says): not one request may fail.
#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss
)]

#[path = "../tests/support/mod.rs"]
mod servers_support;
mod support;

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use servers_support::Postgres;
use servers_support::servers::free_port;
use support::program::Program;
use support::promise;

#[tokio::main]
async fn main() {
    let duration = std::env::var("DURATION").unwrap_or_else(|_| "5m".to_owned());
    let folder = tempfile::tempdir().unwrap();
    let postgres = Postgres::durable();
    let database = postgres.url();
    let settings = [("DATABASE_URL", database.as_str())];
    let one = Program::tasks(folder.path(), free_port(), free_port(), &settings).await;
    let two = Program::tasks(folder.path(), free_port(), free_port(), &settings).await;
    let instances = [&one, &two];
    tokio::time::sleep(Duration::from_secs(1)).await;
    let at_rest = instances.map(Program::resident_mib);

    let (cpu, started) = (instances.map(Program::cpu_seconds), Instant::now());
    let summary = folder.path().join("summary.json");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let load = Command::new(cargo)
        .args(["run", "--quiet", "--release", "-p", "tasks-load", "--"])
        .args([
            "--host",
            &format!("http://127.0.0.1:{}", one.port),
            "--host",
            &format!("http://127.0.0.1:{}", two.port),
        ])
        .args([
            "--users",
            "1000",
            "--spawn-rate",
            "100",
            "--duration",
            &duration,
            "--progress",
            "10",
        ])
        .args(["--fail-above", "0%", "--summary"])
        .arg(&summary)
        .status()
        .unwrap();
    let elapsed = started.elapsed().as_secs_f64();
    let summary: Value = serde_json::from_str(&std::fs::read_to_string(summary).unwrap()).unwrap();

    for (index, instance) in instances.iter().enumerate() {
        println!(
            "instance {index}: CPU {:.1} % of a core, {:.1} MiB resident at rest, {:.1} MiB after the load",
            (instance.cpu_seconds() - cpu[index]) / elapsed * 100.0,
            at_rest[index],
            instance.resident_mib()
        );
    }
    println!(
        "p50 {:.1} ms, p99 {:.1} ms",
        summary["all"]["p50_ms"].as_f64().unwrap(),
        summary["all"]["p99_ms"].as_f64().unwrap()
    );
    let (failed, requests) = (&summary["failed"], &summary["requests"]);
    promise(
        &format!("0 of {requests} requests failed: {failed} did"),
        load.success() && failed == 0,
    );
    promise("at most 20 MiB at rest", at_rest.iter().all(|mib| *mib <= 20.0));
}
