//! Symptom alerts: each fires when its symptom has lasted, and none while no replica is wanted.

use std::collections::BTreeSet;

use observedapp_controller::AppState;
use observedapp_slo::names::alerts;
use observedapp_slo::{
    DatabaseDown, DatabaseSource, HighCpu, HighErrorRate, HighMemory, PromDuration, RuleSet, Symptoms,
    rules_for,
};
use serde_json::json;

use crate::support::{SCRAPE, Series, UnitTest, app, scraped, state};

const HOUR: u64 = 3600;
const MINUTE: u64 = 60;
/// When every symptom below begins.
const START: u64 = 20 * MINUTE;

fn symptoms(database: DatabaseSource) -> Symptoms {
    let minutes = PromDuration::from_minutes;
    Symptoms {
        high_cpu: Some(HighCpu {
            percent: 80,
            limit_millicores: Some(500),
            for_: minutes(5),
        }),
        high_memory: Some(HighMemory {
            percent: 90,
            limit_bytes: 512 << 20,
            for_: minutes(5),
        }),
        high_error_rate: Some(HighErrorRate {
            per_second: 0.1,
            for_: minutes(5),
        }),
        replicas_unavailable: Some(minutes(5)),
        metrics_absent: Some(minutes(10)),
        database_down: Some(DatabaseDown {
            source: database,
            for_: minutes(2),
        }),
        probe_failing: Some(minutes(2)),
    }
}

fn rules(symptoms: &Symptoms) -> RuleSet {
    rules_for(&app(), &[], symptoms, &[])
}

/// One value before the symptom begins and another from then on; `None` is no sample.
fn turning(name: &str, before: Option<f64>, after: Option<f64>) -> Series {
    let samples = (0..=HOUR / SCRAPE).map(|k| if k * SCRAPE < START { before } else { after });
    Series {
        name: name.to_owned(),
        samples: samples.collect(),
    }
}

/// A counter that grows by so much a second before and after.
fn growing(name: &str, before: f64, after: f64) -> Series {
    let mut value = 0.0;
    let samples = (0..=HOUR / SCRAPE).map(|k| {
        value += SCRAPE as f64 * if k * SCRAPE <= START { before } else { after };
        Some(value)
    });
    Series {
        name: name.to_owned(),
        samples: samples.collect(),
    }
}

/// What the operator exports of the app before the symptom begins and from then on.
fn exported(before: AppState, after: AppState) -> Vec<Series> {
    let [before, after] = [before, after].map(|state| scraped("operator-1", state, 0));
    let value = |all: &[(String, f64)], series: &str| {
        let found = all.iter().find(|(name, _)| name == series);
        found.map(|(_, value)| *value)
    };
    let names: BTreeSet<&String> = before.iter().chain(&after).map(|(name, _)| name).collect();
    names
        .into_iter()
        .map(|name| turning(name, value(&before, name), value(&after, name)))
        .collect()
}

fn replicas(wanted: i32, ready_after: i32) -> Vec<Series> {
    exported(state(wanted, wanted, &[]), state(wanted, ready_after, &[]))
}

const CPU: &str =
    r#"container_cpu_usage_seconds_total{namespace="shop",container="tasks",pod="tasks-5d8f9c7b6d-x7k2p"}"#;
const MEMORY: &str =
    r#"container_memory_working_set_bytes{namespace="shop",container="tasks",pod="tasks-5d8f9c7b6d-x7k2p"}"#;
const ERRORS: &str = r#"http_requests_total{namespace="shop",job="tasks",code="500"}"#;
const UP: &str = r#"up{namespace="shop",job="tasks",pod="tasks-1"}"#;
const PG_UP: &str = r#"pg_up{namespace="shop",job="tasks-db"}"#;
const PROBE: &str = r#"probe_success{namespace="shop",job="tasks-probe"}"#;
const PROBER_UP: &str = r#"up{namespace="shop",job="tasks-probe"}"#;

