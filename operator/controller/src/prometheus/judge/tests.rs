#![allow(clippy::unwrap_used)]
use std::collections::BTreeSet;

use observedapp_api::{FIGURES, SloState};
use serde_json::json;

use super::super::instances::{PrometheusInstances, PrometheusSettings};
use super::super::numbers::Retention;
use super::super::view::{Evaluated, Figures};
use super::*;

fn app() -> ObservedApp {
    serde_json::from_value(json!({
        "apiVersion": "observedapp.dev/v1alpha1", "kind": "ObservedApp",
        "metadata": {"name": "tasks", "namespace": "shop"},
        "spec": {
            "image": "tasks:1", "metrics": {},
            "slos": [{"name": "availability", "objective": 99.9, "indicator": {"availability": {}}}],
        },
    }))
    .unwrap()
}

fn known(last_poll: PollResult, view: View) -> Known {
    let url = "http://prometheus".to_owned();
    Known {
        found: PrometheusInstances::nothing(PrometheusSettings {
            url: Some(url.clone()),
            ..PrometheusSettings::default()
        }),
        servers: [(
            url,
            ServerState {
                last_poll,
                retention: Retention::read("15d"),
            },
        )]
        .into(),
        views: [(("shop".to_owned(), "tasks".to_owned()), view)].into(),
    }
}

fn findings(known: &Known) -> Vec<(ConditionType, &'static str, String)> {
    proof(known)
        .findings
        .into_iter()
        .map(|finding| (finding.type_, finding.status.as_str(), finding.reason))
        .collect()
}

fn proof(known: &Known) -> Proof {
    let settings = Settings::default();
    let expected = Expected {
        settings: &settings,
        rules_hash: Some("h"),
        missing: &[],
        is_probed: false,
        wanted: 2,
    };
    judge(known, &app(), &expected, &[]).unwrap()
}

#[test]
fn a_probe_that_does_not_exist_yet_has_no_target_to_miss() {
    let monitored = |spec: serde_json::Value, is_probed| {
        let mut app = app();
        app.spec = serde_json::from_value(spec).unwrap();
        let settings = Settings {
            prober_url: Some("prober:9115".to_owned()),
            ..Settings::default()
        };
        let expected = Expected {
            settings: &settings,
            rules_hash: Some("h"),
            missing: &[],
            is_probed,
            wanted: 2,
        };
        let known = known(PollResult::Answered, healthy());
        let finding = judge(&known, &app, &expected, &[]).unwrap().findings.remove(0);
        (finding.status.as_str(), finding.reason, finding.message)
    };
    let both = json!({"image": "tasks:1", "metrics": {}, "probe": {}});
    let (status, reason, message) = monitored(both.clone(), false);
    assert_eq!((status, reason.as_str()), ("True", "Scraped"));
    assert!(message.contains("once the app answers"), "{message}");
    assert_eq!(monitored(both, true).1, "NoTargets");
    let alone = json!({"image": "tasks:1", "probe": {}});
    let (status, reason, _) = monitored(alone, false);
    assert_eq!((status, reason.as_str()), ("Unknown", "NotAnsweredYet"));
}

fn healthy() -> View {
    View {
        jobs: [("tasks".to_owned(), (2, 0))].into(),
        hashes: BTreeSet::from(["h".to_owned()]),
        slos: [(
            "availability".to_owned(),
            Figures {
                error_ratio: Some(0.0005),
                budget: Some(0.5),
                burn: Some(1.4),
                coverage: Some(0.12),
                recorded_at: Some(1_700_000_000),
                evaluated: Evaluated::Yes,
            },
        )]
        .into(),
        ..View::default()
    }
}

#[test]
fn an_app_that_is_scraped_and_within_budget_says_so() {
    let known = known(PollResult::Answered, healthy());
    assert_eq!(
        findings(&known),
        [
            (ConditionType::Monitored, "True", "Scraped".to_owned()),
            (ConditionType::RulesLoaded, "True", "Loaded".to_owned()),
            (
                ConditionType::HistoryKept,
                "False",
                "RetentionTooShort".to_owned()
            ),
            (ConditionType::SLOsMet, "True", "AtRisk".to_owned()),
        ]
    );
    let slo = proof(&known).slos.remove(0);
    assert_eq!(slo.sli.as_deref(), Some("99.95%"));
    assert_eq!(slo.budget_remaining.as_deref(), Some("50%"));
    assert_eq!(slo.exhausts_in.as_deref(), Some("10d"));
    assert_eq!(slo.state, SloState::AtRisk);
    let message = proof(&known).findings.pop().unwrap().message;
    assert!(
        message.contains("fires: availability (") && message.contains(FIGURES),
        "{message}"
    );
}

#[test]
fn rules_that_are_not_evaluated_do_not_say_that_no_alert_fires() {
    let mut view = healthy();
    assert_eq!(
        proof(&known(PollResult::Answered, view.clone())).firing_alerts,
        Some(0)
    );
    view.hashes.clear();
    assert_eq!(proof(&known(PollResult::Answered, view)).firing_alerts, None);
}

