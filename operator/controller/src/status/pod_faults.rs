//! Why a pod does not run: from what Kubernetes says of it to one sentence with the field to correct.

use std::sync::Arc;

use observedapp_api::{ConditionType, Reason};
use observedapp_desired::app_memory_limit;

use super::condition::ConditionState;
use super::facts::Facts;
use crate::pod_events::PodEvents;
use crate::watch::{Pod, Stage, Trouble};

/// The trouble of the newest pod of a component that is in any.
pub fn worst<'a>(pods: &'a [(String, Arc<Pod>)], component: &str) -> Option<(&'a str, &'a Trouble)> {
    pods.iter()
        .filter(|(_, pod)| pod.component == component)
        .filter_map(|(name, pod)| Some((&pod.created, name.as_str(), pod.trouble.as_ref()?)))
        .max_by(|one, other| (one.0, other.1).cmp(&(other.0, one.1)))
        .map(|(_, name, trouble)| (name, trouble))
}

/// The fields of the spec that shape the pods of a component.
struct Fields {
    image: &'static str,
    memory_limit: &'static str,
    memory_request: &'static str,
    /// The operator sets the cache's own.
    cpu_request: Option<&'static str>,
    /// What decides how its process starts; the operator's own pods leave nothing to decide.
    start: Option<&'static str>,
}

impl Fields {
    fn of(component: &str) -> Self {
        match component {
            "database" => Self {
                image: "spec.database.builtin.image",
                memory_limit: "spec.database.builtin.resources.limits.memory",
                memory_request: "spec.database.builtin.resources.requests.memory",
                cpu_request: Some("spec.database.builtin.resources.requests.cpu"),
                start: None,
            },
            "cache" => Self {
                image: "spec.cache.builtin.image",
                memory_limit: "spec.cache.builtin.memory",
                memory_request: "spec.cache.builtin.memory",
                cpu_request: None,
                start: None,
            },
            _ => Self {
                image: "spec.image",
                memory_limit: "spec.resources.limits.memory",
                memory_request: "spec.resources.requests.memory",
                cpu_request: Some("spec.resources.requests.cpu"),
                start: Some("spec.command, spec.args"),
            },
        }
    }
}

/// What a pod says, and the remedy.
pub fn explain(facts: &Facts<'_>, component: &str, pod: &str, trouble: &Trouble) -> ConditionState {
    let fields = Fields::of(component);
    let message = if trouble.message.trim().is_empty() {
        trouble.reason.as_str()
    } else {
        trouble.message.trim()
    };
    let (reason, fact, remedy) = match trouble.reason.as_str() {
        _ if ran_out_of_memory(&trouble.reason, message) => ran_out(facts, component, &fields),
        "ErrImageNeverPull" => (
            Reason::ImagePullBackOff,
            message.to_owned(),
            format!(
                "correct {}, or let it be pulled with spec.imagePullPolicy",
                fields.image
            ),
        ),
        "ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" | "ImageInspectError" => (
            Reason::ImagePullBackOff,
            message.to_owned(),
            format!(
                "check {}, and spec.imagePullSecrets if the registry is private",
                fields.image
            ),
        ),
        "CreateContainerConfigError"
            if message.contains("will run as root") || message.contains("non-root") =>
        {
            (
                Reason::RunsAsRoot,
                message.to_owned(),
                format!(
                    "give the image ({}) a USER that is a number other than 0, or set spec.securityContext.runAsUser",
                    fields.image
                ),
            )
        }
        "CreateContainerConfigError" => (
            Reason::MissingConfiguration,
            message.to_owned(),
            if !facts.absent.is_empty() || message.contains("not found") {
                "create it, and the pods start by themselves, or correct spec.env, spec.envFrom or spec.volumes".to_owned()
            } else {
                "correct spec.env, spec.envFrom or spec.volumes".to_owned()
            },
        ),
        "RunContainerError" | "StartError" | "CreateContainerError" | "ContainerCannotRun" => {
            cannot_start(facts, &fields, message)
        }
        "Unschedulable" => (
            Reason::Unschedulable,
            message.to_owned(),
            unschedulable(message, &fields),
        ),
        "Evicted" => (
            Reason::Evicted,
            message.to_owned(),
            "free the node of what it is short of".to_owned(),
        ),
        _ if trouble.exit_code.is_some() => ended(pod, trouble, &fields),
        "CrashLoopBackOff" => (
            Reason::CrashLoopBackOff,
            message.to_owned(),
            format!("look at `kubectl logs {pod} --previous`"),
        ),
        other if reason_is_well_formed(other) => (
            Reason::read(other),
            message.to_owned(),
            format!("look at `kubectl describe pod {pod}`"),
        ),
        _ => (
            Reason::PodsNotRunning,
            message.to_owned(),
            format!("look at `kubectl describe pod {pod}`"),
        ),
    };
    let who = trouble
        .container
        .as_deref()
        .filter(|container| *container != facts.app.name);
    let who = who.map_or_else(String::new, |container| format!(", container {container}"));
    ConditionState::no(
        ConditionType::Available,
        reason,
        format!("pod {pod}{who}: {fact}: {remedy}"),
    )
}

