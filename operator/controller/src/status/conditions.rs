//! The conditions of an app, from what is known of it.

use observedapp_api::{ConditionType, ObservedAppSpec};
use observedapp_desired::{Desired, Problems};

use super::{availability, change, scaling, services};
use crate::error::Error;
use crate::pod_events::PodEvents;
use crate::watch::{ChildState, Key, Pod};

/// What a condition says, before it is known since when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub type_: ConditionType,
    pub status: Answer,
    pub reason: String,
    pub message: String,
}

/// Whether a condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    True,
    False,
    Unknown,
}

impl Answer {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

impl Finding {
    pub fn new(type_: ConditionType, status: Answer, reason: &str, message: impl Into<String>) -> Self {
        Self {
            type_,
            status,
            reason: reason.to_owned(),
            message: message.into(),
        }
    }

    pub fn yes(type_: ConditionType, reason: &str, message: impl Into<String>) -> Self {
        Self::new(type_, Answer::True, reason, message)
    }

    pub fn no(type_: ConditionType, reason: &str, message: impl Into<String>) -> Self {
        Self::new(type_, Answer::False, reason, message)
    }

    pub fn unknown(type_: ConditionType, reason: &str, message: impl Into<String>) -> Self {
        Self::new(type_, Answer::Unknown, reason, message)
    }
}

/// How far a reconcile came.
#[derive(Debug)]
pub enum Progress<'a> {
    /// The cluster could not be looked at.
    Unobserved(&'a Error),
    /// The spec makes no sense.
    Invalid(&'a Problems),
    /// Nothing is written while the app is paused.
    Paused(&'a Desired),
    /// Everything was tried; these failed.
    Applied {
        desired: &'a Desired,
        errors: &'a [Error],
    },
}

/// What is known of an app.
#[derive(Debug)]
pub struct AppFacts<'a> {
    pub name: &'a str,
    pub spec: &'a ObservedAppSpec,
    pub progress: Progress<'a>,
    pub deployment: Option<&'a ChildState>,
    pub service: Option<&'a ChildState>,
    pub ingress: Option<&'a ChildState>,
    /// The builtin database's StatefulSet, or CloudNativePG's Cluster.
    pub database: Option<&'a ChildState>,
    pub cache: Option<&'a ChildState>,
    pub autoscaler: Option<&'a ChildState>,
    /// The keys of the Secrets that `database.external` and `cache.external` name, if those were read.
    pub database_secret_keys: Option<&'a [String]>,
    pub cache_secret_keys: Option<&'a [String]>,
    pub pods: &'a [(String, std::sync::Arc<Pod>)],
    /// What the kubelet says of the pod that the app waits for.
    pub events: Option<&'a PodEvents>,
    /// Referenced Secrets and ConfigMaps that do not exist.
    pub absent: &'a [Key],
    /// The IngressClasses of the cluster, if they can be read: name, and whether it is the default.
    pub ingress_classes: Option<&'a [(String, bool)]>,
}

#[cfg(test)]
impl<'a> AppFacts<'a> {
    /// The app `tasks` of which nothing exists yet.
    pub fn without_objects(spec: &'a ObservedAppSpec, progress: Progress<'a>) -> Self {
        Self {
            name: "tasks",
            spec,
            progress,
            deployment: None,
            service: None,
            ingress: None,
            database: None,
            cache: None,
            autoscaler: None,
            database_secret_keys: None,
            cache_secret_keys: None,
            pods: &[],
            events: None,
            absent: &[],
            ingress_classes: None,
        }
    }
}

/// Every condition that applies and that needs no Prometheus, `Ready` included.
pub fn findings(facts: &AppFacts<'_>) -> Vec<Finding> {
    let mut findings = vec![
        valid(&facts.progress),
        applied(&facts.progress),
        availability::available(facts),
    ];
    findings.extend(services::database_ready(facts));
    findings.extend(services::cache_ready(facts));
    findings.extend(services::exposed(facts));
    findings.extend(dashboards_ready(facts));
    findings.extend(scaling::scaled(facts));
    findings.extend(change::reconciling(facts, &findings));
    findings.extend(change::stalled(&facts.progress));
    findings.insert(0, ready(&findings));
    findings
}

pub(super) fn valid(progress: &Progress<'_>) -> Finding {
    let type_ = ConditionType::Valid;
    match progress {
        Progress::Invalid(problems) => {
            let reason = problems
                .0
                .first()
                .map_or_else(|| "Invalid".to_owned(), |first| reason_of(&first.field));
            Finding::no(type_, &reason, problems.to_string())
        }
        Progress::Unobserved(_) => Finding::unknown(
            type_,
            "NotChecked",
            "the cluster could not be looked at, see Applied",
        ),
        Progress::Paused(desired) | Progress::Applied { desired, .. } => {
            if desired.notes.is_empty() {
                return Finding::yes(type_, "Valid", "the spec makes sense");
            }
            let notes: Vec<String> = desired.notes.iter().map(ToString::to_string).collect();
            Finding::yes(
                type_,
                "ValidWithNotes",
                format!("the spec makes sense; worth knowing: {}", notes.join("; ")),
            )
        }
    }
}

/// A reason names a field in the only characters that reasons may have: `spec.slos[0].objective` becomes
/// `SpecSlosObjective`.
fn reason_of(field: &str) -> String {
    let words: String = field
        .split(|c: char| !c.is_ascii_alphabetic())
        .filter(|word| !word.is_empty())
        .map(|word| {
            let mut chars = word.chars();
            chars
                .next()
                .map(|first| first.to_ascii_uppercase())
                .into_iter()
                .chain(chars)
                .collect::<String>()
        })
        .collect();
    if words.is_empty() {
        "Invalid".to_owned()
    } else {
        format!("Invalid{words}")
    }
}

fn applied(progress: &Progress<'_>) -> Finding {
    let type_ = ConditionType::Applied;
    match progress {
        Progress::Unobserved(error) => Finding::no(type_, error.reason(), said(error)),
        Progress::Invalid(_) => Finding::no(
            type_,
            "Invalid",
            "nothing is written while the spec makes no sense; what exists is left as it is",
        ),
        Progress::Paused(_) => Finding::unknown(
            type_,
            "Paused",
            "spec.paused is true: nothing is written until it is false again",
        ),
        Progress::Applied { errors, desired } => {
            if let Some(error) = errors.first() {
                let more = match errors.len() {
                    1 => String::new(),
                    more => format!(" (and {} more)", more - 1),
                };
                return Finding::no(type_, error.reason(), format!("{}{more}", said(error)));
            }
            if let Some(kind) = desired.missing.first() {
                let gvk = kind.gvk();
                return Finding::no(
                    type_,
                    "ApiMissing",
                    format!(
                        "the cluster does not serve {} ({}): install its CustomResourceDefinition, or drop what asks for it from the spec",
                        kind.as_str(),
                        gvk.group,
                    ),
                );
            }
            if !desired.generated.is_empty() {
                return Finding::no(
                    type_,
                    "Applying",
                    "the passwords have been drawn, the rest follows",
                );
            }
            Finding::yes(
                type_,
                "Applied",
                format!("all {} objects are as wanted", desired.objects.len()),
            )
        }
    }
}

/// An error with what to do about it.
fn said(error: &Error) -> String {
    match error.remedy() {
        Some(remedy) => format!("{error}: {remedy}"),
        None => error.to_string(),
    }
}

fn dashboards_ready(facts: &AppFacts<'_>) -> Option<Finding> {
    let type_ = ConditionType::DashboardsReady;
    if !facts.spec.dashboards.enabled {
        return None;
    }
    let Progress::Applied { desired, errors } = &facts.progress else {
        return Some(Finding::unknown(type_, "NotApplied", "see Applied"));
    };
    let name = format!("{}-dashboards", facts.name);
    let wanted = desired.objects.iter().any(|object| object.name() == name);
    if !wanted {
        return Some(Finding::unknown(type_, "NotApplied", "no dashboard is made yet"));
    }
    let failed = errors.iter().find(|error| error.concerns(&name));
    Some(match failed {
        Some(error) => Finding::no(type_, error.reason(), said(error)),
        None if errors.iter().any(Error::stops_all) => Finding::unknown(type_, "NotApplied", "see Applied"),
        None => Finding::yes(
            type_,
            "Delivered",
            format!("the ConfigMap {name} holds it, for Grafana's sidecar to pick up"),
        ),
    })
}

/// Ready is what the app's users care about; what is only observed never lowers it.
fn ready(others: &[Finding]) -> Finding {
    let type_ = ConditionType::Ready;
    let needed = |type_: ConditionType| {
        matches!(
            type_,
            ConditionType::Valid
                | ConditionType::Applied
                | ConditionType::Available
                | ConditionType::DatabaseReady
                | ConditionType::CacheReady
                | ConditionType::Exposed
        )
    };
    // A pause is wished for, and a right that the operator lacks says nothing of the app: one that answers is ready.
    let harmless = |reason: &str| ["Paused", services::CLASSES_UNREADABLE].contains(&reason);
    let lowers = |finding: &&Finding| {
        needed(finding.type_) && finding.status != Answer::True && !harmless(&finding.reason)
    };
    match others.iter().find(lowers) {
        None => Finding::yes(type_, "Ready", "the app serves"),
        Some(first) => Finding::no(
            type_,
            &first.reason,
            format!(
                "{} is {}: {}",
                first.type_.as_str(),
                first.status.as_str(),
                first.message
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_names_the_field() {
        assert_eq!(reason_of("spec.slos[0].objective"), "InvalidSpecSlosObjective");
        assert_eq!(reason_of(""), "Invalid");
    }

    #[test]
    fn what_is_only_observed_never_lowers_ready() {
        let good = Finding::yes(ConditionType::Valid, "Valid", "");
        let spent = Finding::no(ConditionType::SLOsMet, "BudgetSpent", "");
        assert_eq!(ready(&[good.clone(), spent]).status, Answer::True);
        let unread = Finding::unknown(ConditionType::Exposed, services::CLASSES_UNREADABLE, "");
        assert_eq!(ready(&[good.clone(), unread]).status, Answer::True);
        let refused = Finding::no(ConditionType::Applied, "Forbidden", "no");
        let ready = ready(&[good, refused]);
        assert_eq!(
            (ready.status, ready.reason.as_str()),
            (Answer::False, "Forbidden")
        );
        assert_eq!(ready.message, "Applied is False: no");
    }
}
