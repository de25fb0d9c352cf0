//! The chart's alerts on the operator, with the series that the operator exports.

use serde_json::Value;

use crate::support::{SCRAPE, Series, UnitTest, scraped, state};

const MINUTE: u64 = 60;
const HOUR: u64 = 3600;
const NOT_READY: &str = "ObservedAppNotReady";
const RECONCILE_ERRORS: &str = "ObservedAppReconcileErrors";

/// The groups of the chart as it is rendered.
fn groups() -> Value {
    let chart = concat!(env!("CARGO_MANIFEST_DIR"), "/chart/monitoring.yaml");
    let rendered = std::fs::read_to_string(chart).unwrap();
    let rule = rendered
        .split("\n---\n")
        .find(|object| object.contains("\nkind: PrometheusRule\n"))
        .unwrap();
    let rule: Value = serde_yaml::from_str(rule).unwrap();
    rule["spec"]["groups"].clone()
}

/// What one operator pod exports of an app while it leads, with as many failed reconciles as `failures` says of a second.
fn exported(pod: &str, ready: &str, leads: std::ops::Range<u64>, failures: fn(u64) -> u32) -> Vec<Series> {
    let at = |second| scraped(pod, state(2, 1, &[("Ready", ready)]), failures(second));
    let mut all: Vec<Series> = at(0)
        .into_iter()
        .map(|(name, _)| Series {
            name,
            samples: Vec::new(),
        })
        .collect();
    for second in (0..=HOUR).step_by(usize::try_from(SCRAPE).unwrap()) {
        let values = at(second).into_iter().map(|(_, value)| value);
        for (series, value) in all.iter_mut().zip(values) {
            series.samples.push(leads.contains(&second).then_some(value));
        }
    }
    all
}

fn test(series: Vec<Series>) -> UnitTest {
    UnitTest::of_groups(groups(), 30, series)
}

/// Once, whoever exports the app's series.
fn fires_for_the_app(test: &mut UnitTest, at: u64, alert: &str) {
    let firing = format!(r#"count by (namespace, app) (ALERTS{{alertname="{alert}",alertstate="firing"}})"#);
    test.gives(at, &firing, r#"{app="tasks",namespace="shop"}"#, 1.0);
}

#[test]
fn an_app_that_is_not_ready_is_counted_over_a_change_of_leader() {
    let mut series = exported("operator-1", "False", 0..10 * MINUTE, |_| 0);
    series.extend(exported("operator-2", "False", 11 * MINUTE..HOUR + 1, |_| 0));
    let mut test = test(series);
    test.is_silent(14 * MINUTE, NOT_READY);
    fires_for_the_app(&mut test, 16 * MINUTE, NOT_READY);
    fires_for_the_app(&mut test, HOUR, NOT_READY);
    test.run();
}

#[test]
fn an_app_that_a_new_leader_finds_ready_is_ready() {
    let mut series = exported("operator-1", "False", 0..14 * MINUTE, |_| 0);
    series.extend(exported("operator-2", "True", 14 * MINUTE..HOUR + 1, |_| 0));
    let mut test = test(series);
    test.never_fires(HOUR, NOT_READY);
    test.run();
}

#[test]
fn one_app_whose_reconciles_fail_for_ever_is_seen() {
    // A failed reconcile is tried again within 75 seconds.
    let mut test = test(exported("operator-1", "True", 0..HOUR + 1, |second| {
        u32::try_from(1 + second / 75).unwrap()
    }));
    test.is_silent(14 * MINUTE, RECONCILE_ERRORS);
    fires_for_the_app(&mut test, 16 * MINUTE, RECONCILE_ERRORS);
    test.run();
}

#[test]
fn failures_that_are_made_good_alert_nobody() {
    let mut test = test(exported("operator-1", "True", 0..HOUR + 1, |second| {
        u32::from(second / MINUTE % 10 < 3)
    }));
    test.never_fires(HOUR, RECONCILE_ERRORS);
    test.run();
}