/// What keeps a pod's container from being made, as only its Events say.
pub fn explain_creation(facts: &Facts<'_>, known: &PodEvents) -> Option<ConditionState> {
    if known.stage != Stage::Creating {
        return None;
    }
    let pod = &known.pod;
    let describe = || format!("look at `kubectl describe pod {pod}`");
    // With the image's turn everything before it has come right.
    let mut since_the_image = known
        .events
        .iter()
        .take_while(|event| !["Pulling", "Pulled", "Created"].contains(&event.reason.as_str()));
    let (reason, fact, remedy) = since_the_image.find_map(|event| {
        let message = event.message.trim();
        Some(match event.reason.as_str() {
            "FailedCreatePodSandBox" if ran_out_of_memory(&event.reason, message) => {
                ran_out(facts, "app", &Fields::of("app"))
            }
            "FailedCreatePodSandBox" => (Reason::SandboxNotCreated, message.to_owned(), describe()),
            "FailedMount" if message.contains("not found") || message.contains("non-existent") => (
                Reason::MissingConfiguration,
                message.to_owned(),
                "create it, and the pods start by themselves, or correct spec.volumes".to_owned(),
            ),
            "FailedMount" | "FailedAttachVolume" => (
                Reason::VolumeNotMounted,
                message.to_owned(),
                "correct spec.volumes, or what it refers to".to_owned(),
            ),
            _ => return None,
        })
    })?;
    Some(ConditionState::no(
        ConditionType::Available,
        reason,
        format!("pod {pod}: {fact}: {remedy}"),
    ))
}

/// The kernel ends a container at its limit; below what runc itself needs it does so before anything has run.
fn ran_out_of_memory(reason: &str, message: &str) -> bool {
    reason == "OOMKilled"
        || ["OOM-killed", "memory limit too low", "unable to set memory limit"]
            .iter()
            .any(|sign| message.contains(sign))
}

fn ran_out(facts: &Facts<'_>, component: &str, fields: &Fields) -> (Reason, String, String) {
    let limit = match component {
        "app" => format!(" of {}", app_memory_limit(facts.spec).0),
        _ => String::new(),
    };
    (
        Reason::OOMKilled,
        format!("it was killed at its memory limit{limit}"),
        format!("raise {}, or make it use less", fields.memory_limit),
    )
}

fn cannot_start(facts: &Facts<'_>, fields: &Fields, message: &str) -> (Reason, String, String) {
    // The runtime's chain of errors ends in what matters.
    let fact = message
        .find("exec: ")
        .map_or(message, |at| &message[at..])
        .to_owned();
    let remedy = if fields.start.is_none() {
        format!("correct {}", fields.image)
    } else if message.contains("exec format error") {
        "build spec.image for the node's processor".to_owned()
    } else if !facts.spec.command.is_empty() {
        "correct spec.command, which the image cannot run".to_owned()
    } else if !facts.spec.args.is_empty() {
        "correct spec.args, or set spec.command, because the image may have no entry point".to_owned()
    } else if message.contains("exec: ") || message.contains("no command specified") {
        "set spec.command, or correct the entry point of spec.image".to_owned()
    } else {
        "correct spec.command, spec.args or spec.volumeMounts".to_owned()
    };
    (Reason::CannotStart, fact, remedy)
}

/// A container that started and ended.
fn ended(pod: &str, trouble: &Trouble, fields: &Fields) -> (Reason, String, String) {
    let code = trouble.exit_code.unwrap_or_default();
    let meaning = match code {
        0 => ", as if its work was done",
        126 => ", which a shell says of a command that it may not run",
        127 => ", which a shell says of a command that does not exist",
        137 => " because it was killed",
        143 => " because it was asked to",
        _ => "",
    };
    let words = match trouble.message.trim() {
        "" => String::new(),
        words => format!(": {words}"),
    };
    let logs = format!("look at `kubectl logs {pod} --previous`");
    let remedy = match (fields.start, code) {
        (None, _) => logs,
        (Some(start), 126 | 127) => format!("correct {start} or {}", fields.image),
        (Some(start), _) => format!("{logs}, then correct {}, {start} or spec.env", fields.image),
    };
    (
        Reason::CrashLoopBackOff,
        format!("it ended with exit code {code}{meaning}{words}"),
        remedy,
    )
}

/// The fields that would let the scheduler find a node.
fn unschedulable(message: &str, fields: &Fields) -> String {
    let causes = [
        ("Insufficient memory", Some(fields.memory_request)),
        ("Insufficient cpu", fields.cpu_request),
        (
            "node affinity/selector",
            Some("spec.placement.nodeSelector or spec.placement.affinity"),
        ),
        ("affinity rules", Some("spec.placement.affinity")),
        ("taint", Some("spec.placement.tolerations")),
        ("persistentvolumeclaim", Some("spec.volumes")),
        ("PersistentVolumeClaim", Some("spec.volumes")),
    ];
    let blamed: Vec<&str> = causes
        .into_iter()
        .filter(|(sign, _)| message.contains(sign))
        .filter_map(|(_, field)| field)
        .collect();
    if blamed.is_empty() {
        "free or add nodes".to_owned()
    } else {
        format!("correct {}, or free or add nodes", blamed.join(" and "))
    }
}

fn reason_is_well_formed(reason: &str) -> bool {
    reason.starts_with(|c: char| c.is_ascii_alphabetic())
        && reason.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests;
