//! Each app's state, as the leader exports it.

use observedapp_api::{AppRef, ObservedAppStatus, SloState};
use observedapp_slo::names::{APP_CONDITION, APP_REPLICAS, condition_status};
use parking_lot::Mutex;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AppLabels {
    namespace: String,
    app: String,
}

impl From<&AppRef> for AppLabels {
    fn from(app: &AppRef) -> Self {
        Self {
            namespace: app.namespace.clone(),
            app: app.name.clone(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ConditionLabels {
    #[prometheus(flatten)]
    app: AppLabels,
    condition: String,
    status: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReplicaLabels {
    #[prometheus(flatten)]
    app: AppLabels,
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PodLabels {
    #[prometheus(flatten)]
    app: AppLabels,
    pod: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SloLabels {
    #[prometheus(flatten)]
    app: AppLabels,
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
    shown: Mutex<std::collections::HashMap<AppRef, AppState>>,
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

    /// Shows an app's state in place of what was shown before; none of one that is gone.
    pub fn show(&self, app: &AppRef, state: Option<AppState>) {
        let mut shown = self.shown.lock();
        if shown.get(app) == state.as_ref() {
            return;
        }
        let labels = AppLabels::from(app);
        if let Some(old) = shown.remove(app) {
            self.ready.remove(&labels);
            for (labels, _) in replicas(&labels, &old) {
                self.replicas.remove(&labels);
            }
            for labels in conditions(&labels, &old) {
                self.conditions.remove(&labels);
            }
            for (labels, _) in restarts(&labels, &old) {
                self.restarts.remove(&labels);
            }
            for labels in slos(&labels, &old) {
                self.slos.remove(&labels);
            }
        }
        let Some(state) = state else {
            self.failures.remove(&labels);
            return;
        };
        self.ready.get_or_create(&labels).set(state.ready.into());
        for (labels, count) in replicas(&labels, &state) {
            self.replicas.get_or_create(&labels).set(count);
        }
        for labels in conditions(&labels, &state) {
            self.conditions.get_or_create(&labels).set(1);
        }
        for (labels, count) in restarts(&labels, &state) {
            self.restarts.get_or_create(&labels).set(count);
        }
        for labels in slos(&labels, &state) {
            self.slos.get_or_create(&labels).set(1);
        }
        shown.insert(app.clone(), state);
    }

    /// Shows how many reconciles of an app have failed in a row.
    pub fn show_failures(&self, app: &AppRef, count: u32) {
        self.failures
            .get_or_create(&AppLabels::from(app))
            .set(count.into());
    }

    /// Shows no app: a replica that does not lead knows nothing of them.
    pub fn clear(&self) {
        self.ready.clear();
        self.conditions.clear();
        self.replicas.clear();
        self.restarts.clear();
        self.failures.clear();
        self.slos.clear();
        self.shown.lock().clear();
    }
}

fn replicas(app: &AppLabels, state: &AppState) -> [(ReplicaLabels, i64); 3] {
    [
        ("wanted", state.wanted),
        ("ready", state.ready_replicas),
        ("updated", state.updated),
    ]
    .map(|(state, count)| {
        let app = app.clone();
        (ReplicaLabels { app, state }, count)
    })
}

fn conditions(app: &AppLabels, state: &AppState) -> impl Iterator<Item = ConditionLabels> {
    state
        .conditions
        .iter()
        .map(|(condition, status)| ConditionLabels {
            app: app.clone(),
            condition: condition.clone(),
            status,
        })
}

fn restarts(app: &AppLabels, state: &AppState) -> impl Iterator<Item = (PodLabels, i64)> {
    state.restarts.iter().map(|(pod, count)| {
        let (app, pod) = (app.clone(), pod.clone());
        (PodLabels { app, pod }, *count)
    })
}

fn slos(app: &AppLabels, state: &AppState) -> impl Iterator<Item = SloLabels> {
    state.slos.iter().map(|(slo, state)| SloLabels {
        app: app.clone(),
        slo: slo.clone(),
        state,
    })
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
        let app = AppRef::new("shop", "tasks");
        apps.show(&app, Some(state("True", &[("tasks-1", 3)])));
        apps.show_failures(&app, 4);
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
        metrics.apps.show(&app, None);
        assert!(!metrics.text().unwrap().contains(r#"app="tasks""#));
    }

    #[test]
    fn what_has_changed_is_shown_in_place_of_what_was() {
        let metrics = Metrics::default();
        let apps = &metrics.apps;
        let app = AppRef::new("shop", "tasks");
        apps.show(&app, Some(state("True", &[("tasks-1", 3)])));
        apps.show_failures(&app, 1);
        apps.show(&app, Some(state("False", &[("tasks-2", 0)])));
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
