//! What the benchmarks share: real servers, programs to measure, a client to measure with, and how
//! ratios are printed.
#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    missing_debug_implementations,
    clippy::unwrap_used
)]

pub mod client;
pub mod program;
#[path = "../../../tests/promises.rs"]
mod promises;
#[path = "../../tests/support/mod.rs"]
mod tests;

use std::time::Duration;

use client::{Load, Outcome};
use program::Program;
pub use promises::{outcome, promise};
pub use tests::{Postgres, Redis};

/// Both sides are started anew so often: where a process happens to lie in memory makes it faster or slower for its life.
const STARTS: usize = 6;
/// Rounds after each start: both sides in turns, so that whatever else the machine does hits both alike.
const ROUNDS: usize = 4;
const ROUND: Duration = Duration::from_secs(1);

/// What the rounds gave: the median rate of the one, and the medians of the rounds' ratios of one to the other.
pub struct Comparison {
    pub rate: f64,
    pub rate_ratio: f64,
    pub p99_ratio: f64,
    pub cpu_ratio: f64,
    /// The most that the one used after a round.
    pub resident_mib: f64,
}

/// Loads both sides in turns and prints the result. On a machine that does other things, too, the
/// CPU time of a request says more than the rates: who has more threads gets more of a busy machine.
pub async fn compare(
    what: &str,
    load: fn(u16) -> Load,
    (own_name, start_own): (&str, impl AsyncFn() -> Program),
    (peer_name, start_peer): (&str, impl AsyncFn() -> Program),
) -> Comparison {
    let time = argument("--round").map_or(ROUND, |text| Duration::from_secs_f64(text.parse().unwrap()));
    let mut rounds = Vec::new();
    for _ in 0..STARTS {
        let (own, peer) = (start_own().await, start_peer().await);
        // The first requests fill caches and pools, and count for nobody.
        for program in [&own, &peer] {
            load(program.port).run(time).await;
        }
        for turn in 0..ROUNDS {
            // Who is first changes, too.
            let pair = if turn % 2 == 0 {
                let own = Round::of(&own, load, time).await;
                (own, Round::of(&peer, load, time).await)
            } else {
                let peer = Round::of(&peer, load, time).await;
                (Round::of(&own, load, time).await, peer)
            };
            rounds.push(pair);
        }
    }
    let median_of = |value: &dyn Fn(&(Round, Round)) -> f64| median(rounds.iter().map(value).collect());
    let rate = median_of(&|(own, _)| own.rate);
    let rate_ratio = median_of(&|(own, peer)| own.rate / peer.rate);
    let p99_ratio = median_of(&|(own, peer)| own.p99.as_secs_f64() / peer.p99.as_secs_f64());
    let cpu = [
        median_of(&|(own, _)| own.cpu_micros),
        median_of(&|(_, peer)| peer.cpu_micros),
    ];
    println!(
        "{what}: {own_name} {rate:.0}/s, {peer_name} {:.0}/s; ratio of rates {rate_ratio:.2}, of p99 {p99_ratio:.2}; \
         CPU of a request {:.0} and {:.0} µs, ratio {:.2}",
        median_of(&|(_, peer)| peer.rate),
        cpu[0],
        cpu[1],
        cpu[0] / cpu[1],
    );
    Comparison {
        rate,
        rate_ratio,
        p99_ratio,
        cpu_ratio: median_of(&|(own, peer)| own.cpu_micros / peer.cpu_micros),
        resident_mib: rounds.iter().map(|(own, _)| own.resident_mib).fold(0.0, f64::max),
    }
}

/// One turn of one side.
struct Round {
    rate: f64,
    p99: Duration,
    cpu_micros: f64,
    resident_mib: f64,
}

impl Round {
    async fn of(program: &Program, load: fn(u16) -> Load, time: Duration) -> Self {
        let before = program.cpu_seconds();
        let Outcome { requests, rate, p99 } = load(program.port).run(time).await;
        Self {
            rate,
            p99,
            cpu_micros: (program.cpu_seconds() - before) * 1e6 / requests as f64,
            resident_mib: program.resident_mib(),
        }
    }
}

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// What follows an argument of the command line: `cargo bench … -- --round 0.5`.
pub fn argument(name: &str) -> Option<String> {
    std::env::args().skip_while(|argument| argument != name).nth(1)
}

/// A list of so many tasks.
pub fn fill(postgres: &Postgres, tasks: usize) {
    postgres.sql(&format!(
        "INSERT INTO tasks (task) SELECT 'task ' || i FROM generate_series(1, {tasks}) i"
    ));
}
