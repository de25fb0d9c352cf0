//! How often a good release is told bad, how many requests a bad one serves until it is, and what telling costs.
//!
//! `cargo bench -p observedapp-release --bench verdict`
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::hint::black_box;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use observedapp_release::comparison::{Counts, FALSE_ALARMS, Interval, SloCounts, compare};
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use simulation::{Traffic, incident, span};

#[path = "support/peer.rs"]
mod peer;
#[path = "../../../tests/promises.rs"]
mod promises;
#[path = "support/simulation.rs"]
mod simulation;

const SEED: u64 = 20;
const SPAN_SECONDS: f64 = 15.0;
const GOOD: u32 = 100_000;
const BAD: u32 = 5_000;
/// A bad release that is not found within these is counted as never found.
const MOST_SPANS: usize = 480;
/// The traffic of one pod while bad releases are counted: so that spans hold much less than what is counted.
const REQUESTS_A_SPAN: f64 = 2.0 * SPAN_SECONDS;
const PROMISED_REQUESTS: f64 = 1_000.0;
const PROMISED_TIME: Duration = Duration::from_millis(5);

fn main() -> ExitCode {
    good();
    bad();
    time();
    promises::outcome()
}

/// Makes the counts of one release.
type Simulate = fn(&mut SmallRng) -> Vec<SloCounts>;

/// Good releases, and the share of them that is told bad: here, and by the test that is peeked at.
fn good() {
    println!("{GOOD} good releases each: share told bad, and by a z-test at the same level after each span");
    let kinds: [(&str, Simulate); 5] = [
        ("mixed", mixed),
        ("1% fail, before and after; objective 99.99%", |rng| {
            steady(rng, 0.0001, 0.01, 0.01)
        }),
        ("20% fail, before and after; objective 99.9%", |rng| {
            steady(rng, 0.001, 0.2, 0.2)
        }),
        ("none failed before, just the allowed 1% now", |rng| {
            steady(rng, 0.01, 0.01, 0.0)
        }),
        ("incidents; each pod scraped at its own moment", |rng| {
            let old_pods = rng.random_range(1..=3);
            vec![slo(0.001, incident(rng, old_pods))]
        }),
    ];
    for (kind, simulate) in kinds {
        let mut rng = SmallRng::seed_from_u64(SEED);
        let [mut here, mut peer] = [0_u32; 2];
        for _ in 0..GOOD {
            let slos = simulate(&mut rng);
            here += u32::from(compare(&slos).bad().is_some());
            peer += u32::from(
                slos.iter()
                    .any(|slo| peer::is_bad(slo, FALSE_ALARMS / slos.len() as f64)),
            );
        }
        let [here, peer] = [here, peer].map(|told| f64::from(told) / f64::from(GOOD));
        println!("{kind:<46} {:>8.3}% {:>8.3}%", here * 100.0, peer * 100.0);
        promises::promise("at most 0.1% told bad", here <= FALSE_ALARMS);
    }
}

fn slo(budget: f64, intervals: Vec<Interval>) -> SloCounts {
    SloCounts {
        name: "availability".to_owned(),
        budget,
        intervals,
    }
}

/// Any traffic, number of pods and of objectives, and chances to fail that drift and have incidents.
fn mixed(rng: &mut SmallRng) -> Vec<SloCounts> {
    let requests = between(rng, 1.0 / 60.0, 1000.0) * SPAN_SECONDS;
    let old_pods = rng.random_range(1..=20);
    let traffic = Traffic { requests, old_pods };
    let spans = rng.random_range(20..=120);
    let objectives = *[1, 2, 3, 5, 10, 20].choose(rng).unwrap();
    (0..objectives)
        .map(|_| {
            let budget = between(rng, 0.0001, 0.1);
            slo(budget, mixed_spans(rng, traffic, budget, spans))
        })
        .collect()
}

fn mixed_spans(rng: &mut SmallRng, traffic: Traffic, budget: f64, spans: u32) -> Vec<Interval> {
    let mut old = if rng.random_bool(0.2) {
        0.0
    } else {
        between(rng, 1e-5, 0.2)
    };
    if rng.random_bool(0.2) {
        // Worse than before, and not worse than allowed.
        let new = budget * rng.random::<f64>();
        let old = new * rng.random::<f64>();
        return (0..spans).map(|_| span(rng, traffic, new, old)).collect();
    }
    let better = if rng.random_bool(0.2) {
        rng.random::<f64>()
    } else {
        1.0
    };
    let begin = rng.random_range(0..spans * 2);
    let hit = begin..begin + rng.random_range(1..spans);
    let during = rng.random::<f64>();
    let mut one = |at| {
        old = (old * (1.0 + 0.2 * (rng.random::<f64>() - 0.5))).min(0.2);
        let now = if hit.contains(&at) { during } else { old };
        span(rng, traffic, now * better, now)
    };
    (0..spans).map(&mut one).collect()
}

/// An hour of ten requests a second to each of one new and two old pods.
fn steady(rng: &mut SmallRng, budget: f64, new: f64, old: f64) -> Vec<SloCounts> {
    let traffic = Traffic {
        requests: 10.0 * SPAN_SECONDS,
        old_pods: 2,
    };
    let spans = (0..240).map(|_| span(rng, traffic, new, old)).collect();
    vec![slo(budget, spans)]
}

