//! From facts to what the resource says of itself. All of it is pure: no cluster, and no clock but the one given.

mod applied;
mod availability;
mod change;
mod cloud_native_pg;
mod condition;
mod exposure;
mod facts;
mod http_route;
mod merge;
mod monitoring;
mod pod_faults;
mod probe_faults;
mod progress;
mod ready;
#[cfg(test)]
mod recorded;
mod released;
mod scaling;
mod services;
mod slos;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use observedapp_api::{BindingStatus, ConditionType, ObservedAppStatus, Reason};

pub use facts::Facts;
pub use merge::{Transition, noteworthy};
pub use progress::Progress;

use condition::ConditionState;

/// A new status, and the conditions that changed with it.
#[derive(Debug)]
pub struct Composed {
    pub status: ObservedAppStatus,
    pub transitions: Vec<Transition>,
}

/// All that is to be said of an app, with what was said `before` where nothing newer is known.
pub fn compose(
    facts: &Facts<'_>,
    before: &ObservedAppStatus,
    generation: Option<i64>,
    now: Timestamp,
) -> Composed {
    let slos = facts
        .prometheus
        .as_ref()
        .map(|prometheus| slos::reports(&facts.spec.slos, &prometheus.view, &before.slos));
    let (mut conditions, transitions) = merge::merge(
        &before.conditions,
        conditions(facts, slos.as_deref()),
        generation,
        now,
    );
    let pods = facts.deployment_facts().cloned().unwrap_or_default();
    let desired = facts.progress.desired();
    let mut status = ObservedAppStatus {
        observed_generation: generation,
        replicas: pods.replicas,
        ready_replicas: pods.ready,
        selector: Some(format!(
            "app.kubernetes.io/component=app,app.kubernetes.io/instance={0},app.kubernetes.io/name={0}",
            facts.app.name
        )),
        url: Some(exposure::url(facts)),
        binding: desired
            .and_then(|desired| desired.binding.clone())
            .map(|name| BindingStatus { name })
            .or_else(|| before.binding.clone().filter(|_| facts.spec.database.is_some())),
        applied: match facts.progress {
            Progress::Applied { outcome, .. } => outcome.hash.clone(),
            Progress::Unobserved(_) | Progress::Invalid(_) | Progress::Paused(_) => before.applied.clone(),
        },
        ..ObservedAppStatus::default()
    };
    (status.release, status.releases) = match (facts.releases(), facts.spec.rollout.guard.is_some()) {
        (Some(releases), _) => released::listed(releases),
        // Nothing is decided of an app that cannot be read.
        (None, true) => (before.release.clone(), before.releases.clone()),
        (None, false) => (None, Vec::new()),
    };
    if let (Some(prometheus), Some(slos)) = (&facts.prometheus, slos) {
        let firing = prometheus.firing();
        status.firing_alerts = firing.map(crate::prometheus::count);
        status.alerts = firing.map(crate::prometheus::listed).unwrap_or_default();
        status.slos = slos.into_iter().map(|slo| slo.status).collect();
        status.worst_slo = slos::worst(&status.slos).cloned();
    } else {
        // Until Prometheus was asked for the first time, what was last known of it stays.
        conditions.extend(merge::carried(&before.conditions));
        conditions.sort_by_key(rank);
        status.firing_alerts = before.firing_alerts;
        status.alerts.clone_from(&before.alerts);
        status.slos.clone_from(&before.slos);
        status.worst_slo.clone_from(&before.worst_slo);
    }
    status.conditions = conditions;
    Composed { status, transitions }
}

/// The place of a condition among all.
fn rank(condition: &Condition) -> Option<usize> {
    ConditionType::ALL
        .iter()
        .position(|type_| type_.as_str() == condition.type_)
}

/// Every condition that applies.
fn conditions(facts: &Facts<'_>, slos: Option<&[slos::SloReport]>) -> Vec<ConditionState> {
    let mut conditions = vec![
        applied::valid(facts.progress),
        applied::applied(facts.progress),
        availability::available(facts),
    ];
    conditions.extend(services::database_ready(facts));
    conditions.extend(services::cache_ready(facts));
    conditions.extend(exposure::exposed(facts));
    conditions.extend(applied::dashboards_ready(facts));
    conditions.extend(scaling::scaled(facts));
    conditions.extend(facts.releases().and_then(released::released));
    if let (Some(prometheus), Some(slos)) = (&facts.prometheus, slos) {
        conditions.extend(monitoring::conditions(facts, prometheus));
        conditions.extend(slos::met(slos, facts, prometheus));
    }
    conditions.extend(change::reconciling(facts, &conditions));
    conditions.extend(change::stalled(facts.progress, &conditions));
    conditions.push(ready::ready(&conditions));
    conditions
}

/// The conditions of an object that cannot be read as an ObservedApp, stored under an older or a foreign schema.
pub fn unreadable(
    before: &[Condition],
    message: &str,
    generation: Option<i64>,
    now: Timestamp,
) -> Vec<Condition> {
    let states = vec![
        ConditionState::no(ConditionType::Ready, Reason::Unreadable, message),
        ConditionState::no(ConditionType::Valid, Reason::Unreadable, message),
        ConditionState::yes(ConditionType::Stalled, Reason::Unreadable, message),
    ];
    merge::merge(before, states, generation, now).0
}
