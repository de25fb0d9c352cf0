//! `Released`, and the releases that the status lists.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use observedapp_api::{ComparisonStatus, ConditionType, Reason, ReleaseStatus};
use observedapp_desired::Releases;
use observedapp_release::comparison::{Comparison, Counts};
use observedapp_release::{Phase, Plan, Record};

use super::condition::ConditionState;

const TYPE: ConditionType = ConditionType::Released;
/// As many objectives as an app may have.
const MOST_COMPARED: usize = 20;

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
    // What is compared is of the moment, so it is no part of the history.
    let current = plan.current().map(|record| ReleaseStatus {
        comparison: match (&plan.comparison, record.phase) {
            (Some(comparison), Phase::Baking) => compared(comparison),
            _ => Vec::new(),
        },
        ..status(record)
    });
    (current, all)
}

fn compared(comparison: &Comparison) -> Vec<ComparisonStatus> {
    let slos = comparison.slos.iter().map(|slo| ComparisonStatus {
        slo: slo.name.clone(),
        new: failed_of(slo.new),
        old: failed_of(slo.old),
        evidence: format!("{:.0}%", (slo.evidence.min(1.0) * 100.0).floor()),
    });
    slos.take(MOST_COMPARED).collect()
}

/// `0.2% of 310`. With two digits each a status of steady traffic is written less often than it is asked for.
fn failed_of(counts: Counts) -> String {
    let events = two_digits(counts.events);
    if counts.events <= 0.0 {
        return "none".to_owned();
    }
    let percent = counts.failures / counts.events * 100.0;
    match percent {
        0.0 => format!("0% of {events}"),
        0.0..0.01 => format!("<0.01% of {events}"),
        0.01..0.1 => format!("{percent:.2}% of {events}"),
        0.1..10.0 => format!("{percent:.1}% of {events}"),
        _ => format!("{percent:.0}% of {events}"),
    }
}

fn two_digits(events: f64) -> f64 {
    let unit = 10_f64.powf((events.max(1.0).log10().floor() - 1.0).max(0.0));
    (events / unit).round() * unit
}

fn entry(record: &Record, images: &BTreeMap<u64, String>, cost: Option<f64>) -> ReleaseStatus {
    ReleaseStatus {
        number: i64::try_from(record.number).unwrap_or(i64::MAX),
        image: images.get(&record.number).cloned().unwrap_or_default(),
        phase: record.phase.as_str().to_owned(),
        began: Some(Time(record.began)),
        since: Some(Time(record.since)),
        comparison: Vec::new(),
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
pub(super) mod tests {
    #![allow(clippy::unwrap_used)]
    use observedapp_release::Trial;
    use observedapp_release::comparison::{Interval, SloCounts, compare};

    use super::*;

    /// Release 7 of this phase, with release 6 before it.
    pub(in crate::status) fn releases(phase: Phase, trial: Option<Trial>, verdict: Option<&str>) -> Releases {
        let now = "2026-12-01T12:00:00Z";
        let record = |number: u64, phase: Phase, verdict: Option<&str>| {
            let fields = serde_json::json!({"phase": phase, "since": now, "began": now, "verdict": verdict});
            let mut record: Record = serde_json::from_value(fields).unwrap();
            record.number = number;
            record
        };
        let plan = Plan {
            records: vec![record(6, Phase::Stable, None), record(7, phase, verdict)],
            current: 7,
            base: Some(6),
            template: if phase.is_taken_back() { 6 } else { 7 },
            trial,
            question: None,
            comparison: None,
            message: verdict
                .map_or("one pod of it has served 40 of 300 s", |_| "")
                .to_owned(),
            again_after: None,
            cost: None,
        };
        Releases {
            plan,
            images: BTreeMap::new(),
            query: None,
            writes: Vec::new(),
        }
    }

    #[test]
    fn what_is_compared_is_listed_of_the_release_that_is_tried_and_only_then() {
        let counts = |events: f64, failures: f64| Counts { events, failures };
        let compared = compare(&[SloCounts {
            name: "availability".to_owned(),
            budget: 0.001,
            intervals: vec![Interval {
                new: counts(314.0, 1.0),
                old: counts(620.0, 0.0),
            }],
        }]);
        for (phase, found) in [(Phase::Baking, 1), (Phase::RolledBack, 0), (Phase::RollingOut, 0)] {
            let mut releases = releases(phase, None, None);
            releases.plan.comparison = Some(compared.clone());
            let (current, all) = listed(&releases);
            let current = current.unwrap();
            assert_eq!(current.comparison.len(), found, "{phase:?}");
            assert!(all.iter().all(|release| release.comparison.is_empty()));
            if let Some(one) = current.comparison.first() {
                let said = [&one.slo, &one.new, &one.old, &one.evidence].map(String::as_str);
                assert_eq!(said, ["availability", "0.3% of 310", "0% of 620", "0%"]);
            }
        }
    }

    #[test]
    fn a_cost_is_shown_with_the_digits_that_matter() {
        for (share, text) in [(0.0, "0.0%"), (0.004, "0.4%"), (0.099, "9.9%"), (0.5, "50%")] {
            assert_eq!(percent(share), text);
        }
    }
    #[test]
    fn shares_are_told_with_two_digits_and_without_events_not_at_all() {
        for (failures, events, text) in [
            (0.0, 0.0, "none"),
            (0.0, 7.0, "0% of 7"),
            (1.0, 314.0, "0.3% of 310"),
            (1.0, 123_456.0, "<0.01% of 120000"),
            (62.0, 314.0, "20% of 310"),
        ] {
            assert_eq!(failed_of(Counts { events, failures }), text);
        }
    }
}
