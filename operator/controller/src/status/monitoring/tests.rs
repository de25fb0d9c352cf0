#![allow(clippy::unwrap_used)]
use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use observedapp_api::{AppRef, ConditionType, FIGURES, ObservedAppSpec, ObservedAppStatus, SloState};
use observedapp_desired::Desired;
use serde_json::json;

use crate::prometheus::numbers::Retention;
use crate::prometheus::{
    Figures, PollResult, PrometheusFacts, PrometheusInstances, PrometheusSettings, View,
};
use crate::status::{Facts, Progress, compose};

fn spec() -> ObservedAppSpec {
    serde_json::from_value(json!({
        "image": "tasks:1", "metrics": {},
        "slos": [{"name": "availability", "objective": 99.9, "indicator": {"availability": {}}}],
    }))
    .unwrap()
}

/// `tasks`, whose rules with the hash `h` are applied.
struct Case {
    id: AppRef,
    spec: ObservedAppSpec,
    progress: Progress,
    prometheus: PrometheusFacts,
    before: ObservedAppStatus,
    is_probed: bool,
}

impl Case {
    fn new(poll: PollResult, view: View) -> Self {
        let instances = PrometheusInstances::nothing(PrometheusSettings {
            url: Some("http://prometheus".to_owned()),
            ..PrometheusSettings::default()
        });
        Self {
            id: AppRef::new("shop", "tasks"),
            spec: spec(),
            progress: Progress::applied(Desired {
                rules_hash: Some("h".to_owned()),
                ..Desired::default()
            }),
            prometheus: PrometheusFacts {
                poll,
                retention: Retention::read("15d"),
                view: Arc::new(view),
                instances: Arc::new(instances),
            },
            before: ObservedAppStatus::default(),
            is_probed: false,
        }
    }

    fn instances(&mut self) -> &mut PrometheusInstances {
        Arc::make_mut(&mut self.prometheus.instances)
    }

    fn status(&self) -> ObservedAppStatus {
        let facts = Facts {
            probe: self.is_probed.then(Arc::default),
            prometheus: Some(self.prometheus.clone()),
            ..Facts::without_objects(&self.id, &self.spec, &self.progress)
        };
        compose(&facts, &self.before, None, Timestamp::UNIX_EPOCH).status
    }

    /// Status, reason and message of a condition.
    fn condition(&self, type_: ConditionType) -> (String, String, String) {
        let conditions = self.status().conditions;
        let found = conditions
            .into_iter()
            .find(|condition| condition.type_ == type_.as_str())
            .unwrap();
        (found.status, found.reason, found.message)
    }

    fn reasons(&self) -> Vec<(String, String, String)> {
        let types = [
            ConditionType::Monitored,
            ConditionType::RulesLoaded,
            ConditionType::HistoryKept,
            ConditionType::SLOsMet,
        ];
        types
            .into_iter()
            .map(|type_| {
                let (status, reason, _) = self.condition(type_);
                (type_.as_str().to_owned(), status, reason)
            })
            .collect()
    }
}

#[test]
fn a_probe_that_does_not_exist_yet_has_no_target_to_miss() {
    let monitored = |spec: serde_json::Value, is_probed| {
        let case = Case {
            spec: serde_json::from_value(spec).unwrap(),
            is_probed,
            ..Case::new(PollResult::Answered, healthy())
        };
        case.condition(ConditionType::Monitored)
    };
    let both = json!({"image": "tasks:1", "metrics": {}, "probe": {}});
    let (status, reason, message) = monitored(both.clone(), false);
    assert_eq!((status.as_str(), reason.as_str()), ("True", "Scraped"));
    assert!(message.contains("once the app answers"), "{message}");
    assert_eq!(monitored(both, true).1, "NoTargets");
    let alone = json!({"image": "tasks:1", "probe": {}});
    let (status, reason, _) = monitored(alone, false);
    assert_eq!((status.as_str(), reason.as_str()), ("Unknown", "NotAnsweredYet"));
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
                is_evaluated: true,
            },
        )]
        .into(),
        ..View::default()
    }
}

#[test]
fn an_app_that_is_scraped_and_within_budget_says_so() {
    let case = Case::new(PollResult::Answered, healthy());
    let reasons = case.reasons();
    let reasons: Vec<_> = reasons
        .iter()
        .map(|(type_, status, reason)| (type_.as_str(), status.as_str(), reason.as_str()))
        .collect();
    assert_eq!(
        reasons,
        [
            ("Monitored", "True", "Scraped"),
            ("RulesLoaded", "True", "Loaded"),
            ("HistoryKept", "False", "RetentionTooShort"),
            ("SLOsMet", "True", "AtRisk"),
        ]
    );
    let slo = case.status().slos.remove(0);
    assert_eq!(slo.sli.as_deref(), Some("99.95%"));
    assert_eq!(slo.budget_remaining.as_deref(), Some("50%"));
    assert_eq!(slo.exhausts_in.as_deref(), Some("10d"));
    assert_eq!(slo.state, SloState::AtRisk);
    let (_, _, message) = case.condition(ConditionType::SLOsMet);
    assert!(
        message.contains("fires: availability (") && message.contains(FIGURES),
        "{message}"
    );
}

#[test]
fn rules_that_are_not_evaluated_do_not_say_that_no_alert_fires() {
    let mut view = healthy();
    let firing = |view| Case::new(PollResult::Answered, view).status().firing_alerts;
    assert_eq!(firing(view.clone()), Some(0));
    view.hashes.clear();
    assert_eq!(firing(view), None);
}

