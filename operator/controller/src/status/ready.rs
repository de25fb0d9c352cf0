//! `Ready`: what the app's users care about; what is only observed never lowers it.

use observedapp_api::{ConditionType, Reason};

use super::condition::{ConditionState, ConditionStatus};

pub fn ready(others: &[ConditionState]) -> ConditionState {
    let type_ = ConditionType::Ready;
    match others.iter().find(|condition| lowers(condition)) {
        None => ConditionState::yes(type_, Reason::Ready, "the app serves"),
        Some(first) => ConditionState::no(
            type_,
            first.reason.clone(),
            format!(
                "{} is {}: {}",
                first.type_.as_str(),
                first.status.as_str(),
                first.message
            ),
        ),
    }
}

fn lowers(condition: &ConditionState) -> bool {
    let is_needed = matches!(
        condition.type_,
        ConditionType::Valid
            | ConditionType::Applied
            | ConditionType::Available
            | ConditionType::DatabaseReady
            | ConditionType::CacheReady
            | ConditionType::Exposed
    );
    // A pause is asked for, and a right that the operator lacks says nothing of the app.
    let is_harmless = matches!(
        condition.reason,
        Reason::Paused | Reason::IngressClassesUnreadable
    );
    is_needed && condition.status != ConditionStatus::True && !is_harmless
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_only_observed_never_lowers_ready() {
        let good = ConditionState::yes(ConditionType::Valid, Reason::Valid, "");
        let spent = ConditionState::no(ConditionType::SLOsMet, Reason::BudgetSpent, "");
        assert_eq!(ready(&[good.clone(), spent]).status, ConditionStatus::True);
        let unread = ConditionState::unknown(ConditionType::Exposed, Reason::IngressClassesUnreadable, "");
        assert_eq!(ready(&[good.clone(), unread]).status, ConditionStatus::True);
        let refused = ConditionState::no(ConditionType::Applied, Reason::Forbidden, "no");
        let ready = ready(&[good, refused]);
        assert_eq!(
            (ready.status, ready.reason),
            (ConditionStatus::False, Reason::Forbidden)
        );
        assert_eq!(ready.message, "Applied is False: no");
    }
}