/// A number whose logarithm is uniform.
fn between(rng: &mut SmallRng, least: f64, most: f64) -> f64 {
    least * (most / least).powf(rng.random())
}

#[derive(Clone, Copy)]
struct BadRelease {
    budget: f64,
    new: f64,
    old: f64,
    old_pods: u32,
}

/// How many requests the new pods of bad releases have served when they are told.
fn bad() {
    println!(
        "\n{BAD} bad releases each: requests to the new pod until told, with one objective and with three"
    );
    println!(
        "{:>9} {:>7} {:>7} {:>8} | {:>6} {:>6} {:>7} | {:>6} {:>6} {:>7}",
        "objective", "fail", "before", "old pods", "p50", "p95", "found", "p50", "p95", "found"
    );
    let of = |budget, new, old| {
        [1, 2, 10].map(|old_pods| BadRelease {
            budget,
            new,
            old,
            old_pods,
        })
    };
    let availability = [0.01, 0.05, 0.2, 1.0].map(|new| of(0.001, new, 0.001));
    let latency = of(0.01, 0.3, 0.005);
    for release in availability.into_iter().flatten().chain(latency) {
        until_told(release);
    }
    let [_, two, ten] = of(0.001, 0.02, 0.001).map(until_told);
    // A trial needs two replicas, so there are two old pods or more.
    for (old_pods, found) in [("two", two), ("ten", ten)] {
        promises::promise(
            &format!("within {PROMISED_REQUESTS} requests at p95, beside {old_pods} old pods"),
            found.p95 <= PROMISED_REQUESTS,
        );
    }
}

/// Prints how soon it is told, and returns how soon with one objective.
fn until_told(release: BadRelease) -> Found {
    let [one, three] = [1, 3].map(|objectives| found(release, objectives));
    println!(
        "{:>8}% {:>6.1}% {:>6.1}% {:>8} | {} | {}",
        100.0 - release.budget * 100.0,
        release.new * 100.0,
        release.old * 100.0,
        release.old_pods,
        one.row(),
        three.row()
    );
    one
}

struct Found {
    p50: f64,
    p95: f64,
    share: f64,
}

impl Found {
    fn row(&self) -> String {
        format!("{:>6.0} {:>6.0} {:>6.1}%", self.p50, self.p95, self.share * 100.0)
    }
}

fn found(release: BadRelease, objectives: usize) -> Found {
    let mut rng = SmallRng::seed_from_u64(SEED);
    let mut requests: Vec<f64> = (0..BAD)
        .map(|_| requests_until_told(&mut rng, release, objectives))
        .collect();
    requests.sort_by(f64::total_cmp);
    Found {
        p50: requests[requests.len() / 2],
        p95: requests[requests.len() * 95 / 100],
        share: requests.iter().filter(|requests| requests.is_finite()).count() as f64 / f64::from(BAD),
    }
}

fn requests_until_told(rng: &mut SmallRng, release: BadRelease, objectives: usize) -> f64 {
    let traffic = Traffic {
        requests: REQUESTS_A_SPAN,
        old_pods: release.old_pods,
    };
    let mut slos = vec![slo(release.budget, Vec::new()); objectives];
    // Some spans at once, so that not each one costs a comparison.
    let mut all = Vec::new();
    loop {
        let begin = all.len();
        if begin >= MOST_SPANS {
            return f64::INFINITY;
        }
        all.extend((0..16).map(|_| span(rng, traffic, release.new, release.old)));
        slos[0].intervals.clone_from(&all);
        if compare(&slos).bad().is_none() {
            continue;
        }
        for told in begin + 1..=all.len() {
            slos[0].intervals = all[..told].to_vec();
            let comparison = compare(&slos);
            if comparison.bad().is_some() {
                return comparison.requests_seen();
            }
        }
    }
}

/// What the comparison of an hour of twenty objectives costs.
fn time() {
    let mut rng = SmallRng::seed_from_u64(SEED);
    let slos: Vec<SloCounts> = (0..20)
        .flat_map(|_| steady(&mut rng, 0.001, 0.02, 0.02))
        .collect();
    let comparing = once(|| compare(black_box(&slos)));
    let floor = once(|| black_box(&slos).iter().map(sum).collect::<Vec<_>>());
    println!("\n20 objectives with {} spans each", slos[0].intervals.len());
    println!("compared in {:.0} µs", comparing.as_secs_f64() * 1e6);
    println!(
        "times the floor of adding them up: {:.0}",
        comparing.as_secs_f64() / floor.as_secs_f64()
    );
    promises::promise(&format!("within {PROMISED_TIME:?}"), comparing <= PROMISED_TIME);
}

fn sum(slo: &SloCounts) -> [Counts; 2] {
    let mut sums = [Counts::default(); 2];
    for interval in &slo.intervals {
        for (sum, counts) in sums.iter_mut().zip([interval.new, interval.old]) {
            sum.events += counts.events;
            sum.failures += counts.failures;
        }
    }
    sums
}

fn once<T>(mut run: impl FnMut() -> T) -> Duration {
    let begin = Instant::now();
    let mut runs = 0;
    while begin.elapsed() < Duration::from_secs(1) {
        black_box(run());
        runs += 1;
    }
    begin.elapsed() / runs
}
