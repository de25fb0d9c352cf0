//! Detection and reset times for each burn rate, beside the SRE Workbook's own rules at the same
//! evaluation interval.
//!
//! `cargo bench -p observedapp-slo --bench detection`
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use observedapp_slo::names::alerts::{ERROR_BUDGET_BURN_FAST, ERROR_BUDGET_BURN_SLOW};
use observedapp_slo::{BurnPair, Group, PromDuration, Rule, RuleSet, Speed, burn_pairs};

/// The SLO of the rules' own tests, which use more of it.
#[allow(dead_code)]
#[path = "../../../tests/golden/tests/rules/support/fixture.rs"]
mod fixture;

const OBJECTIVE: &str = "99.9";
const WINDOW: &str = "30d";
const SLOT: f64 = 300.0;
const TOTALS: f64 = 30.0;
const HOUR: f64 = 3600.0;
const BURN_RATES: [f64; 10] = [1000.0, 100.0, 36.0, 20.0, 15.0, 10.0, 7.0, 4.0, 2.0, 1.2];
/// Where a slot may end between two evaluations and before an incident: each half minute.
const PHASES: u32 = 10;

/// Steady traffic that fails at one rate from 0 until `end`.
#[derive(Clone, Copy)]
struct Incident {
    burn: f64,
    end: f64,
}

impl Incident {
    /// The budget burnt between two moments, in seconds of the sustainable rate.
    fn burnt(self, from: f64, to: f64) -> f64 {
        self.burn * (to.min(self.end) - from.max(0.0)).max(0.0)
    }
}

/// What a rule reads of a window.
#[derive(Clone, Copy)]
enum Reading {
    Raw,
    /// Totals with a sample each half minute, beyond six hours the slots, of which one ends at this moment,
    /// and what the totals have counted since.
    Totals(f64),
}

impl Reading {
    fn burn(self, incident: Incident, at: f64, window: f64) -> f64 {
        let begin = match self {
            Self::Raw => at - window,
            Self::Totals(_) if window <= 6.0 * HOUR => at - (window - TOTALS),
            Self::Totals(phase) => {
                let closed = ((at - phase) / SLOT).floor() * SLOT + phase;
                closed - ((window - SLOT - (at - closed)) / SLOT).ceil() * SLOT
            }
        };
        incident.burnt(begin, at) / (at - begin)
    }
}

struct Rules<'a> {
    pairs: &'a [BurnPair],
    reading: Reading,
    every: f64,
}

impl Rules<'_> {
    fn trips(&self, incident: Incident, at: f64) -> bool {
        self.pairs.iter().any(|pair| {
            let factor = pair.factor_tenths as f64 / 10.0;
            [pair.long, pair.short]
                .iter()
                .all(|window| self.reading.burn(incident, at, window.as_secs_f64()) > factor + 1e-9)
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
        let endless = Incident {
            burn,
            end: f64::INFINITY,
        };
        self.first(0.0, true, endless)
    }

    /// After an incident that ends then.
    fn reset(&self, burn: f64, end: f64) -> Option<f64> {
        Some(self.first(end, false, Incident { burn, end })? - end)
    }
}

/// The worst over all phases of the slots; never is the worst of all.
fn worst(times: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    times.reduce(|a, b| a?.max(b?).into()).flatten()
}

/// How often an alert's group is evaluated, and how long the alert is kept once its condition has ended.
fn timing(rules: &RuleSet, name: &str) -> [f64; 2] {
    let of = |group: &Group| {
        group.rules.iter().find_map(|rule| match rule {
            Rule::Alert(alert) if alert.alert == name => Some([group.interval, alert.keep_firing_for?]),
            _ => None,
        })
    };
    let timing = rules.groups.iter().find_map(of).unwrap();
    timing.map(PromDuration::as_secs_f64)
}

fn minutes(seconds: Option<f64>) -> String {
    seconds.map_or_else(|| "never".to_owned(), |seconds| format!("{:.1}m", seconds / 60.0))
}

/// Ours, and in parts of theirs.
fn beside(theirs: Option<f64>, ours: Option<f64>) -> String {
    let ratio = ours
        .zip(theirs)
        .map(|(ours, theirs)| format!("{:.3}", ours / theirs));
    format!("{:>8} {:>6}", minutes(ours), ratio.unwrap_or_default())
}

fn main() {
    let pairs = burn_pairs(WINDOW.parse().unwrap(), OBJECTIVE.parse().unwrap());
    let rendered = fixture::rules(&[fixture::slo(OBJECTIVE, WINDOW)]);
    println!(
        "{OBJECTIVE}% over {WINDOW}; slots at their worst phase; ratios to the Workbook's times at the same interval."
    );
    println!("Reset is counted from an incident's end, at the moment when the Workbook's rules detect it.");
    for (speed, title, alert) in [
        (Speed::Fast, "page", ERROR_BUDGET_BURN_FAST),
        (Speed::Slow, "ticket", ERROR_BUDGET_BURN_SLOW),
    ] {
        let [every, keep] = timing(&rendered, alert);
        let pairs: Vec<BurnPair> = pairs.iter().copied().filter(|pair| pair.speed == speed).collect();
        let rules = |reading| Rules {
            pairs: &pairs,
            reading,
            every,
        };
        let workbook = rules(Reading::Raw);
        let here: Vec<Rules> = (0..PHASES)
            .map(|phase| rules(Reading::Totals(f64::from(phase) * SLOT / f64::from(PHASES))))
            .collect();
        println!("\n{title}, each {every} s, kept for {keep} s");
        println!(
            "{:>8}  detection: {:>8} {:>8} {:>6}  reset: {:>8} {:>8} {:>6}  and kept: {:>8} {:>6}",
            "burn", "workbook", "here", "ratio", "workbook", "here", "ratio", "here", "ratio"
        );
        for burn in BURN_RATES {
            let detected = workbook.detection(burn);
            let ours = worst(here.iter().map(|rules| rules.detection(burn)));
            let [reset, our_reset] = detected.map_or([None; 2], |end| {
                [
                    workbook.reset(burn, end),
                    worst(here.iter().map(|rules| rules.reset(burn, end))),
                ]
            });
            println!(
                "{burn:>7}x             {:>8} {}         {:>8} {}            {}",
                minutes(detected),
                beside(detected, ours),
                minutes(reset),
                beside(reset, our_reset),
                beside(reset, our_reset.map(|ours| ours + keep)),
            );
        }
    }
}
