//! What the operator asks, word for word, asked of a real Prometheus.
#![allow(clippy::unwrap_used)]

use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use golden_tests::prometheus::Prometheus;
use jiff::Timestamp;
use observedapp_api::{AppRef, ObservedApp, ObservedAppStatus, SloState};
use observedapp_desired::{Desired, Observed, Settings, rules, validate};
use serde_json::{Value, json};

use super::client::{Access, Server};
use super::details::rule_error;
use super::poll::answers;
use super::queries;
use super::samples::Sample;
use super::{PollResult, PrometheusFacts, PrometheusInstances, PrometheusSettings, View};
use crate::status::{Facts, Progress, compose};

/// Seconds between two samples.
const SCRAPE: u64 = 15;
const HOUR: u64 = 3_600;
/// Rules that are evaluated every second have recorded everything after two of them; this is for a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// One objective that burns, one without traffic, and a rule that cannot be evaluated.
fn app() -> ObservedApp {
    let app = json!({
        "apiVersion": "observedapp.dev/v1alpha1", "kind": "ObservedApp",
        "metadata": {"name": "tasks", "namespace": "shop"},
        "spec": {
            "image": "tasks:1", "metrics": {},
            "slos": [
                {"name": "availability", "objective": 99.9, "indicator": {"availability": {}}},
                {"name": "quiet", "objective": 99.9,
                    "indicator": {"availability": {"matchers": r#"route="/nobody""#}}},
            ],
            "alerts": {"extra": [{"alert": "Backlog", "expr": "jobs_total > on(namespace) jobs_total"}]},
        },
    });
    serde_json::from_value(app).unwrap()
}

fn seconds_now() -> u64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

/// The last hour of a counter or gauge, by what it was that many seconds after its begin.
fn hour(text: &mut String, series: &str, end: u64, value: impl Fn(u64) -> u64) {
    for second in (0..=HOUR).step_by(SCRAPE as usize) {
        writeln!(text, "{series} {} {}", value(second), end - HOUR + second).unwrap();
    }
}

/// Twenty requests a second for an hour, of which one fails.
fn counters(end: u64) -> String {
    let mut text = "# TYPE http_requests_total gauge\n".to_owned();
    for (code, a_second) in [("200", 19), ("500", 1)] {
        let series = format!(r#"http_requests_total{{namespace="shop",job="tasks",code="{code}"}}"#);
        hour(&mut text, &series, end, |second| second * a_second);
    }
    text += "# TYPE jobs_total gauge\n";
    for queue in ["a", "b"] {
        let series = format!(r#"jobs_total{{namespace="shop",queue="{queue}"}}"#);
        hour(&mut text, &series, end, |_| 1);
    }
    text += "# TYPE up gauge\n";
    for instance in ["1", "2"] {
        let series = format!(r#"up{{namespace="shop",job="tasks",instance="{instance}"}}"#);
        hour(&mut text, &series, end, |_| 1);
    }
    text + "# EOF\n"
}

/// Prometheus' rules of the app, all of them evaluated every second, and their hash.
fn rules_of(app: &ObservedApp) -> (Value, String) {
    let app = validate(app, Observed::default(), Settings::default()).unwrap();
    let rules = rules(&app);
    let mut groups = json!(rules.groups);
    for group in groups.as_array_mut().unwrap() {
        group["interval"] = json!("1s");
    }
    (groups, rules.hash)
}

fn status_of(app: &ObservedApp, view: View, hash: &str) -> ObservedAppStatus {
    let instances = PrometheusInstances::nothing(PrometheusSettings {
        url: Some("http://prometheus".to_owned()),
        ..PrometheusSettings::default()
    });
    let progress = Progress::applied(Desired {
        rules_hash: Some(hash.to_owned()),
        ..Desired::default()
    });
    let id = AppRef::from(app);
    let facts = Facts {
        prometheus: Some(PrometheusFacts {
            poll: PollResult::Answered,
            retention: None,
            view: Arc::new(view),
            instances: Arc::new(instances),
        }),
        ..Facts::without_objects(&id, &app.spec, &progress)
    };
    compose(&facts, &ObservedAppStatus::default(), None, Timestamp::now()).status
}

#[tokio::test]
async fn every_figure_alert_and_failure_that_prometheus_knows_reaches_the_status() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let app = app();
    let (groups, hash) = rules_of(&app);
    let now = seconds_now();
    // As prometheus-operator names the file.
    let prometheus = Prometheus::with_rules(&counters(now - now % SCRAPE), "shop-tasks-0aa0.yaml", &groups);
    let server = Server::new(prometheus.url(), &Access::default()).unwrap();

    let patience = Instant::now() + PATIENCE;
    let id = AppRef::from(&app);
    let (view, status) = loop {
        let mut answers = answers(&server).await.unwrap();
        let failing = answers.fails(&id);
        let view = answers.take(&id);
        let status = status_of(&app, view.clone(), &hash);
        let burning = &status.slos[0];
        let complete = failing
            && !status.alerts.is_empty()
            && [
                &burning.sli,
                &burning.budget_remaining,
                &burning.burn_rate,
                &burning.window_coverage,
            ]
            .into_iter()
            .all(Option::is_some);
        if complete {
            break (view, status);
        }
        assert!(
            Instant::now() < patience,
            "a rule that fails: {failing}; {view:#?}"
        );
        tokio::time::sleep(Duration::from_millis(250)).await;
    };

    assert_eq!(view.jobs["tasks"], (2, 0));
    assert!(view.hashes.contains(&hash), "{:?}", view.hashes);
    let [burning, quiet] = status.slos.as_slice() else {
        panic!("{:?}", status.slos);
    };
    // The others count evaluations, of which there are too many here to be exact.
    assert_eq!(burning.burn_rate.as_deref(), Some("50.0x"));
    assert_eq!(burning.state, SloState::AtRisk);
    assert!(burning.exhausts_in.is_some(), "{burning:?}");
    let observed_at = burning.observed_at.as_ref().unwrap().0.as_second();
    assert!(
        (now.cast_signed()..=seconds_now().cast_signed()).contains(&observed_at),
        "{observed_at}"
    );
    assert!(view.slos["availability"].is_evaluated);
    assert_eq!((quiet.state, &quiet.sli), (SloState::NoData, &None));
    assert_eq!(status.worst_slo.as_ref(), Some(burning));

    let page = status
        .alerts
        .iter()
        .find(|alert| alert.name == "ErrorBudgetBurnFast")
        .unwrap();
    assert_eq!(
        (page.slo.as_deref(), page.severity.as_deref()),
        (Some("availability"), Some("critical"))
    );
    assert!(page.since.is_some(), "{page:?}");

    let error = rule_error(&server, &id).await.unwrap().unwrap();
    assert!(error.starts_with("Backlog: "), "{error}");
    assert_eq!(
        rule_error(&server, &AppRef::new("shop", "other")).await.unwrap(),
        None
    );
}

#[tokio::test]
async fn a_rule_that_fails_every_five_minutes_fails_all_the_time() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut text = "# TYPE prometheus_rule_evaluation_failures_total gauge\n".to_owned();
    let group = "/etc/prometheus/rules/shop-tasks-0aa0.yaml;slo-availability-slots";
    let series = format!(r#"prometheus_rule_evaluation_failures_total{{rule_group="{group}"}}"#);
    hour(&mut text, &series, seconds_now(), |second| second / 300);
    let prometheus = Prometheus::with_openmetrics(&(text + "# EOF\n"));
    let server = Server::new(prometheus.url(), &Access::default()).unwrap();
    let polls = format!("count_over_time(({})[40m:15s])", queries::FAILING);
    let answered = server.query(&polls).await.unwrap();
    let answered: Vec<f64> = answered.iter().map(Sample::value).collect();
    assert_eq!(answered, [160.0], "polls that saw it, in forty minutes");
}
