//! From findings to conditions with their times, and to what is worth an Event.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use observedapp_api::ConditionType;

use super::conditions::{Answer, Finding};
use crate::events::shortened;

/// The longest message that a condition may carry by the API's own rules is 32 KiB; people read less.
const MESSAGE_LIMIT: usize = 2048;

/// A condition that changed its mind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    pub type_: ConditionType,
    pub good: bool,
    pub reason: String,
    pub message: String,
}

/// The new conditions, in the order of [`ConditionType::ALL`]; one whose status stays keeps its time.
pub fn merge(
    old: &[Condition],
    findings: Vec<Finding>,
    generation: Option<i64>,
    now: Timestamp,
) -> (Vec<Condition>, Vec<Transition>) {
    let mut findings = findings;
    findings.sort_by_key(|finding| finding.type_);
    let mut transitions = Vec::new();
    let conditions = findings
        .into_iter()
        .map(|finding| {
            let before = old
                .iter()
                .find(|condition| condition.type_ == finding.type_.as_str());
            let status = finding.status.as_str();
            let same = before.filter(|condition| condition.status == status);
            if same.is_none() && is_news(before, &finding) {
                transitions.push(Transition {
                    type_: finding.type_,
                    good: finding.status == Answer::True,
                    reason: finding.reason.clone(),
                    message: finding.message.clone(),
                });
            }
            Condition {
                type_: finding.type_.as_str().to_owned(),
                status: status.to_owned(),
                reason: finding.reason,
                message: shortened(&finding.message, MESSAGE_LIMIT),
                observed_generation: generation,
                last_transition_time: same
                    .map_or(Time(now), |condition| condition.last_transition_time.clone()),
            }
        })
        .collect();
    (conditions, transitions)
}

/// The conditions about Prometheus that were there before, for a while in which nothing is known of it.
pub fn carried(old: &[Condition]) -> Vec<Condition> {
    const OBSERVED: [ConditionType; 4] = [
        ConditionType::Monitored,
        ConditionType::RulesLoaded,
        ConditionType::HistoryKept,
        ConditionType::SLOsMet,
    ];
    let observed = |condition: &&Condition| OBSERVED.iter().any(|type_| type_.as_str() == condition.type_);
    old.iter().filter(observed).cloned().collect()
}

/// A condition that begins True, or is not known yet, is no news.
fn is_news(before: Option<&Condition>, finding: &Finding) -> bool {
    match before {
        Some(_) => true,
        None => {
            finding.status == Answer::False
                && !matches!(finding.type_, ConditionType::Ready | ConditionType::Available)
        }
    }
}

/// Whether a transition is worth an Event: those of `Ready` always, of the others when they name a cause.
pub fn noteworthy(transition: &Transition) -> bool {
    const PASSING: [&str; 9] = [
        "NamespaceTerminating",
        "ApiNotReady",
        "NotCreated",
        "RollingOut",
        "Starting",
        "NotApplied",
        "Applying",
        "NotChecked",
        "Stale",
    ];
    if transition.good {
        return transition.type_ == ConditionType::Ready;
    }
    !PASSING.contains(&transition.reason.as_str())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    #[test]
    fn a_status_that_stays_keeps_its_time_and_one_that_changes_gets_a_new_one() {
        let ready = |message: &str| Finding::yes(ConditionType::Ready, "Ready", message);
        let (first, _) = merge(&[], vec![ready("a")], Some(1), at(1));
        let (second, transitions) = merge(&first, vec![ready("b")], Some(2), at(2));
        assert_eq!(second[0].last_transition_time, Time(at(1)));
        assert_eq!(second[0].observed_generation, Some(2));
        assert!(transitions.is_empty());
        let (third, transitions) = merge(
            &second,
            vec![Finding::no(ConditionType::Ready, "Bad", "c")],
            Some(2),
            at(3),
        );
        assert_eq!(third[0].last_transition_time, Time(at(3)));
        assert_eq!(transitions.len(), 1);
    }

    #[test]
    fn a_condition_that_no_longer_applies_goes() {
        let (first, _) = merge(
            &[],
            vec![Finding::yes(ConditionType::Exposed, "Exposed", "")],
            None,
            at(1),
        );
        let (second, transitions) = merge(&first, Vec::new(), None, at(2));
        assert!(second.is_empty());
        assert!(transitions.is_empty());
    }
}
