//! Each app's state, as the leader exports it.

use std::sync::{Mutex, PoisonError};

use observedapp_api::{ObservedAppStatus, SloState};
use observedapp_slo::names::{APP_CONDITION, APP_REPLICAS, condition_status};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AppLabels {
    namespace: String,
    app: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ConditionLabels {
    namespace: String,
    app: String,
    condition: String,
    status: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReplicaLabels {
    namespace: String,
    app: String,
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PodLabels {
    namespace: String,
    app: String,
    pod: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SloLabels {
    namespace: String,
    app: String,
    slo: String,
    state: &'static str,
}

/// One app's state, as it is exported.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AppState {
    ready: bool,
    /// Type, and status as it is exported.
    conditions: Vec<(String, &'static str)>,
    wanted: i64,
    ready_replicas: i64,
    updated: i64,
    /// By pod.
    restarts: Vec<(String, i64)>,
    slos: Vec<(String, &'static str)>,
}

impl AppState {
    pub fn new(status: &ObservedAppStatus, wanted: i32, updated: i32, restarts: Vec<(String, i64)>) -> Self {
        Self {
            ready: status
                .conditions
                .iter()
                .any(|condition| condition.type_ == "Ready" && condition.status == "True"),
            conditions: status
                .conditions
                .iter()
                .map(|condition| (condition.type_.clone(), exported_status(&condition.status)))
                .collect(),
            wanted: wanted.into(),
            ready_replicas: status.ready_replicas.into(),
            updated: updated.into(),
            restarts,
            slos: status
                .slos
                .iter()
                .map(|slo| (slo.name.clone(), slo_state(slo.state)))
                .collect(),
        }
    }
}

fn exported_status(status: &str) -> &'static str {
    match status {
        "True" => condition_status::TRUE,
        "False" => condition_status::FALSE,
        _ => condition_status::UNKNOWN,
    }
}

fn slo_state(state: SloState) -> &'static str {
    match state {
        SloState::Met => "Met",
        SloState::AtRisk => "AtRisk",
        SloState::Violated => "Violated",
        SloState::NoData => "NoData",
    }
}

/// Gauges of every app; those of an app that is gone go with it.
#[derive(Debug, Default)]
pub struct AppMetrics {
    ready: Family<AppLabels, Gauge>,
    conditions: Family<ConditionLabels, Gauge>,
    replicas: Family<ReplicaLabels, Gauge>,
    restarts: Family<PodLabels, Gauge>,
    failures: Family<AppLabels, Gauge>,
    slos: Family<SloLabels, Gauge>,
    shown: Mutex<std::collections::HashMap<(String, String), AppState>>,
}

impl AppMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "observedapp_app_ready",
            "Whether the app serves",
            self.ready.clone(),
        );
        registry.register(
            APP_CONDITION,
            "1 for the status that each condition of an app has: true, false or unknown",
            self.conditions.clone(),
        );
        registry.register(
            APP_REPLICAS,
            "The app's pods: wanted, ready, updated",
            self.replicas.clone(),
        );
        registry.register(
            "observedapp_app_restarts",
            "How often the containers of each of the app's pods were started again, by the kubelet's count",
            self.restarts.clone(),
        );
        registry.register(
            "observedapp_app_failed_reconciles",
            "How many reconciles of an app have failed in a row, up to the last",
            self.failures.clone(),
        );
        registry.register(
            "observedapp_slo_state",
            "1 for the state that each objective of an app has",
            self.slos.clone(),
        );
    }

    /// Shows an app's state in place of what was shown before.
    pub fn show(&self, namespace: &str, app: &str, state: Option<AppState>) {
        let key = (namespace.to_owned(), app.to_owned());
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if shown.get(&key) == state.as_ref() {
            return;
        }
        if let Some(old) = shown.remove(&key) {
            self.hide(namespace, app, &old);
        }
        let (namespace, app) = key.clone();
        let labels = AppLabels {
            namespace: namespace.clone(),
            app: app.clone(),
        };
        let Some(state) = state else {
            self.failures.remove(&labels);
            return;
        };
        self.ready.get_or_create(&labels).set(state.ready.into());
        for (name, value) in [
            ("wanted", state.wanted),
            ("ready", state.ready_replicas),
            ("updated", state.updated),
        ] {
            self.replicas
                .get_or_create(&replicas(&namespace, &app, name))
                .set(value);
        }
        for (type_, status) in &state.conditions {
            self.conditions
                .get_or_create(&condition(&namespace, &app, type_, status))
                .set(1);
        }
        for (pod, count) in &state.restarts {
            self.restarts
                .get_or_create(&restarts(&namespace, &app, pod))
                .set(*count);
        }
        for (slo, slo_state) in &state.slos {
            self.slos
                .get_or_create(&objective(&namespace, &app, slo, slo_state))
                .set(1);
        }
        shown.insert(key, state);
    }

    /// Shows how many reconciles of an app have failed in a row.
    pub fn show_failures(&self, namespace: &str, app: &str, count: u32) {
        self.failures
            .get_or_create(&AppLabels {
                namespace: namespace.to_owned(),
                app: app.to_owned(),
            })
            .set(count.into());
    }

    /// Shows no app: who does not lead has nothing to say about them.
    pub fn clear(&self) {
        self.ready.clear();
        self.conditions.clear();
        self.replicas.clear();
        self.restarts.clear();
        self.failures.clear();
        self.slos.clear();
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn hide(&self, namespace: &str, app: &str, old: &AppState) {
        self.ready.remove(&AppLabels {
            namespace: namespace.to_owned(),
            app: app.to_owned(),
        });
        for state in ["wanted", "ready", "updated"] {
            self.replicas.remove(&replicas(namespace, app, state));
        }
        for (type_, status) in &old.conditions {
            self.conditions.remove(&condition(namespace, app, type_, status));
        }
        for (pod, _) in &old.restarts {
            self.restarts.remove(&restarts(namespace, app, pod));
        }
        for (slo, state) in &old.slos {
            self.slos.remove(&objective(namespace, app, slo, state));
        }
    }
}

fn replicas(namespace: &str, app: &str, state: &'static str) -> ReplicaLabels {
    ReplicaLabels {
        namespace: namespace.to_owned(),
        app: app.to_owned(),
        state,
    }
}

fn condition(namespace: &str, app: &str, type_: &str, status: &'static str) -> ConditionLabels {
    ConditionLabels {
        namespace: namespace.to_owned(),
        app: app.to_owned(),
        condition: type_.to_owned(),
        status,
    }
}

fn restarts(namespace: &str, app: &str, pod: &str) -> PodLabels {
    PodLabels {
        namespace: namespace.to_owned(),
        app: app.to_owned(),
        pod: pod.to_owned(),
    }
}

fn objective(namespace: &str, app: &str, slo: &str, state: &'static str) -> SloLabels {
    SloLabels {
        namespace: namespace.to_owned(),
        app: app.to_owned(),
        slo: slo.to_owned(),
        state,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::Metrics;
    use super::*;

    fn state(ready: &str, restarts: &[(&str, i64)]) -> AppState {
        let status = serde_json::from_value(serde_json::json!({
            "readyReplicas": 1,
            "conditions": [{
                "type": "Ready", "status": ready, "reason": "R", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z",
            }],
        }));
        let restarts = restarts.iter().map(|(pod, count)| ((*pod).to_owned(), *count));
        AppState::new(&status.unwrap(), 2, 1, restarts.collect())
    }

    #[test]
    fn an_app_that_is_gone_is_shown_no_more() {
        let metrics = Metrics::default();
        let apps = &metrics.apps;
        apps.show("shop", "tasks", Some(state("True", &[("tasks-1", 3)])));
        apps.show_failures("shop", "tasks", 4);
        let text = metrics.text().unwrap();
        for series in [
            r#"observedapp_app_ready{namespace="shop",app="tasks"} 1"#,
            r#"observedapp_app_condition{namespace="shop",app="tasks",condition="Ready",status="true"} 1"#,
            r#"observedapp_app_replicas{namespace="shop",app="tasks",state="wanted"} 2"#,
            r#"observedapp_app_restarts{namespace="shop",app="tasks",pod="tasks-1"} 3"#,
            r#"observedapp_app_failed_reconciles{namespace="shop",app="tasks"} 4"#,
        ] {
            assert!(text.contains(series), "{series} is not in\n{text}");
        }
        metrics.apps.show("shop", "tasks", None);
        assert!(!metrics.text().unwrap().contains(r#"app="tasks""#));
    }

    #[test]
    fn what_has_changed_is_shown_in_place_of_what_was() {
        let metrics = Metrics::default();
        let apps = &metrics.apps;
        apps.show("shop", "tasks", Some(state("True", &[("tasks-1", 3)])));
        apps.show_failures("shop", "tasks", 1);
        apps.show("shop", "tasks", Some(state("False", &[("tasks-2", 0)])));
        let text = metrics.text().unwrap();
        assert!(text.contains(r#"condition="Ready",status="false"} 1"#), "{text}");
        assert!(!text.contains(r#"status="true""#), "{text}");
        assert!(text.contains(r#"pod="tasks-2"} 0"#), "{text}");
        assert!(!text.contains("tasks-1"), "{text}");
        assert!(
            text.contains("failed_reconciles{namespace=\"shop\",app=\"tasks\"} 1"),
            "{text}"
        );
    }
}