#[test]
fn rules_that_do_not_run_prove_nothing() {
    let mut overdue = healthy();
    overdue.slos.insert("availability".to_owned(), Figures::default());
    let before = Case::new(PollResult::Answered, healthy()).status();
    let mut case = Case::new(PollResult::Answered, overdue);
    let (status, reason, _) = case.condition(ConditionType::SLOsMet);
    assert_eq!(
        (status.as_str(), reason.as_str()),
        ("Unknown", "NoData"),
        "a status that says nothing yet has nothing to keep"
    );
    case.before = before.clone();
    let after = case.status();
    assert_eq!((after.slos, after.worst_slo), (before.slos, before.worst_slo));
    let (status, reason, _) = case.condition(ConditionType::SLOsMet);
    assert_eq!((status.as_str(), reason.as_str()), ("Unknown", "NotRecorded"));
}

fn unreachable() -> PollResult {
    PollResult::Unreachable("connection refused".to_owned())
}

#[test]
fn an_operator_that_starts_while_prometheus_is_away_keeps_what_the_status_says() {
    let before = Case::new(PollResult::Answered, healthy()).status();
    let away = Case {
        before: before.clone(),
        ..Case::new(unreachable(), View::default())
    };
    let after = away.status();
    assert_eq!((after.slos, after.firing_alerts), (before.slos, None));
}

#[test]
fn until_the_first_poll_the_status_stays_as_it_was() {
    let case = Case::new(PollResult::Answered, healthy());
    let before = case.status();
    let facts = Facts::without_objects(&case.id, &case.spec, &case.progress);
    let after = compose(&facts, &before, None, Timestamp::UNIX_EPOCH).status;
    assert_eq!(after, before);
}

#[test]
fn without_prometheus_nothing_is_false_that_is_only_unknown() {
    let case = Case::new(unreachable(), healthy());
    for (type_, status, reason) in case.reasons() {
        assert_eq!(
            (status.as_str(), reason.as_str()),
            ("Unknown", "PrometheusUnreachable"),
            "{type_}"
        );
    }
    let sli = case.status().slos.remove(0).sli;
    assert_eq!(sli.as_deref(), Some("99.95%"), "what was last heard stays");
}

#[test]
fn a_prometheus_that_is_not_trusted_is_named_with_the_setting() {
    let mut case = Case::new(PollResult::Answered, healthy());
    case.instances().untrusted = Some("hostile/first".to_owned());
    assert_eq!(
        case.condition(ConditionType::Monitored).1,
        "Scraped",
        "the URL was given"
    );
    case.prometheus.poll = PollResult::NoPrometheus;
    case.instances().settings.url = None;
    let (_, reason, message) = case.condition(ConditionType::Monitored);
    assert_eq!(reason, "PrometheusNotTrusted");
    for word in [
        "hostile/first",
        "prometheus.namespaces",
        "--prometheus-namespaces",
    ] {
        assert!(message.contains(word), "{message}");
    }
    case.instances().untrusted = None;
    case.instances().settings.namespaces = ["monitoring".to_owned()].into();
    let (_, reason, message) = case.condition(ConditionType::Monitored);
    assert_eq!(reason, "NoPrometheus");
    assert!(
        message.contains("in the trusted namespaces (monitoring)"),
        "{message}"
    );
    case.instances().settings.confined = true;
    let (_, _, message) = case.condition(ConditionType::Monitored);
    assert!(message.contains("confined to namespaces"), "{message}");
}

#[test]
fn no_traffic_is_no_data_and_never_a_hundred_percent() {
    let case = Case::new(PollResult::Answered, View::default());
    let slo = case.status().slos.remove(0);
    assert_eq!((slo.state, slo.sli), (SloState::NoData, None));
    let (status, reason, _) = case.condition(ConditionType::SLOsMet);
    assert_eq!((status.as_str(), reason.as_str()), ("Unknown", "NoData"));
}

#[test]
fn an_objective_that_cannot_be_measured_is_reported_though_others_are_met() {
    let mut view = healthy();
    view.unmeasurable
        .insert("latency".to_owned(), Some("use 200ms or 300ms".to_owned()));
    let (status, reason, message) = Case::new(PollResult::Answered, view).condition(ConditionType::SLOsMet);
    assert_eq!((status.as_str(), reason.as_str()), ("Unknown", "NotMeasurable"));
    assert!(message.contains("the objective latency"), "{message}");
    assert!(message.contains("use 200ms or 300ms"), "{message}");
}

#[test]
fn rules_that_are_loaded_and_fail_are_not_taken_for_good() {
    let mut view = healthy();
    view.rule_error = Some("Backlog: found duplicate series".to_owned());
    let (status, reason, message) =
        Case::new(PollResult::Answered, view).condition(ConditionType::RulesLoaded);
    assert_eq!((status.as_str(), reason.as_str()), ("False", "RuleFails"));
    assert!(
        message.contains("the rule Backlog: found duplicate series"),
        "{message}"
    );
}

#[test]
fn a_target_that_is_down_says_why() {
    let mut view = healthy();
    view.jobs.insert("tasks".to_owned(), (1, 1));
    view.errors
        .insert("tasks".to_owned(), "server returned HTTP status 404".to_owned());
    let (_, reason, message) = Case::new(PollResult::Answered, view).condition(ConditionType::Monitored);
    assert_eq!(reason, "TargetDown");
    assert!(message.contains("HTTP status 404"), "{message}");
}
