//! What the benchmarks share: programs to measure, a client to measure with, and how ratios are told.
#![allow(
    dead_code,
    unreachable_pub,
    missing_debug_implementations,
    clippy::unwrap_used
)]

pub mod client;
pub mod peer;
pub mod program;

use std::time::Duration;

use client::{Load, Outcome};

/// Rounds of a comparison: both sides in turns, so that whatever else the machine does hits both alike.
pub const ROUNDS: usize = 7;
pub const ROUND: Duration = Duration::from_secs(3);

/// One side of a comparison.
pub struct Side<'a> {
    pub name: &'a str,
    pub load: Load,
}

/// What the rounds gave: the medians of both sides, and of the rounds' ratios of one to the other.
pub struct Comparison {
    pub rate: f64,
    pub peer_rate: f64,
    pub rate_ratio: f64,
    pub p99_ratio: f64,
}

pub async fn compare(what: &str, side: &Side<'_>, peer: &Side<'_>) -> Comparison {
    // The first requests fill caches and pools, and count for nobody.
    side.load.run(Duration::from_secs(1)).await;
    peer.load.run(Duration::from_secs(1)).await;
    let mut rounds = Vec::new();
    for round in 0..ROUNDS {
        // Who is first changes, too.
        let pair = if round % 2 == 0 {
            let own = side.load.run(ROUND).await;
            (own, peer.load.run(ROUND).await)
        } else {
            let other = peer.load.run(ROUND).await;
            (side.load.run(ROUND).await, other)
        };
        rounds.push(pair);
    }
    let median_of = |value: &dyn Fn(&(Outcome, Outcome)) -> f64| median(rounds.iter().map(value).collect());
    let comparison = Comparison {
        rate: median_of(&|(own, _)| own.rate),
        peer_rate: median_of(&|(_, peer)| peer.rate),
        rate_ratio: median_of(&|(own, peer)| own.rate / peer.rate),
        p99_ratio: median_of(&|(own, peer)| own.p99.as_secs_f64() / peer.p99.as_secs_f64()),
    };
    println!(
        "{what}: {} {:.0}/s, {} {:.0}/s; ratio of rates {:.2}, of p99 {:.2}",
        side.name,
        comparison.rate,
        peer.name,
        comparison.peer_rate,
        comparison.rate_ratio,
        comparison.p99_ratio
    );
    comparison
}

/// Prints a promise and whether it is kept.
pub fn promise(what: &str, kept: bool) {
    println!("  {} {what}", if kept { "kept:  " } else { "MISSED:" });
}

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
