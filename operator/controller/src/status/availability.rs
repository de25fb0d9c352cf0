//! `Available`: whether the wanted pods of the newest revision answer, else what the pods say and what to do.

use observedapp_api::ConditionType;

use super::conditions::{AppFacts, Finding};
use crate::watch::{Facts, Pod, Trouble};

const TYPE: ConditionType = ConditionType::Available;

pub fn available(facts: &AppFacts<'_>) -> Finding {
    let Some(deployment) = facts.deployment.and_then(|live| live.facts.as_deref()) else {
        return Finding::no(TYPE, "NotCreated", "the Deployment does not exist yet");
    };
    let wanted = deployment.wanted.unwrap_or(1);
    if wanted == 0 && deployment.replicas == 0 {
        return Finding::yes(TYPE, "ScaledToZero", "no pods are wanted");
    }
    if deployment.is_current()
        && deployment.updated >= wanted
        && deployment.replicas <= deployment.updated
        && deployment.available >= wanted
    {
        return Finding::yes(TYPE, "AllAnswer", format!("{wanted} of {wanted} pods answer"));
    }
    let absent = facts.absent.first();
    if let Some((name, trouble)) = worst(facts.pods, "app") {
        return explain(facts.name, name, trouble, absent.is_some());
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
        return Finding::no(
            TYPE,
            "NotAnswering",
            format!(
                "the pods run but do not answer their readiness check: look at `kubectl logs -l app.kubernetes.io/instance={}` and at spec.health",
                facts.name
            ),
        );
    }
    Finding::no(TYPE, "RollingOut", rolling_out(deployment, wanted))
}

fn rolling_out(deployment: &Facts, wanted: i32) -> String {
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

/// The trouble of the newest pod of a component that is in any.
pub fn worst<'a>(
    pods: &'a [(String, std::sync::Arc<Pod>)],
    component: &str,
) -> Option<(&'a str, &'a Trouble)> {
    pods.iter()
        .filter(|(_, pod)| pod.component == component)
        .filter_map(|(name, pod)| Some((&pod.created, name.as_str(), pod.trouble.as_ref()?)))
        .max_by(|one, other| (one.0, other.1).cmp(&(other.0, one.1)))
        .map(|(_, name, trouble)| (name, trouble))
}

/// What a pod says, and the remedy.
pub fn explain(app: &str, pod: &str, trouble: &Trouble, absent: bool) -> Finding {
    let message = trouble.message.trim();
    let (reason, remedy) = match trouble.reason.as_str() {
        "ErrImagePull" | "ImagePullBackOff" | "ErrImageNeverPull" | "InvalidImageName"
        | "ImageInspectError" => (
            "ImagePullBackOff",
            "check spec.image, and spec.imagePullSecrets if the registry is private".to_owned(),
        ),
        "CreateContainerConfigError"
            if message.contains("will run as root") || message.contains("non-root") =>
        {
            (
                "RunsAsRoot",
                "give the image a USER other than 0, or set spec.securityContext.runAsUser".to_owned(),
            )
        }
        "CreateContainerConfigError" => (
            "MissingConfiguration",
            if absent || message.contains("not found") {
                "create the Secret or ConfigMap that the message names; the pods start by themselves then"
                    .to_owned()
            } else {
                "correct spec.env, spec.envFrom or spec.volumes".to_owned()
            },
        ),
        "OOMKilled" => (
            "OOMKilled",
            "raise spec.resources.limits.memory, or make the app use less".to_owned(),
        ),
        "CrashLoopBackOff" | "Error" => (
            "CrashLoopBackOff",
            format!(
                "look at `kubectl logs {pod} --previous`, then correct the image, spec.command, spec.args or spec.env"
            ),
        ),
        "RunContainerError" | "StartError" | "CreateContainerError" | "ContainerCannotRun" => (
            "CannotStart",
            "correct spec.command, spec.args or spec.volumeMounts".to_owned(),
        ),
        "Unschedulable" => (
            "Unschedulable",
            "free or add nodes, or lower spec.resources.requests, or widen spec.placement".to_owned(),
        ),
        "Evicted" => ("Evicted", "free the node of what it is short of".to_owned()),
        other if reason_is_well_formed(other) => (other, format!("look at `kubectl describe pod {pod}`")),
        _ => ("PodsNotRunning", format!("look at `kubectl describe pod {pod}`")),
    };
    let who = trouble.container.as_deref().filter(|container| *container != app);
    let who = who.map_or_else(String::new, |container| format!(", container {container}"));
    let said = if message.is_empty() {
        trouble.reason.as_str()
    } else {
        message
    };
    Finding::no(TYPE, reason, format!("pod {pod}{who}: {said}: {remedy}"))
}

fn reason_is_well_formed(reason: &str) -> bool {
    reason.starts_with(|c: char| c.is_ascii_alphabetic())
        && reason.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn replica_failure(message: &str) -> Finding {
    if message.contains("exceeded quota") {
        return Finding::no(
            TYPE,
            "QuotaExceeded",
            format!("{message}: raise the quota, or lower spec.replicas or spec.resources"),
        );
    }
    if message.contains("PodSecurity") {
        return Finding::no(
            TYPE,
            "RefusedByPodSecurity",
            format!(
                "{message}: meet the namespace's Pod Security Standard, or label the namespace for a wider one"
            ),
        );
    }
    Finding::no(TYPE, "PodsNotCreated", message.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trouble(reason: &str, message: &str) -> Trouble {
        Trouble {
            container: Some("tasks".to_owned()),
            reason: reason.to_owned(),
            message: message.to_owned(),
            restarts: 0,
        }
    }

    #[test]
    fn a_pod_that_runs_as_root_is_told_so() {
        let finding = explain(
            "tasks",
            "tasks-1",
            &trouble(
                "CreateContainerConfigError",
                "container has runAsNonRoot and image will run as root",
            ),
            false,
        );
        assert_eq!(finding.reason, "RunsAsRoot");
        assert!(
            finding.message.ends_with("or set spec.securityContext.runAsUser"),
            "{}",
            finding.message
        );
    }

    #[test]
    fn a_missing_secret_is_named_with_what_to_do() {
        let finding = explain(
            "tasks",
            "tasks-1",
            &trouble("CreateContainerConfigError", "secret \"a\" not found"),
            true,
        );
        assert_eq!(finding.reason, "MissingConfiguration");
        assert!(
            finding
                .message
                .contains("secret \"a\" not found: create the Secret"),
            "{}",
            finding.message
        );
    }

    #[test]
    fn a_reason_that_no_condition_may_have_is_replaced() {
        assert_eq!(
            explain("tasks", "p", &trouble("what is this?", ""), false).reason,
            "PodsNotRunning"
        );
        assert_eq!(
            explain("tasks", "p", &trouble("NewReason", ""), false).reason,
            "NewReason"
        );
    }

    #[test]
    fn quotas_and_pod_security_are_told_apart() {
        assert_eq!(
            replica_failure("pods is forbidden: exceeded quota: q").reason,
            "QuotaExceeded"
        );
        assert_eq!(
            replica_failure("violates PodSecurity \"restricted\"").reason,
            "RefusedByPodSecurity"
        );
    }
}
