//! `Released`, and the releases that the status lists.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use observedapp_api::{ConditionType, Reason, ReleaseStatus};
use observedapp_desired::Releases;
use observedapp_release::{Phase, Plan, Record};

use super::condition::ConditionState;

const TYPE: ConditionType = ConditionType::Released;

/// Whether the newest release runs everywhere, else how far it has come.
pub fn released(releases: &Releases) -> Option<ConditionState> {
    let plan = &releases.plan;
    let release = plan.current()?;
    let message = sentence(plan, release);
    Some(match release.phase {
        Phase::Watching | Phase::Stable | Phase::Unjudged => {
            ConditionState::yes(TYPE, reason(release.phase), message)
        }
        Phase::Held
        | Phase::Baking
        | Phase::RollingOut
        | Phase::RolledBack
        | Phase::NeverReady
        | Phase::Superseded => ConditionState::no(TYPE, reason(release.phase), message),
    })
}

fn reason(phase: Phase) -> Reason {
    match phase {
        Phase::Held => Reason::Held,
        Phase::Baking => Reason::Baking,
        // One that was replaced is rolled out when the spec comes back to it.
        Phase::RollingOut | Phase::Superseded => Reason::RollingOut,
        Phase::Watching => Reason::Watching,
        Phase::Stable => Reason::Stable,
        Phase::RolledBack => Reason::RolledBack,
        Phase::NeverReady => Reason::NeverReady,
        Phase::Unjudged => Reason::Unjudged,
    }
}

fn sentence(plan: &Plan, release: &Record) -> String {
    let number = release.number;
    let verdict = release.verdict.as_deref().unwrap_or_default();
    let base = plan
        .base
        .map(|base| format!("; release {base} runs"))
        .unwrap_or_default();
    match release.phase {
        Phase::Held => format!("release {number} waits{base}: {}", plan.message),
        Phase::RolledBack | Phase::NeverReady => format!("release {number} was taken back{base}: {verdict}"),
        _ if !plan.message.is_empty() => format!("release {number}: {}", plan.message),
        _ if !verdict.is_empty() => format!("release {number} runs everywhere: {verdict}"),
        _ => format!("release {number} runs everywhere"),
    }
}

/// A change is under way while a release waits, is tried or rolls out.
pub fn is_under_way(releases: &Releases) -> bool {
    let release = releases.plan.current();
    release.is_some_and(|release| matches!(release.phase, Phase::Held | Phase::Baking | Phase::RollingOut))
}

/// Only another release helps.
pub fn is_taken_back(releases: &Releases) -> bool {
    let release = releases.plan.current();
    release.is_some_and(|release| release.phase.is_taken_back())
}

/// The release that the spec asks for, and all that are recorded.
pub fn listed(releases: &Releases) -> (Option<ReleaseStatus>, Vec<ReleaseStatus>) {
    let plan = &releases.plan;
    let status = |record: &Record| {
        let is_current = record.number == plan.current;
        let cost = record.cost.or(plan.cost.filter(|_| is_current));
        entry(record, &releases.images, cost)
    };
    let all: Vec<ReleaseStatus> = plan.records.iter().map(status).collect();
    (plan.current().map(status), all)
}

fn entry(record: &Record, images: &BTreeMap<u64, String>, cost: Option<f64>) -> ReleaseStatus {
    ReleaseStatus {
        number: i64::try_from(record.number).unwrap_or(i64::MAX),
        image: images.get(&record.number).cloned().unwrap_or_default(),
        phase: record.phase.as_str().to_owned(),
        since: Some(Time(record.since)),
        verdict: record.verdict.clone(),
        budget_cost: cost.map(percent),
    }
}

/// Small costs matter: a good release costs nothing, a bad one that is noticed at once a little.
fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent >= 10.0 {
        format!("{percent:.0}%")
    } else {
        format!("{percent:.1}%")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cost_is_shown_with_the_digits_that_matter() {
        for (share, text) in [(0.0, "0.0%"), (0.004, "0.4%"), (0.099, "9.9%"), (0.5, "50%")] {
            assert_eq!(percent(share), text);
        }
    }
}
