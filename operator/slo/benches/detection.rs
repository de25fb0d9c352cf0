//! Detection and reset times for each burn rate, beside the SRE Workbook's own rules at the same
//! evaluation interval.
//!
//! `cargo bench -p observedapp-slo --bench detection`
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use observedapp_slo::{BurnPair, Speed, burn_pairs};

const EVERY: f64 = 30.0;
const SLOW_EVERY: f64 = 120.0;
const SLOT: f64 = 300.0;
const HOUR: f64 = 3600.0;
/// As long as the rules keep a fast and a slow alert after its condition has ended.
const KEEP: [f64; 2] = [60.0, 300.0];
const BURN_RATES: [f64; 10] = [1000.0, 100.0, 36.0, 20.0, 15.0, 10.0, 7.0, 4.0, 2.0, 1.2];

/// Steady traffic that fails at one rate from 0 until `end`.
#[derive(Clone, Copy)]
struct Incident {
    burn: f64,
    end: f64,
}

impl Incident {
    /// The burn rate over a window that ends at `at`.
    fn over(self, at: f64, window: f64) -> f64 {
        let overlap = at.min(self.end) - (at - window).max(0.0);
        self.burn * overlap.max(0.0) / window
    }
}

/// How old what a rule reads may be: the slots under the long windows are recorded every five minutes.
#[derive(Clone, Copy)]
enum Reading {
    Raw,
    /// At this phase of the slot's interval.
    Slots(f64),
}

impl Reading {
    fn burn(self, incident: Incident, at: f64, window: f64) -> f64 {
        match self {
            Self::Slots(phase) if window > HOUR => {
                incident.over(((at - phase) / SLOT).floor() * SLOT + phase, window)
            }
            Self::Raw | Self::Slots(_) => incident.over(at, window),
        }
    }
}

struct Rules<'a> {
    pairs: &'a [BurnPair],
    reading: Reading,
    every: f64,
    keep: f64,
}

impl Rules<'_> {
    fn trips(&self, incident: Incident, at: f64) -> bool {
        self.pairs.iter().any(|pair| {
            let factor = pair.factor_tenths as f64 / 10.0;
            [pair.long, pair.short]
                .iter()
                .all(|window| self.reading.burn(incident, at, window.as_secs_f64()) > factor)
        })
    }

    fn first(&self, from: f64, wanted: bool, incident: Incident) -> Option<f64> {
        let mut at = (from / self.every).ceil() * self.every;
        while at < 4.0 * 24.0 * HOUR {
            if self.trips(incident, at) == wanted {
                return Some(at);
            }
            at += self.every;
        }
        None
    }

    fn detection(&self, burn: f64) -> Option<f64> {
        self.first(
            0.0,
            true,
            Incident {
                burn,
                end: f64::INFINITY,
            },
        )
    }

    /// After an incident that ends as soon as it was detected.
    fn reset(&self, burn: f64) -> Option<f64> {
        let end = self.detection(burn)?;
        Some(self.first(end, false, Incident { burn, end })? - end + self.keep)
    }
}

fn minutes(seconds: Option<f64>) -> String {
    seconds.map_or_else(|| "never".to_owned(), |seconds| format!("{:.1}m", seconds / 60.0))
}

/// The worst over all phases of the slots; never is the worst of all.
fn worst(times: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    times.reduce(|a, b| a?.max(b?).into()).flatten()
}

fn main() {
    let pairs = burn_pairs("30d".parse().unwrap(), "99.9".parse().unwrap());
    println!("99.9% over 30d; after an incident that ends when it was detected; slots at their worst phase");
    for (speed, title, every, keep) in [
        (Speed::Fast, "page", EVERY, KEEP[0]),
        (Speed::Slow, "ticket", SLOW_EVERY, KEEP[1]),
    ] {
        let pairs: Vec<BurnPair> = pairs.iter().copied().filter(|pair| pair.speed == speed).collect();
        let rules = |reading, keep| Rules {
            pairs: &pairs,
            reading,
            every,
            keep,
        };
        println!(
            "\n{title:<7} {:>9} {:>11} {:>11} {:>7}   {:>11} {:>11}",
            "burn", "workbook", "here", "ratio", "reset: wb", "here"
        );
        for burn in BURN_RATES {
            let workbook = rules(Reading::Raw, 0.0);
            let phases = (0..10).map(|phase| rules(Reading::Slots(f64::from(phase) * SLOT / 10.0), keep));
            let (theirs, their_reset) = (workbook.detection(burn), workbook.reset(burn));
            let here: Vec<Rules> = phases.collect();
            let ours = worst(here.iter().map(|rules| rules.detection(burn)));
            let our_reset = worst(here.iter().map(|rules| rules.reset(burn)));
            let ratio = ours
                .zip(theirs)
                .map_or_else(String::new, |(ours, theirs)| format!("{:.2}", ours / theirs));
            println!(
                "{:<7} {burn:>8}x {:>11} {:>11} {ratio:>7}   {:>11} {:>11}",
                "",
                minutes(theirs),
                minutes(ours),
                minutes(their_reset),
                minutes(our_reset)
            );
        }
    }
}
