//! Random traffic and failures, whose true error ratio and budget are counted from the events themselves,
//! against the rules run by a real Prometheus over its own storage.

use std::collections::BTreeMap;
use std::fmt::Write;

use golden_tests::prometheus::Prometheus;
use observedapp_slo::names::{BUDGET_REMAINING, ERROR_RATIO_PERIOD};
use observedapp_slo::{App, Group, Rule, Symptoms, parse_slos, rules_for};
use serde_json::json;

use crate::support::{SCRAPE, app, slo};

const DAY: u64 = 86_400;
/// When the simulated time begins; blocks are cut at two hours.
const BEGIN: u64 = 1_780_005_600;
/// A day's window, and an hour before it that must not count.
const SECONDS: u64 = DAY + 3600;
const APPS: u64 = 6;

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

/// What really happened within the window.
#[derive(Default, Debug)]
struct Truth {
    failed: f64,
    all: f64,
}

/// One app's day: a daily wave of traffic, quiet times, incidents, and rollouts that replace all replicas.
struct Day<'a> {
    random: Random,
    name: String,
    lines: &'a mut BTreeMap<String, String>,
    truth: Truth,
}

impl Day<'_> {
    fn run(mut self) -> Truth {
        let mut generation = 0;
        let mut counters = [[0.0_f64; 2]; 3];
        let mut failing: (u64, f64) = (0, 0.0);
        let mut quiet_until = 0;
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
                generation += 1;
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
                if second > SECONDS - DAY {
                    self.truth.failed += failed;
                    self.truth.all += events;
                }
                for (code, count) in ["500", "200"].iter().zip(*counts) {
                    let series = format!(
                        r#"http_requests_total{{namespace="shop",job="{}",code="{code}",instance="{generation}-{replica}"}}"#,
                        self.name
                    );
                    let lines = self.lines.entry(series.clone()).or_default();
                    let _ = writeln!(lines, "{series} {count} {}", BEGIN + second);
                }
            }
        }
        self.truth
    }
}

fn groups(app: &App, records: &[&str]) -> Vec<Group> {
    let (slos, problems) = parse_slos(&[slo("99", "1d")], app);
    assert_eq!(problems, []);
    let mut groups = rules_for(app, &slos, &Symptoms::default(), &[]).groups;
    for group in &mut groups {
        group.name = format!("{}-{}", app.name, group.name);
        group
            .rules
            .retain(|rule| matches!(rule, Rule::Record(_)) && records.contains(&rule.name()));
    }
    groups.retain(|group| !group.rules.is_empty());
    groups
}

#[test]
fn budgets_agree_with_the_events_within_one_percent_of_the_budget() {
    let apps: Vec<App> = (0..APPS)
        .map(|i| App {
            name: format!("app-{i}"),
            ..app()
        })
        .collect();
    let mut lines = BTreeMap::new();
    let truths: Vec<Truth> = apps
        .iter()
        .zip(1..)
        .map(|(app, seed): (&App, u64)| {
            let random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
            Day {
                random,
                name: app.name.clone(),
                lines: &mut lines,
                truth: Truth::default(),
            }
            .run()
        })
        .collect();
    let mut text = String::from("# TYPE http_requests counter\n");
    for lines in lines.values() {
        text.push_str(lines);
    }
    text.push_str("# EOF\n");
    let end = BEGIN + SECONDS;

    let mut prometheus = Prometheus::with_openmetrics(&text);
    // Backfilled rules do not see each other: what others read is recorded first.
    for (records, from) in [
        (
            &["slo:errors:slot5m", "slo:events:slot5m", "slo:objective:ratio"][..],
            BEGIN,
        ),
        (
            &["slo:error_ratio:period", "slo:window_coverage:ratio"],
            end - 600,
        ),
        (&["slo:budget_remaining:ratio"], end - 600),
    ] {
        let groups: Vec<Group> = apps.iter().flat_map(|app| groups(app, records)).collect();
        prometheus.backfill(&json!(groups), from, end);
    }

    for (app, truth) in apps.iter().zip(truths) {
        let ratio = truth.failed / truth.all;
        let remaining = 1.0 - ratio / 0.01;
        let value = |record: &str| {
            let query = format!(r#"{record}{{app="{}"}}"#, app.name);
            prometheus
                .value(&query, end)
                .unwrap_or_else(|| panic!("{query} gives nothing"))
        };
        let (recorded, left) = (value(ERROR_RATIO_PERIOD), value(BUDGET_REMAINING));
        println!(
            "{}: {truth:?} true {ratio:.6} recorded {recorded:.6}; budget left {remaining:.4} recorded {left:.4}",
            app.name
        );
        assert!(
            (left - remaining).abs() < 0.01,
            "{}: {left} of the budget is left, in truth {remaining}",
            app.name
        );
    }
}