/// Each alert: its symptom, the minutes until it fires (`for`, and what a rate needs), its severity,
/// its own label and its summary.
fn cases() -> Vec<(&'static str, Vec<Series>, u64, serde_json::Value, &'static str)> {
    vec![
        (
            alerts::HIGH_CPU_USAGE,
            // 0.45 of half a core; the five-minute rate passes 80 % in its fifth minute.
            vec![growing(CPU, 0.1, 0.45)],
            10,
            json!({"severity": "warning", "pod": "tasks-5d8f9c7b6d-x7k2p"}),
            "tasks: tasks-5d8f9c7b6d-x7k2p uses 90% of its CPU limit",
        ),
        (
            alerts::HIGH_MEMORY_USAGE,
            vec![turning(MEMORY, Some(1e8), Some(509_607_936.0))],
            5,
            json!({"severity": "warning", "pod": "tasks-5d8f9c7b6d-x7k2p"}),
            "tasks: tasks-5d8f9c7b6d-x7k2p uses 94.92% of its memory limit",
        ),
        (
            alerts::HIGH_ERROR_RATE,
            vec![growing(ERRORS, 0.0, 0.5)],
            7,
            json!({"severity": "warning"}),
            "tasks: 500m requests fail each second",
        ),
        (
            alerts::REPLICAS_UNAVAILABLE,
            vec![],
            5,
            json!({"severity": "warning"}),
            "tasks: 1 of the wanted replicas do not answer",
        ),
        (
            alerts::METRICS_ABSENT,
            vec![turning(UP, Some(1.0), Some(0.0))],
            10,
            json!({"severity": "warning"}),
            "tasks: no replica can be scraped",
        ),
        (
            alerts::DATABASE_DOWN,
            vec![turning(PG_UP, Some(1.0), Some(0.0))],
            2,
            json!({"severity": "critical"}),
            "tasks: its database does not answer",
        ),
        (
            alerts::PROBE_FAILING,
            vec![turning(PROBE, Some(1.0), Some(0.0))],
            2,
            json!({"severity": "critical"}),
            "tasks: cannot be reached from outside, or the prober does not answer",
        ),
    ]
}

/// Series of everything in health, but for those that a case brings.
fn healthy(case: &[Series]) -> Vec<Series> {
    let all = [
        Series::constant(MEMORY, 1e8, HOUR),
        Series::constant(UP, 1.0, HOUR),
        Series::constant(PG_UP, 1.0, HOUR),
        Series::constant(PROBE, 1.0, HOUR),
        Series::constant(PROBER_UP, 1.0, HOUR),
    ];
    all.into_iter()
        .filter(|series| case.iter().all(|own| own.name != series.name))
        .chain(case.iter().cloned())
        .collect()
}

fn test(symptoms: &Symptoms, case: &[Series], replicas: Vec<Series>) -> UnitTest {
    let mut series = healthy(case);
    series.extend(replicas);
    UnitTest::new(&rules(symptoms), &["symptoms"], 30, series)
}

