//! Random traffic and failures, whose true budget is counted from the events themselves, against the rules
//! run by Prometheus' engine, each group at its own interval, while Prometheus restarts again and again, and
//! pods come, go and lack the bucket of a latency SLO's threshold.

use std::collections::BTreeMap;
use std::ops::{Range, RangeInclusive};

use observedapp_slo::names::BUDGET_REMAINING;
use observedapp_slo::spec;

use crate::support::{FAST, SCRAPE, Series, UnitTest, rules, slo};

const DAY: u64 = 86_400;
const SLOT: u64 = 300;
/// A day's window, and an hour before it that must not count.
const SECONDS: u64 = DAY + 3600;

/// xorshift64*: the same traffic for the same seed, everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn between(&mut self, low: f64, high: f64) -> f64 {
        low + self.next() * (high - low)
    }
}

/// What really happened until some moment.
#[derive(Clone, Copy, Default, Debug)]
struct Truth {
    failed: f64,
    all: f64,
}

/// What the app exposes of its requests.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Exposed {
    /// A counter by status code.
    Codes,
    /// A classic histogram, to which one replica of every other rollout has not the bucket of the threshold.
    Buckets,
}

impl Exposed {
    fn indicator(self) -> spec::Indicator {
        match self {
            Self::Codes => spec::Indicator::Availability {
                matchers: String::new(),
            },
            Self::Buckets => spec::Indicator::Latency {
                threshold: "300ms".to_owned(),
                matchers: String::new(),
            },
        }
    }

    fn is_judged(self, rollout: u32, replica: usize) -> bool {
        self == Self::Codes || rollout.is_multiple_of(2) || replica > 0
    }

