//! `Reconciling` and `Stalled`, for the tools that follow kstatus: whether to wait, and whether waiting helps.

use observedapp_api::{ConditionType, Reason};

use super::applied::valid;
use super::condition::{ConditionState, ConditionStatus};
use super::facts::Facts;
use super::progress::Progress;
use super::released::{is_taken_back, is_under_way};
use crate::watch::{ChildState, Facts as ChildFacts};

/// A change is under way: objects are being applied, or pods follow them.
pub fn reconciling(facts: &Facts<'_>, others: &[ConditionState]) -> Option<ConditionState> {
    let type_ = ConditionType::Reconciling;
    if !matches!(facts.progress, Progress::Applied { .. } | Progress::Unobserved(_)) {
        return None;
    }
    let applied = others
        .iter()
        .find(|condition| condition.type_ == ConditionType::Applied)
        .filter(|condition| condition.status != ConditionStatus::True);
    if let Some(applied) = applied {
        return Some(ConditionState::yes(
            type_,
            applied.reason.clone(),
            applied.message.clone(),
        ));
    }
    let released = others
        .iter()
        .find(|condition| condition.type_ == ConditionType::Released)
        .filter(|_| facts.releases().is_some_and(is_under_way));
    if let Some(released) = released {
        return Some(ConditionState::yes(
            type_,
            released.reason.clone(),
            released.message.clone(),
        ));
    }
    let database = facts.database.as_ref().filter(|_| facts.has_builtin_database());
    let cache = facts.cache.as_ref().filter(|_| facts.has_builtin_cache());
    [
        ("app", facts.deployment.as_ref()),
        ("database", database),
        ("cache", cache),
    ]
    .into_iter()
    .find_map(|(what, live)| Some((what, rollout(live?)?)))
    .map(|(what, how)| {
        ConditionState::yes(
            type_,
            Reason::RollingOut,
            format!("the pods of the {what} change: {how}"),
        )
    })
}

/// How far the rollout of a Deployment or StatefulSet is; absent when it is over, or has given up.
fn rollout(live: &ChildState) -> Option<String> {
    let workload: &ChildFacts = live.facts.as_deref()?;
    if !workload.is_current() {
        return Some("it begins".to_owned());
    }
    let progressing = workload.condition("Progressing");
    if progressing.is_some_and(|fact| fact.status == "False") {
        return None;
    }
    let wanted = workload.wanted.unwrap_or(1);
    if workload.updated < wanted {
        return Some(format!("{} of {wanted} are new", workload.updated));
    }
    if workload.replicas > workload.updated {
        return Some("old ones are still ending".to_owned());
    }
    // A Deployment says so once all its new pods have answered, and takes it back with the next change only.
    progressing
        .filter(|fact| fact.reason != "NewReplicaSetAvailable")
        .map(|_| format!("{} of {wanted} answer", workload.available))
}

/// Nothing but another spec helps.
pub fn stalled(progress: &Progress, others: &[ConditionState]) -> Option<ConditionState> {
    let because = |condition: &ConditionState| {
        let ConditionState { reason, message, .. } = condition;
        ConditionState::yes(ConditionType::Stalled, reason.clone(), message.clone())
    };
    match progress {
        Progress::Invalid(_) => Some(because(&valid(progress))),
        _ => others
            .iter()
            .find(|condition| condition.type_ == ConditionType::Released)
            .filter(|_| {
                let desired = progress.desired();
                desired.is_some_and(|desired| desired.releases.as_ref().is_some_and(is_taken_back))
            })
            .map(because),
    }
}
