//! `Valid`, `Applied` and `DashboardsReady`: how far the operator itself came.

use observedapp_api::{ConditionType, Reason};

use super::condition::ConditionState;
use super::facts::Facts;
use super::progress::Progress;
use crate::error::Error;

pub fn valid(progress: &Progress) -> ConditionState {
    let type_ = ConditionType::Valid;
    match progress {
        Progress::Invalid(problems) => {
            let field = problems.0.first().map_or("", |problem| problem.field.as_str());
            ConditionState::no(type_, Reason::invalid(field), problems.to_string())
        }
        Progress::Unobserved(_) => ConditionState::unknown(
            type_,
            Reason::NotChecked,
            "the cluster could not be looked at, see Applied",
        ),
        Progress::Paused(desired) | Progress::Applied { desired, .. } => {
            if desired.notes.is_empty() {
                return ConditionState::yes(type_, Reason::Valid, "the spec makes sense");
            }
            let notes: Vec<String> = desired.notes.iter().map(ToString::to_string).collect();
            ConditionState::yes(
                type_,
                Reason::ValidWithNotes,
                format!("the spec makes sense; worth knowing: {}", notes.join("; ")),
            )
        }
    }
}

pub fn applied(progress: &Progress) -> ConditionState {
    let type_ = ConditionType::Applied;
    match progress {
        Progress::Unobserved(error) => ConditionState::no(type_, error.reason(), error.sentence()),
        Progress::Invalid(_) => ConditionState::no(
            type_,
            Reason::Invalid,
            "nothing is written while the spec makes no sense; what exists is left as it is",
        ),
        Progress::Paused(_) => ConditionState::unknown(
            type_,
            Reason::Paused,
            "spec.paused is true: nothing is written until it is false again",
        ),
        Progress::Applied { outcome, desired } => {
            if let Some(error) = outcome.errors.first() {
                let more = match outcome.errors.len() {
                    1 => String::new(),
                    more => format!(" (and {} more)", more - 1),
                };
                return ConditionState::no(type_, error.reason(), format!("{}{more}", error.sentence()));
            }
            if let Some(kind) = desired.missing.first() {
                let gvk = kind.gvk();
                return ConditionState::no(
                    type_,
                    Reason::ApiMissing,
                    format!(
                        "the cluster does not serve {} ({}): install its CustomResourceDefinition, or drop what asks for it from the spec",
                        kind.as_str(),
                        gvk.group,
                    ),
                );
            }
            if !desired.generated.is_empty() {
                return ConditionState::no(
                    type_,
                    Reason::Applying,
                    "the passwords have been generated, the rest follows",
                );
            }
            ConditionState::yes(
                type_,
                Reason::Applied,
                format!("all {} objects are as wanted", desired.objects.len()),
            )
        }
    }
}

pub fn dashboards_ready(facts: &Facts<'_>) -> Option<ConditionState> {
    let type_ = ConditionType::DashboardsReady;
    if !facts.spec.dashboards.enabled {
        return None;
    }
    let not_applied = |message: &str| Some(ConditionState::unknown(type_, Reason::NotApplied, message));
    let Progress::Applied { desired, outcome } = facts.progress else {
        return not_applied("see Applied");
    };
    let name = facts.app.dashboards();
    if !desired.objects.iter().any(|object| object.name() == name) {
        return not_applied("no dashboard is made yet");
    }
    match outcome.errors.iter().find(|error| error.concerns(&name)) {
        Some(error) => Some(ConditionState::no(type_, error.reason(), error.sentence())),
        None if outcome.errors.iter().any(Error::stops_all) => not_applied("see Applied"),
        None => Some(ConditionState::yes(
            type_,
            Reason::Delivered,
            format!("the ConfigMap {name} holds it, for Grafana's sidecar to pick up"),
        )),
    }
}