#[test]
fn each_fires_when_its_symptom_has_lasted_and_no_other_does() {
    for (alert, case, minutes, labels, summary) in cases() {
        let ready = if alert == alerts::REPLICAS_UNAVAILABLE {
            1
        } else {
            2
        };
        let mut test = test(&symptoms(DatabaseSource::Exporter), &case, replicas(2, ready));
        test.is_silent(START + (minutes - 1) * MINUTE, alert);
        let at = START + minutes * MINUTE + MINUTE;
        test.fires(at, alert);
        let fired = format!(r#"count(ALERTS{{alertstate="firing",alertname!="{alert}"}})"#);
        test.absent(HOUR, &fired);
        let mut expected = json!({"namespace": "shop", "app": "tasks"});
        expected
            .as_object_mut()
            .unwrap()
            .extend(labels.as_object().unwrap().clone());
        test.fires_with_summary(HOUR, alert, &expected, summary);
        test.run();
    }
}

#[test]
fn none_fires_in_health() {
    let mut test = test(
        &symptoms(DatabaseSource::Exporter),
        &[growing(CPU, 0.1, 0.1)],
        replicas(2, 2),
    );
    test.absent(HOUR, "count_over_time(ALERTS[1h])");
    test.run();
}

#[test]
fn none_fires_while_no_replica_is_wanted() {
    for (alert, case, ..) in cases() {
        let mut test = test(&symptoms(DatabaseSource::Exporter), &case, replicas(0, 0));
        test.never_fires(HOUR, alert);
        test.run();
    }
}

#[test]
fn an_operator_that_is_down_silences_nothing_but_the_count_of_replicas() {
    for (alert, case, ..) in cases()
        .into_iter()
        .filter(|(alert, ..)| *alert != alerts::REPLICAS_UNAVAILABLE)
    {
        let mut test = test(&symptoms(DatabaseSource::Exporter), &case, vec![]);
        test.fires(HOUR, alert);
        test.run();
    }
}

#[test]
fn a_target_that_vanishes_is_absent_too() {
    for (alert, series) in [
        (alerts::METRICS_ABSENT, turning(UP, Some(1.0), None)),
        (alerts::DATABASE_DOWN, turning(PG_UP, Some(1.0), None)),
    ] {
        let mut test = test(&symptoms(DatabaseSource::Exporter), &[series], replicas(2, 2));
        test.fires(HOUR, alert);
        test.run();
    }
}

#[test]
fn one_replica_of_two_that_cannot_be_scraped_is_no_absence() {
    let other = turning(&UP.replace("tasks-1", "tasks-2"), Some(1.0), Some(0.0));
    let mut test = test(&symptoms(DatabaseSource::Exporter), &[other], replicas(2, 2));
    test.never_fires(HOUR, alerts::METRICS_ABSENT);
    test.run();
}

/// The operator's condition before the symptom begins and from then on.
fn database_ready(before: &str, after: &str) -> Vec<Series> {
    let with = |status| state(2, 2, &[("DatabaseReady", status)]);
    exported(with(before), with(after))
}

#[test]
fn a_replicated_database_is_judged_by_the_operators_condition() {
    let symptoms = symptoms(DatabaseSource::Condition);
    let mut lost = test(&symptoms, &[], database_ready("True", "False"));
    lost.is_silent(START + MINUTE, alerts::DATABASE_DOWN);
    lost.fires(START + 3 * MINUTE, alerts::DATABASE_DOWN);
    lost.fires(HOUR, alerts::DATABASE_DOWN);
    lost.run();
    for after in ["True", "Unknown"] {
        let mut test = test(&symptoms, &[], database_ready("True", after));
        test.never_fires(HOUR, alerts::DATABASE_DOWN);
        test.run();
    }
}

#[test]
fn a_database_that_has_never_answered_pages_nobody() {
    for (source, case, exported) in [
        (
            DatabaseSource::Exporter,
            turning(PG_UP, None, None),
            replicas(2, 2),
        ),
        (
            DatabaseSource::Exporter,
            turning(PG_UP, Some(0.0), Some(0.0)),
            replicas(2, 2),
        ),
        (
            DatabaseSource::Condition,
            turning(PG_UP, None, None),
            database_ready("False", "False"),
        ),
    ] {
        let mut test = test(&symptoms(source), &[case], exported);
        test.never_fires(HOUR, alerts::DATABASE_DOWN);
        test.run();
    }
}

#[test]
fn a_prober_that_is_gone_leaves_its_target_down_and_no_result() {
    let case = [
        turning(PROBE, Some(1.0), None),
        turning(PROBER_UP, Some(1.0), Some(0.0)),
    ];
    let mut test = test(&symptoms(DatabaseSource::Exporter), &case, replicas(2, 2));
    test.is_silent(START + MINUTE, alerts::PROBE_FAILING);
    test.fires(START + 3 * MINUTE, alerts::PROBE_FAILING);
    test.fires(HOUR, alerts::PROBE_FAILING);
    test.run();
}

#[test]
fn an_app_that_is_not_probed_yet_fails_no_probe() {
    let case = [turning(PROBE, None, None), turning(PROBER_UP, None, None)];
    let mut test = test(&symptoms(DatabaseSource::Exporter), &case, replicas(2, 2));
    test.never_fires(HOUR, alerts::PROBE_FAILING);
    test.run();
}

#[test]
fn a_container_of_the_same_name_in_another_apps_pod_is_not_this_apps() {
    let strangers = [
        "my-tasks-5d8f9c7b6d-x7k2p",
        "tasks-api-5d8f9c7b6d-x7k2p",
        "tasks-cache-5d8f9c7b6d-x7k2p",
        "tasks-db-0",
        "tasks",
    ];
    for pod in strangers {
        let of = |series: &str| series.replace("tasks-5d8f9c7b6d-x7k2p", pod);
        let case = [
            growing(&of(CPU), 0.1, 0.45),
            turning(&of(MEMORY), Some(1e8), Some(509_607_936.0)),
        ];
        let mut test = test(&symptoms(DatabaseSource::Exporter), &case, replicas(2, 2));
        test.never_fires(HOUR, alerts::HIGH_CPU_USAGE);
        test.never_fires(HOUR, alerts::HIGH_MEMORY_USAGE);
        test.run();
    }
}

#[test]
fn without_a_cpu_limit_one_core_is_the_measure() {
    let mut symptoms = symptoms(DatabaseSource::Exporter);
    symptoms.high_cpu.as_mut().unwrap().limit_millicores = None;
    for (cores, fires) in [(0.7, false), (0.9, true)] {
        let mut test = test(&symptoms, &[growing(CPU, 0.1, cores)], replicas(2, 2));
        if fires {
            test.fires(HOUR, alerts::HIGH_CPU_USAGE);
        } else {
            test.never_fires(HOUR, alerts::HIGH_CPU_USAGE);
        }
        test.run();
    }
}
