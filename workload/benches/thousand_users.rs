//! 1,000 users, spawned at 100 a second, with 1-5 s of think time, against two instances and one
//! PostgreSQL, for five minutes: not one request may fail.
//!
//! `cargo bench -p tasks --bench thousand_users -- --duration 1h` shows whether memory stays flat.
#![allow(clippy::unwrap_used)]

mod support;

use std::process::{Child, ExitCode};
use std::time::{Duration, Instant};

use serde_json::Value;
use support::program::Program;
use support::{Postgres, argument, median, outcome, promise};

/// Between two looks at how much memory is resident.
const LOOK: Duration = Duration::from_secs(1);
/// More growth than this from early to late is no noise.
const FLAT: f64 = 1.1;

#[tokio::main]
async fn main() -> ExitCode {
    let duration = argument("--duration").unwrap_or_else(|| "5m".to_owned());
    let folder = tempfile::tempdir().unwrap();
    let postgres = Postgres::durable();
    let database = postgres.url();
    let settings = [("DATABASE_URL", database.as_str())];
    let one = Program::tasks(folder.path(), &settings).await;
    let two = Program::tasks(folder.path(), &settings).await;
    let instances = [&one, &two];
    tokio::time::sleep(Duration::from_secs(1)).await;
    let at_rest = instances.map(Program::resident_mib);

    let (cpu, started) = (instances.map(Program::cpu_seconds), Instant::now());
    let summary = folder.path().join("summary.json");
    let mut load = lab_tools::cargo()
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
        .spawn()
        .unwrap();
    let memory = memory_until_the_end(&mut load, instances);
    let load = load.wait().unwrap();
    let elapsed = started.elapsed().as_secs_f64();
    let summary: Value = serde_json::from_str(&std::fs::read_to_string(summary).unwrap()).unwrap();

    for (index, instance) in instances.iter().enumerate() {
        println!(
            "instance {index}: CPU {:.1} % of a core; MiB resident {:.1} at rest, {:.1} early in the load, {:.1} late",
            (instance.cpu_seconds() - cpu[index]) / elapsed * 100.0,
            at_rest[index],
            early(&memory, index),
            late(&memory, index),
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
    let flat = |index| late(&memory, index) <= FLAT * early(&memory, index);
    promise(&format!("memory flat over {duration}"), flat(0) && flat(1));
    outcome()
}

/// The resident MiB of both instances, look by look.
fn memory_until_the_end(load: &mut Child, instances: [&Program; 2]) -> Vec<[f64; 2]> {
    let mut looks = Vec::new();
    while load.try_wait().unwrap().is_none() {
        looks.push(instances.map(Program::resident_mib));
        std::thread::sleep(LOOK);
    }
    looks
}

/// After all users have come: the second fifth of the time.
fn early(looks: &[[f64; 2]], index: usize) -> f64 {
    let fifth = looks.len() / 5;
    median(looks[fifth..=2 * fifth].iter().map(|look| look[index]).collect())
}

fn late(looks: &[[f64; 2]], index: usize) -> f64 {
    median(
        looks[looks.len() * 4 / 5..]
            .iter()
            .map(|look| look[index])
            .collect(),
    )
}
