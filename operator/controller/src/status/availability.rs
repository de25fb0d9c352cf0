//! `Available`: whether the wanted pods of the newest revision answer, else why not and what to do.

use observedapp_api::{ConditionType, Reason};

use super::condition::ConditionState;
use super::facts::Facts;
use super::pod_faults::{explain, explain_creation, worst};
use super::probe_faults;
use crate::watch::Facts as ChildFacts;

const TYPE: ConditionType = ConditionType::Available;

pub fn available(facts: &Facts<'_>) -> ConditionState {
    let Some(deployment) = facts.deployment_facts() else {
        return ConditionState::no(TYPE, Reason::NotCreated, "the Deployment does not exist yet");
    };
    let wanted = deployment.wanted.unwrap_or(1);
    if deployment.is_scaled_to_zero() {
        return ConditionState::yes(TYPE, Reason::ScaledToZero, "no pods are wanted");
    }
    if facts.all_answer() {
        return ConditionState::yes(
            TYPE,
            Reason::AllAnswer,
            format!("{wanted} of {wanted} pods answer"),
        );
    }
    let pods = facts.serving_pods();
    let trouble = worst(&pods, "app");
    // A container that was killed says less than the probe for which it was.
    if let Some(events) = facts.events
        && trouble.is_none_or(|(_, trouble)| probe_faults::have_ended(facts.spec, trouble, events))
    {
        let explained = probe_faults::explain(facts.spec, events).or_else(|| explain_creation(facts, events));
        if let Some(condition) = explained {
            return condition;
        }
    }
    if let Some((name, trouble)) = trouble {
        return explain(facts, "app", name, trouble);
    }
    if let Some(failure) = deployment
        .condition("ReplicaFailure")
        .filter(|fact| fact.status == "True")
    {
        return replica_failure(&failure.message);
    }
    if deployment
        .condition("Progressing")
        .is_some_and(|fact| fact.status == "False" && fact.reason == "ProgressDeadlineExceeded")
    {
        return ConditionState::no(
            TYPE,
            Reason::NotAnswering,
            format!(
                "the pods run but do not answer their readiness check: look at `kubectl logs -l app.kubernetes.io/instance={}` and at spec.health",
                facts.app.name
            ),
        );
    }
    ConditionState::no(TYPE, Reason::RollingOut, rolling_out(deployment, wanted))
}

fn rolling_out(deployment: &ChildFacts, wanted: i32) -> String {
    if !deployment.is_current() {
        return "the rollout of the newest revision begins".to_owned();
    }
    if deployment.updated < wanted {
        return format!(
            "{} of {wanted} pods are of the newest revision",
            deployment.updated
        );
    }
    if deployment.replicas > deployment.updated {
        return "pods of the old revision are still ending".to_owned();
    }
    format!("{} of {wanted} pods answer", deployment.available)
}

/// Why the API server takes no pod of the app.
fn replica_failure(message: &str) -> ConditionState {
    let (reason, remedy) = if message.contains("exceeded quota") || message.contains("failed quota") {
        let asked = ["requested: ", "must specify "]
            .iter()
            .find_map(|words| Some(message.split_once(words)?.1))
            .map_or(message, |rest| rest.split(", used").next().unwrap_or(rest));
        (
            Reason::QuotaExceeded,
            format!("raise the quota, or correct {}", fields(asked)),
        )
    } else if message.contains(" usage per ") || message.contains(" max limit to request ratio per ") {
        (
            Reason::OutsideLimitRange,
            "correct spec.resources, or widen the LimitRange".to_owned(),
        )
    } else if message.contains("PodSecurity") {
        (
            Reason::RefusedByPodSecurity,
            "meet the namespace's Pod Security Standard, or label the namespace for a wider one".to_owned(),
        )
    } else {
        return ConditionState::no(TYPE, Reason::PodsNotCreated, message.to_owned());
    };
    ConditionState::no(TYPE, reason, format!("{message}: {remedy}"))
}

/// The fields behind the names of a quota's resources.
fn fields(asked: &str) -> String {
    const FIELDS: [(&[&str], &str); 5] = [
        (&["limits.memory"], "spec.resources.limits.memory"),
        (&["limits.cpu"], "spec.resources.limits.cpu"),
        (&["requests.memory", "memory"], "spec.resources.requests.memory"),
        (&["requests.cpu", "cpu"], "spec.resources.requests.cpu"),
        (&["pods", "count/pods"], "spec.replicas"),
    ];
    let resources: Vec<&str> = asked
        .split([',', ';', ' '])
        .filter_map(|part| part.split('=').next())
        .collect();
    let named: Vec<&str> = FIELDS
        .iter()
        .filter(|(names, _)| names.iter().any(|name| resources.contains(name)))
        .map(|(_, field)| *field)
        .collect();
    if named.is_empty() {
        "spec.replicas or spec.resources".to_owned()
    } else {
        named.join(" and ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_api_server_refuses_names_the_field() {
        for (message, reason, remedy) in [
            (
                r#"pods "tasks-7f-x" is forbidden: exceeded quota: small, requested: limits.memory=512Mi,pods=1, used: limits.memory=0,pods=4, limited: limits.memory=256Mi,pods=4"#,
                "QuotaExceeded",
                "raise the quota, or correct spec.resources.limits.memory and spec.replicas",
            ),
            (
                r#"pods "tasks-7f-x" is forbidden: exceeded quota: small, requested: cpu=100m, used: cpu=1, limited: cpu=1"#,
                "QuotaExceeded",
                "raise the quota, or correct spec.resources.requests.cpu",
            ),
            (
                r#"pods "tasks-7f-x" is forbidden: failed quota: small: must specify limits.cpu for: tasks"#,
                "QuotaExceeded",
                "raise the quota, or correct spec.resources.limits.cpu",
            ),
            (
                r#"pods "tasks-7f-x" is forbidden: maximum memory usage per Container is 100Mi, but limit is 512Mi"#,
                "OutsideLimitRange",
                "correct spec.resources, or widen the LimitRange",
            ),
            (
                r#"pods "tasks-7f-x" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true"#,
                "RefusedByPodSecurity",
                "meet the namespace's Pod Security Standard, or label the namespace for a wider one",
            ),
        ] {
            let condition = replica_failure(message);
            assert_eq!(condition.reason.as_str(), reason, "{message}");
            assert_eq!(condition.message, format!("{message}: {remedy}"));
        }
    }
}
