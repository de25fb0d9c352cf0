//! From states to conditions with their times, and to what is worth an Event.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use observedapp_api::{ConditionType, Reason};

use super::condition::{ConditionState, ConditionStatus};
use crate::events::shortened;

/// The longest message that a condition may carry by the API's own rules is 32 KiB; people read less.
const MESSAGE_LIMIT: usize = 2048;

/// A condition whose status changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    pub type_: ConditionType,
    pub good: bool,
    pub reason: Reason,
    pub message: String,
}

/// The new conditions, in the order of [`ConditionType::ALL`]; one whose status stays keeps its time.
pub fn merge(
    before: &[Condition],
    mut states: Vec<ConditionState>,
    generation: Option<i64>,
    now: Timestamp,
) -> (Vec<Condition>, Vec<Transition>) {
    states.sort_by_key(|state| state.type_);
    let mut transitions = Vec::new();
    let conditions = states
        .into_iter()
        .map(|state| {
            let before = before
                .iter()
                .find(|condition| condition.type_ == state.type_.as_str());
            let holds = state.status.as_str();
            let same = before.filter(|condition| condition.status == holds);
            if same.is_none() && is_news(before, &state) {
                transitions.push(Transition {
                    type_: state.type_,
                    good: state.status == ConditionStatus::True,
                    reason: state.reason.clone(),
                    message: state.message.clone(),
                });
            }
            Condition {
                type_: state.type_.as_str().to_owned(),
                status: holds.to_owned(),
                reason: state.reason.to_string(),
                message: shortened(&state.message, MESSAGE_LIMIT),
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
fn is_news(before: Option<&Condition>, condition: &ConditionState) -> bool {
    match before {
        Some(_) => true,
        None => {
            condition.status == ConditionStatus::False
                && !matches!(condition.type_, ConditionType::Ready | ConditionType::Available)
        }
    }
}

/// Whether a transition is worth an Event: those of `Ready` always, of the others when they name a cause.
pub fn noteworthy(transition: &Transition) -> bool {
    if transition.good {
        return transition.type_ == ConditionType::Ready;
    }
    !transition.reason.is_passing()
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
        let ready = |message: &str| ConditionState::yes(ConditionType::Ready, Reason::Ready, message);
        let (first, _) = merge(&[], vec![ready("a")], Some(1), at(1));
        let (second, transitions) = merge(&first, vec![ready("b")], Some(2), at(2));
        assert_eq!(second[0].last_transition_time, Time(at(1)));
        assert_eq!(second[0].observed_generation, Some(2));
        assert!(transitions.is_empty());
        let (third, transitions) = merge(
            &second,
            vec![ConditionState::no(ConditionType::Ready, Reason::Starting, "c")],
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
            vec![ConditionState::yes(ConditionType::Exposed, Reason::Exposed, "")],
            None,
            at(1),
        );
        let (second, transitions) = merge(&first, Vec::new(), None, at(2));
        assert!(second.is_empty());
        assert!(transitions.is_empty());
    }
}