    /// The series of a replica that has counted so many failed and good events.
    fn series(self, rollout: u32, replica: usize, [failed, good]: [f64; 2]) -> Vec<(String, f64)> {
        let labels = format!(r#"namespace="shop",job="tasks",instance="{rollout}-{replica}""#);
        match self {
            Self::Codes => vec![
                (format!(r#"http_requests_total{{{labels},code="500"}}"#), failed),
                (format!(r#"http_requests_total{{{labels},code="200"}}"#), good),
            ],
            Self::Buckets => {
                let histogram = "http_request_duration_seconds";
                let le = if self.is_judged(rollout, replica) {
                    "0.3"
                } else {
                    "0.25"
                };
                vec![
                    (format!("{histogram}_count{{{labels}}}"), failed + good),
                    (format!(r#"{histogram}_bucket{{{labels},le="{le}"}}"#), good),
                    (
                        format!(r#"{histogram}_bucket{{{labels},le="+Inf"}}"#),
                        failed + good,
                    ),
                ]
            }
        }
    }
}

/// One app's day: a daily wave of traffic, quiet times, incidents, and rollouts that replace all replicas.
struct Day {
    random: Random,
    exposed: Exposed,
}

impl Day {
    fn run(mut self, unseen: impl Fn(u64) -> bool) -> Seen {
        let mut rollout = 0;
        let mut counters = [[0.0_f64; 2]; 3];
        let mut failing: (u64, f64) = (0, 0.0);
        let mut quiet_until = 0;
        let mut truth = Truth::default();
        let mut truths = Vec::new();
        let mut series: BTreeMap<String, Vec<Option<f64>>> = BTreeMap::new();
        let busy = self.random.between(0.5, 400.0);
        let background = self.random.between(0.0, 0.003);
        for second in (0..=SECONDS).step_by(SCRAPE as usize) {
            if self.random.next() < 0.0004 {
                failing = (
                    second + self.random.between(30.0, 900.0) as u64,
                    self.random.between(0.05, 0.6),
                );
            }
            if self.random.next() < 0.0005 {
                quiet_until = second + self.random.between(300.0, 7200.0) as u64;
            }
            if self.random.next() < 0.0005 {
                rollout += 1;
                counters = [[0.0; 2]; 3];
            }
            let wave = 1.0 + 0.9 * (second as f64 / DAY as f64 * std::f64::consts::TAU).sin();
            let share = if second < failing.0 { failing.1 } else { background };
            for (replica, counts) in counters.iter_mut().enumerate() {
                let mean = if second < quiet_until { 0.05 } else { busy * wave };
                let events = (mean * self.random.between(0.5, 1.5) + self.random.next()).floor();
                let failed = (events * share + self.random.next()).floor().min(events);
                counts[0] += failed;
                counts[1] += events - failed;
                if self.exposed.is_judged(rollout, replica) {
                    truth.failed += failed;
                    truth.all += events;
                }
                if unseen(second) {
                    continue;
                }
                for (name, count) in self.exposed.series(rollout, replica, *counts) {
                    let samples = series.entry(name).or_default();
                    samples.resize(truths.len(), None);
                    samples.push(Some(count));
                }
            }
            truths.push(truth);
        }
        let series = series
            .into_iter()
            .map(|(name, samples)| Series { name, samples })
            .collect();
        Seen {
            series,
            truth: truths,
        }
    }
}

/// The counters of one app as Prometheus scraped them, and what really happened by each scrape.
struct Seen {
    series: Vec<Series>,
    truth: Vec<Truth>,
}

impl Seen {
    /// Failed and all events after one moment until another.
    fn between(&self, after: u64, until: u64) -> Truth {
        let [after, until] = [after, until].map(|at| self.truth[(at / SCRAPE) as usize]);
        Truth {
            failed: until.failed - after.failed,
            all: until.all - after.all,
        }
    }

    /// The least and the most that failed in a window that ends with the last scrape or the one before, and
    /// is as long as one of these.
    fn ratios(&self, at: u64, lengths: RangeInclusive<u64>) -> [f64; 2] {
        let begins = (at - lengths.end()..=at - lengths.start()).step_by(SCRAPE as usize);
        let ratios = begins.flat_map(|after| {
            [at - SCRAPE, at].map(|until| {
                let truth = self.between(after, until);
                truth.failed / truth.all
            })
        });
        ratios.fold([f64::INFINITY, f64::NEG_INFINITY], |[least, most], ratio| {
            [least.min(ratio), most.max(ratio)]
        })
    }
}

/// Restarts, each of which hits an evaluation of the slots' group, or only some of the figures, or takes minutes.
fn restarts(phase: u64) -> Vec<Range<u64>> {
    let slot = |k: u64| k * SLOT + phase;
    let mut down: Vec<Range<u64>> = (20..295)
        .step_by(13)
        .map(|k| slot(k) - 30..slot(k) + 30)
        .collect();
    down.extend((25..295).step_by(17).map(|k| slot(k) + 100..slot(k) + 140));
    down.extend((28..295).step_by(59).map(|k| slot(k) + 50..slot(k) + 290));
    down
}

fn budget_agrees_with_the_events(exposed: Exposed, seed: u64, phase: u64) {
    let down = restarts(phase);
    // Targets are scraped a little after Prometheus is back, and its rules are evaluated at once.
    let unseen = |second: u64| {
        down.iter()
            .any(|down| (down.start..down.end + SCRAPE).contains(&second))
    };
    let day = Day {
        random: Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15)),
        exposed,
    };
    let observed = day.run(unseen);
    let mut rules = rules(&[spec::Slo {
        indicator: exposed.indicator(),
        ..slo("99", "1d")
    }]);
    // The windows of alerts have tests of their own, and take most of the time.
    for group in &mut rules.groups {
        group
            .rules
            .retain(|rule| !rule.name().starts_with("slo:error_ratio:rate"));
    }
    let mut test = UnitTest::live(&rules, phase, &down, observed.series.clone());
    // Between two slots, at every age of the open one, and right after each restart.
    let mut moments: Vec<u64> = (DAY + 3 * SLOT..SECONDS).step_by(360).collect();
    moments.extend(down.iter().map(|down| (down.end / FAST + 2) * FAST));
    for at in moments.into_iter().filter(|at| *at >= DAY + 3 * SLOT) {
        // The window's far end moves by slots.
        let [least, most] = observed
            .ratios(at, DAY..=DAY + 3 * SLOT)
            .map(|ratio| 1.0 - ratio / 0.01);
        test.near(
            at,
            BUDGET_REMAINING,
            f64::midpoint(least, most),
            (least - most) / 2.0 + 0.01,
        );
    }
    test.run();
}

#[test]
fn budgets_agree_within_one_percent_whenever_prometheus_restarts() {
    budget_agrees_with_the_events(Exposed::Codes, 1, 0);
}

#[test]
fn budgets_agree_within_one_percent_whichever_pods_lack_a_bucket() {
    budget_agrees_with_the_events(Exposed::Buckets, 3, 240);
}
