//! Each app's state, as the leader exports it.

use observedapp_api::{AppRef, ObservedAppStatus, ReleaseStatus, SloState};
use observedapp_slo::names::{APP_CONDITION, APP_REPLICAS, RELEASE_BEGAN, RELEASE_INFO, condition_status};
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

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReleaseLabels {
    #[prometheus(flatten)]
    app: AppLabels,
    release: i64,
    image: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReleaseBeganLabels {
    #[prometheus(flatten)]
    app: AppLabels,
    release: i64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PhaseLabels {
    #[prometheus(flatten)]
    app: AppLabels,
    phase: String,
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
    /// The release that the spec asks for, where releases are recorded.
    release: Option<ReleaseStatus>,
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
            release: status.release.clone().map(|release| ReleaseStatus {
                // What is compared is not exported.
                comparison: Vec::new(),
                ..release
            }),
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
    releases: Family<ReleaseLabels, Gauge>,
    release_began: Family<ReleaseBeganLabels, Gauge>,
    release_phases: Family<PhaseLabels, Gauge>,
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
        registry.register(
            RELEASE_INFO,
            "1 for the release that an app's spec asks for, where releases are recorded (spec.rollout.guard)",
            self.releases.clone(),
        );
        registry.register(
            RELEASE_BEGAN,
            "When an app's spec asked for that release, in seconds since 1970",
            self.release_began.clone(),
        );
        registry.register(
            "observedapp_release_phase",
            "1 for the phase that this release is in, as status.release.phase has it",
            self.release_phases.clone(),
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
            if let Some(release) = &old.release {
                self.releases.remove(&release_labels(&labels, release));
                self.release_began.remove(&began_labels(&labels, release));
                self.release_phases.remove(&phase_labels(&labels, release));
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
        if let Some(release) = &state.release {
            self.releases
                .get_or_create(&release_labels(&labels, release))
                .set(1);
            if let Some(began) = &release.began {
                self.release_began
                    .get_or_create(&began_labels(&labels, release))
                    .set(began.0.as_second());
            }
            self.release_phases
                .get_or_create(&phase_labels(&labels, release))
                .set(1);
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
        self.releases.clear();
        self.release_began.clear();
        self.release_phases.clear();
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

fn release_labels(app: &AppLabels, release: &ReleaseStatus) -> ReleaseLabels {
    ReleaseLabels {
        app: app.clone(),
        release: release.number,
        image: release.image.clone(),
    }
}

fn began_labels(app: &AppLabels, release: &ReleaseStatus) -> ReleaseBeganLabels {
    ReleaseBeganLabels {
        app: app.clone(),
        release: release.number,
    }
}

fn phase_labels(app: &AppLabels, release: &ReleaseStatus) -> PhaseLabels {
    PhaseLabels {
        app: app.clone(),
        phase: release.phase.clone(),
    }
}

#[cfg(test)]
mod tests;