#[test]
fn rules_that_do_not_run_prove_nothing() {
    let known = |figures: Option<Figures>| {
        let mut view = healthy();
        if let Some(figures) = figures {
            view.slos.insert("availability".to_owned(), figures);
        }
        known(PollResult::Answered, view)
    };
    let overdue = Some(Figures::default());
    let settings = Settings::default();
    let expected = Expected {
        settings: &settings,
        rules_hash: Some("h"),
        missing: &[],
        is_probed: false,
        wanted: 2,
    };
    let before = proof(&known(None)).slos;
    let after = judge(&known(overdue), &app(), &expected, &before).unwrap();
    assert_eq!(after.slos, before);
    assert_eq!(after.worst_slo, before.first().cloned());
    let finding = after.findings.last().unwrap();
    assert_eq!(
        (finding.status.as_str(), finding.reason.as_str()),
        ("Unknown", "NotRecorded")
    );
    // A status that says nothing yet has nothing to keep.
    let finding = proof(&known(overdue)).findings.pop().unwrap();
    assert_eq!(
        (finding.status.as_str(), finding.reason.as_str()),
        ("Unknown", "NoData")
    );
}

#[test]
fn an_operator_that_starts_while_prometheus_is_away_keeps_what_the_status_says() {
    let before = proof(&known(PollResult::Answered, healthy())).slos;
    let settings = Settings::default();
    let expected = Expected {
        settings: &settings,
        rules_hash: Some("h"),
        missing: &[],
        is_probed: false,
        wanted: 2,
    };
    let away = known(
        PollResult::Unreachable("connection refused".to_owned()),
        View::default(),
    );
    let after = judge(&away, &app(), &expected, &before).unwrap();
    assert_eq!((after.slos, after.firing_alerts), (before, None));
}

#[test]
fn without_prometheus_nothing_is_false_that_is_only_unknown() {
    let known = known(
        PollResult::Unreachable("connection refused".to_owned()),
        healthy(),
    );
    for (type_, status, reason) in findings(&known) {
        assert_eq!(
            (status, reason.as_str()),
            ("Unknown", "PrometheusUnreachable"),
            "{type_:?}"
        );
    }
    // What was last heard stays, with its time.
    assert_eq!(proof(&known).slos[0].sli.as_deref(), Some("99.95%"));
}

#[test]
fn a_prometheus_that_is_not_trusted_is_named_with_the_setting() {
    let mut known = known(PollResult::Answered, healthy());
    known.found.untrusted = Some("hostile/first".to_owned());
    assert_eq!(proof(&known).findings[0].reason, "Scraped", "the URL was given");
    known.found.settings.url = None;
    let finding = proof(&known).findings.remove(0);
    assert_eq!(finding.reason, "PrometheusNotTrusted");
    for word in [
        "hostile/first",
        "prometheus.namespaces",
        "--prometheus-namespaces",
    ] {
        assert!(finding.message.contains(word), "{}", finding.message);
    }
    known.found.untrusted = None;
    known.found.settings.namespaces = ["monitoring".to_owned()].into();
    let finding = proof(&known).findings.remove(0);
    assert_eq!(finding.reason, "NoPrometheus");
    assert!(
        finding.message.contains("in the trusted namespaces (monitoring)"),
        "{}",
        finding.message
    );
    known.found.settings.confined = true;
    let finding = proof(&known).findings.remove(0);
    assert!(
        finding.message.contains("confined to namespaces"),
        "{}",
        finding.message
    );
}

#[test]
fn no_traffic_is_no_data_and_never_a_hundred_percent() {
    let known = known(PollResult::Answered, View::default());
    let slo = proof(&known).slos.remove(0);
    assert_eq!((slo.state, slo.sli), (SloState::NoData, None));
    let met = findings(&known).pop().unwrap();
    assert_eq!(met, (ConditionType::SLOsMet, "Unknown", "NoData".to_owned()));
}

#[test]
fn an_objective_that_cannot_be_judged_is_told_though_others_are_met() {
    let mut view = healthy();
    view.unmeasurable
        .insert("latency".to_owned(), Some("use 200ms or 300ms".to_owned()));
    let known = known(PollResult::Answered, view);
    let finding = proof(&known).findings.pop().unwrap();
    assert_eq!(
        (finding.status.as_str(), finding.reason.as_str()),
        ("Unknown", "NotMeasurable")
    );
    assert!(
        finding.message.contains("the objective latency"),
        "{}",
        finding.message
    );
    assert!(
        finding.message.contains("use 200ms or 300ms"),
        "{}",
        finding.message
    );
}

#[test]
fn rules_that_are_loaded_and_fail_are_not_taken_for_good() {
    let mut view = healthy();
    view.rule_error = Some("Backlog: found duplicate series".to_owned());
    let finding = proof(&known(PollResult::Answered, view)).findings.remove(1);
    assert_eq!(
        (finding.status.as_str(), finding.reason.as_str()),
        ("False", "RuleFails")
    );
    assert!(
        finding
            .message
            .contains("the rule Backlog: found duplicate series")
    );
}

#[test]
fn a_target_that_is_down_says_why() {
    let mut view = healthy();
    view.jobs.insert("tasks".to_owned(), (1, 1));
    view.errors
        .insert("tasks".to_owned(), "server returned HTTP status 404".to_owned());
    let known = known(PollResult::Answered, view);
    let finding = proof(&known).findings.remove(0);
    assert_eq!(finding.reason, "TargetDown");
    assert!(
        finding
            .message
            .contains("1 of 2 targets of the job tasks are down: server returned HTTP status 404")
    );
}
