//! Counts of simulated releases.

use observedapp_release::comparison::{Counts, Interval};
use rand::{Rng, RngExt};

/// Requests of an app in each span, and who serves them.
#[derive(Clone, Copy, Debug)]
pub struct Traffic {
    /// Expected requests to one pod in one span.
    pub requests: f64,
    pub old_pods: u32,
}

/// One span: requests come at random to any pod, and fail with these chances.
pub fn span(rng: &mut impl Rng, traffic: Traffic, new: f64, old: f64) -> Interval {
    Interval {
        new: counts(rng, traffic.requests, new),
        old: counts(rng, traffic.requests * f64::from(traffic.old_pods), old),
    }
}

/// Counts of some pods in a span in which so many requests are expected.
pub fn counts(rng: &mut impl Rng, expected: f64, chance: f64) -> Counts {
    let events = arrivals(rng, expected);
    Counts {
        events,
        failures: binomial(rng, events, chance),
    }
}

/// Requests that come independently of each other.
fn arrivals(rng: &mut impl Rng, expected: f64) -> f64 {
    let moments = 1e9;
    binomial(rng, moments, expected / moments)
}

/// How many of so many trials hit.
pub fn binomial(rng: &mut impl Rng, trials: f64, chance: f64) -> f64 {
    if trials <= 0.0 || chance <= 0.0 {
        0.0
    } else if chance > 0.5 {
        trials - binomial(rng, trials, 1.0 - chance)
    } else if trials * chance < 10.0 {
        by_waiting(rng, trials, chance)
    } else {
        by_rejection(rng, trials, chance)
    }
}

/// Goes from hit to hit: the misses between them have a geometric distribution.
fn by_waiting(rng: &mut impl Rng, trials: f64, chance: f64) -> f64 {
    let log_miss = (-chance).ln_1p();
    let mut hits = 0.0;
    let mut at = 0.0;
    loop {
        let uniform: f64 = 1.0 - rng.random::<f64>();
        at += (uniform.ln() / log_miss).floor() + 1.0;
        if at > trials {
            return hits;
        }
        hits += 1.0;
    }
}

/// Hörmann, "The generation of binomial random variates" (1993), algorithm BTRS.
#[allow(clippy::many_single_char_names)]
fn by_rejection(rng: &mut impl Rng, n: f64, p: f64) -> f64 {
    let deviation = (n * p * (1.0 - p)).sqrt();
    let b = 1.15 + 2.53 * deviation;
    let a = -0.0873 + 0.0248 * b + 0.01 * p;
    let center = n * p + 0.5;
    let accept = 0.92 - 4.2 / b;
    let odds = p / (1.0 - p);
    let alpha = (2.83 + 5.1 / b) * deviation;
    let mode = ((n + 1.0) * p).floor();
    loop {
        let u = rng.random::<f64>() - 0.5;
        let v: f64 = 1.0 - rng.random::<f64>();
        let edge = 0.5 - u.abs();
        let k = ((2.0 * a / edge + b) * u + center).floor();
        if edge >= 0.07 && v <= accept {
            return k;
        }
        if k < 0.0 || k > n {
            continue;
        }
        let v = (v * alpha / (a / (edge * edge) + b)).ln();
        let bound = (mode + 0.5) * ((mode + 1.0) / (odds * (n - mode + 1.0))).ln()
            + (n + 1.0) * ((n - mode + 1.0) / (n - k + 1.0)).ln()
            + (k + 0.5) * (odds * (n - k + 1.0) / (k + 1.0)).ln()
            + stirling(mode)
            + stirling(n - mode)
            - stirling(k)
            - stirling(n - k);
        if v <= bound {
            return k;
        }
    }
}

/// What Stirling's formula lacks of the logarithm of a factorial.
fn stirling(k: f64) -> f64 {
    // The series is precise for large numbers only: ln(k!) is taken from ln((k + 10)!).
    let below = if k < 10.0 { 10 } else { 0 };
    let whole = |k: f64| (k + 0.5) * (k + 1.0).ln() - (k + 1.0);
    let steps: f64 = (1..=below).map(|step| (k + f64::from(step)).ln()).sum();
    let large = k + f64::from(below);
    let x = large + 1.0;
    let series = (1.0 / 12.0 - (1.0 / 360.0 - 1.0 / 1260.0 / (x * x)) / (x * x)) / x;
    series + whole(large) - steps - whole(k)
}

/// Parts of a span, at any of which a pod may be scraped.
const PARTS: usize = 5;

/// Twenty minutes in which nearly all requests fail for a while, on all pods. Each pod is scraped at its own moment,
/// so what happens at one moment may be counted in one span here and in the next one there.
pub fn incident(rng: &mut impl Rng, old_pods: usize) -> Vec<Interval> {
    let spans = 80;
    let requests = rng.random_range(1.0..1000.0);
    let mut chances = vec![0.001; (spans + 1) * PARTS];
    for _ in 0..rng.random_range(1..=3) {
        let begin = rng.random_range(0..chances.len());
        let end = (begin + rng.random_range(1..100)).min(chances.len());
        let during = rng.random_range(0.05..1.0);
        chances[begin..end].fill(during);
    }
    let mut intervals = vec![Interval::default(); spans];
    for pod in 0..=old_pods {
        let scraped = rng.random_range(0..PARTS);
        for (interval, chances) in intervals.iter_mut().zip(chances[scraped..].chunks(PARTS)) {
            let chance = chances.iter().sum::<f64>() / PARTS as f64;
            let counts = counts(rng, requests, chance);
            let side = if pod == 0 {
                &mut interval.new
            } else {
                &mut interval.old
            };
            side.events += counts.events;
            side.failures += counts.failures;
        }
    }
    intervals
}
