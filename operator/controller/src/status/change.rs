//! `Reconciling` and `Stalled`, for the tools that follow kstatus: whether to wait, and whether waiting helps.

use observedapp_api::ConditionType;

use super::conditions::{Answer, AppFacts, Finding, Progress, valid};
use crate::watch::{ChildState, Facts};

/// A change is under way: objects are being applied, or pods follow them.
pub fn reconciling(facts: &AppFacts<'_>, others: &[Finding]) -> Option<Finding> {
    let type_ = ConditionType::Reconciling;
    if !matches!(facts.progress, Progress::Applied { .. } | Progress::Unobserved(_)) {
        return None;
    }
    let applied = others
        .iter()
        .find(|finding| finding.type_ == ConditionType::Applied)
        .filter(|finding| finding.status != Answer::True);
    if let Some(applied) = applied {
        return Some(Finding::yes(type_, &applied.reason, applied.message.clone()));
    }
    let is_builtin = |database: &observedapp_api::DatabaseSpec| database.builtin.is_some();
    let has_builtin = facts.spec.database.as_ref().is_some_and(is_builtin);
    [
        ("app", facts.deployment),
        ("database", facts.database.filter(|_| has_builtin)),
        ("cache", facts.cache.filter(|_| facts.spec.cache.is_some())),
    ]
    .into_iter()
    .find_map(|(what, live)| Some((what, rollout(live?)?)))
    .map(|(what, how)| {
        Finding::yes(
            type_,
            "RollingOut",
            format!("the pods of the {what} change: {how}"),
        )
    })
}

/// How far the rollout of a Deployment or StatefulSet is; absent when it is over, or has given up.
fn rollout(live: &ChildState) -> Option<String> {
    let workload: &Facts = live.facts.as_deref()?;
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
pub fn stalled(progress: &Progress<'_>) -> Option<Finding> {
    matches!(progress, Progress::Invalid(_)).then(|| {
        let Finding { reason, message, .. } = valid(progress);
        Finding::yes(ConditionType::Stalled, &reason, message)
    })
}
