//! How long a person waits for `observedapp render` of one app with everything on, beside a floor measured in the same
//! run: the same program that only says its version.
//!
//! `cargo bench -p observedapp --bench render`
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

#[path = "../../../tests/promises.rs"]
mod promises;

const EVERYTHING: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../tests/golden/cases/everything/app.yaml"
);
const BUDGET: Duration = Duration::from_millis(20);
const ROUNDS: usize = 101;

fn main() -> ExitCode {
    // By turns, so that whatever else the machine does befalls both.
    let (mut renders, mut floors): (Vec<_>, Vec<_>) = (0..ROUNDS)
        .map(|_| (time(&["render", EVERYTHING]), time(&["--version"])))
        .unzip();
    let (render, floor) = (median(&mut renders), median(&mut floors));
    println!("render of one app, median of {ROUNDS}  {render:>10.3?}  budget {BUDGET:?}");
    println!("--version (the floor)             {floor:>10.3?}");
    println!(
        "ratio                             {:>10.2}",
        render.as_secs_f64() / floor.as_secs_f64()
    );
    promises::promise(&format!("render within {BUDGET:?}"), render <= BUDGET);
    promises::outcome()
}

fn time(arguments: &[&str]) -> Duration {
    let started = Instant::now();
    let output = Command::new(env!("CARGO_BIN_EXE_observedapp"))
        .args(arguments)
        .output()
        .unwrap();
    let took = started.elapsed();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    took
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
