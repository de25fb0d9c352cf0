#![allow(clippy::unwrap_used)]
use observedapp_api::{AppRef, ObservedAppSpec, Reason};
use observedapp_desired::Desired;
use serde_json::{Value, json};

use super::*;
use crate::pod_events::PodEvent;
use crate::status::Progress;
use crate::status::availability::available;
use crate::watch::{ChildState, Facts as ChildFacts};

fn spec(more: &Value) -> ObservedAppSpec {
    let mut spec = json!({"image": "tasks:1", "resources": {"limits": {"memory": "32Mi"}}});
    for (field, value) in more.as_object().into_iter().flatten() {
        spec[field] = value.clone();
    }
    serde_json::from_value(spec).unwrap()
}

/// The app `tasks` of this spec, applied.
struct App {
    id: AppRef,
    spec: ObservedAppSpec,
    progress: Progress,
}

impl App {
    fn new(spec: ObservedAppSpec) -> Self {
        Self {
            id: AppRef::new("shop", "tasks"),
            spec,
            progress: Progress::applied(Desired::default()),
        }
    }

    fn facts(&self) -> Facts<'_> {
        Facts::without_objects(&self.id, &self.spec, &self.progress)
    }
}

fn trouble(reason: &str, exit_code: Option<i32>, message: &str) -> Trouble {
    Trouble {
        container: Some("tasks".to_owned()),
        reason: reason.to_owned(),
        message: message.to_owned(),
        exit_code,
        ran_for: None,
    }
}

/// Reason, exit code and message; the reason that is reported, and words of its message.
type Row = (
    &'static str,
    Option<i32>,
    &'static str,
    &'static str,
    &'static [&'static str],
);

/// What the kubelet of Kubernetes 1.34 and containerd say.
const TABLE: &[Row] = &[
    (
        "ImagePullBackOff",
        None,
        r#"Back-off pulling image "tasks:typo": ErrImagePull: rpc error: code = NotFound desc = failed to pull and unpack image "docker.io/library/tasks:typo": not found"#,
        "ImagePullBackOff",
        &["tasks:typo", "check spec.image, and spec.imagePullSecrets"],
    ),
    (
        "ErrImageNeverPull",
        None,
        r#"Container image "tasks:typo" is not present with pull policy of Never"#,
        "ImagePullBackOff",
        &["correct spec.image", "spec.imagePullPolicy"],
    ),
    (
        "CreateContainerConfigError",
        None,
        r#"container has runAsNonRoot and image will run as root (pod: "tasks-1_shop(4711)", container: tasks)"#,
        "RunsAsRoot",
        &["image (spec.image)", "or set spec.securityContext.runAsUser"],
    ),
    (
        "CreateContainerConfigError",
        None,
        "container has runAsNonRoot and image has non-numeric user (redis), cannot verify user is non-root",
        "RunsAsRoot",
        &["spec.securityContext.runAsUser"],
    ),
    (
        "CreateContainerConfigError",
        None,
        r#"secret "nowhere" not found"#,
        "MissingConfiguration",
        &[r#"secret "nowhere" not found: create it"#, "spec.env"],
    ),
    (
        "CreateContainerConfigError",
        None,
        "couldn't find key b in Secret shop/some",
        "MissingConfiguration",
        &["couldn't find key b in Secret shop/some: correct spec.env"],
    ),
    (
        "OOMKilled",
        Some(137),
        "",
        "OOMKilled",
        &["its memory limit of 32Mi: raise spec.resources.limits.memory"],
    ),
    (
        "StartError",
        Some(128),
        "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: container init was OOM-killed (memory limit too low?): unknown",
        "OOMKilled",
        &["its memory limit of 32Mi: raise spec.resources.limits.memory"],
    ),
    (
        "StartError",
        Some(128),
        r#"failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: error during container init: exec: "nonsense": executable file not found in $PATH: unknown"#,
        "CannotStart",
        &[
            r#"pod tasks-1: exec: "nonsense": executable file not found in $PATH"#,
            "set spec.command",
        ],
    ),
    (
        "Error",
        Some(3),
        "",
        "CrashLoopBackOff",
        &[
            "it ended with exit code 3: look at `kubectl logs tasks-1 --previous`",
            "spec.command, spec.args or spec.env",
        ],
    ),
    (
        "Error",
        Some(1),
        "no such table",
        "CrashLoopBackOff",
        &["it ended with exit code 1: no such table: look at"],
    ),
    (
        "Error",
        Some(127),
        "",
        "CrashLoopBackOff",
        &["exit code 127", "does not exist: correct spec.command"],
    ),
    (
        "Completed",
        Some(0),
        "",
        "CrashLoopBackOff",
        &["it ended with exit code 0, as if its work was done"],
    ),
    (
        "Unschedulable",
        None,
        "0/1 nodes are available: 1 Insufficient memory. preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.",
        "Unschedulable",
        &["Insufficient memory", "correct spec.resources.requests.memory"],
    ),
    (
        "Unschedulable",
        None,
        "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.",
        "Unschedulable",
        &["spec.placement.nodeSelector"],
    ),
    (
        "what is this?",
        None,
        "",
        "PodsNotRunning",
        &["kubectl describe pod"],
    ),
    ("NewReason", None, "", "NewReason", &["kubectl describe pod"]),
];

#[test]
fn what_a_pod_says_becomes_a_fact_and_a_field() {
    let app = App::new(spec(&json!({})));
    for (reason, exit_code, message, expected, words) in TABLE {
        let trouble = trouble(reason, *exit_code, message);
        let condition = explain(&app.facts(), "app", "tasks-1", &trouble);
        assert_eq!(condition.reason.as_str(), *expected, "{reason}: {message}");
        for word in *words {
            assert!(condition.message.contains(word), "{}", condition.message);
        }
    }
}

#[test]
fn the_command_is_blamed_where_it_is_given() {
    let missing = trouble(
        "RunContainerError",
        None,
        r#"exec: "nonsense": executable file not found in $PATH"#,
    );
    for (given, field) in [
        (json!({"command": ["nonsense"]}), "correct spec.command"),
        (json!({"args": ["nonsense"]}), "correct spec.args"),
    ] {
        let app = App::new(spec(&given));
        let message = explain(&app.facts(), "app", "tasks-1", &missing).message;
        assert!(message.contains(field), "{message}");
    }
}

#[test]
fn the_database_and_the_cache_have_fields_of_their_own() {
    let app = App::new(spec(&json!({})));
    let killed = Trouble {
        container: Some("postgres".to_owned()),
        ..trouble("OOMKilled", Some(137), "")
    };
    let message = |component| explain(&app.facts(), component, "tasks-db-0", &killed).message;
    assert!(message("database").contains("raise spec.database.builtin.resources.limits.memory"));
    assert!(message("database").contains("pod tasks-db-0, container postgres: it was killed"));
    assert!(message("cache").contains("raise spec.cache.builtin.memory"));
}

fn event(reason: &str, message: &str) -> PodEvent {
    PodEvent {
        reason: reason.to_owned(),
        message: message.to_owned(),
    }
}

#[test]
fn what_comes_before_the_image_is_told_by_events() {
    let app = App::new(spec(&json!({})));
    let explained = |events| {
        let events = PodEvents::of("tasks-1", Stage::Creating, events);
        explain_creation(&app.facts(), &events)
    };
    let mount = event(
        "FailedMount",
        r#"MountVolume.SetUp failed for volume "conf" : configmap "nowhere" not found"#,
    );
    let condition = explained(vec![mount.clone(), event("Scheduled", "")]).unwrap();
    assert_eq!(condition.reason, Reason::MissingConfiguration);
    assert!(
        condition
            .message
            .contains(r#"configmap "nowhere" not found: create it"#)
    );
    assert!(condition.message.contains("spec.volumes"));
    assert_eq!(
        explained(vec![event("Pulling", ""), mount]),
        None,
        "it was created since"
    );
    let sandbox = event(
        "FailedCreatePodSandBox",
        "Failed to create pod sandbox: rpc error: code = Unknown desc = failed to start sandbox: OCI runtime create failed: runc create failed: container init was OOM-killed (memory limit too low?): unknown",
    );
    let condition = explained(vec![sandbox]).unwrap();
    assert_eq!(condition.reason, Reason::OOMKilled);
    assert!(
        condition
            .message
            .contains("32Mi: raise spec.resources.limits.memory")
    );
}

#[test]
fn a_probe_says_more_than_the_kill_that_follows_it_and_less_than_a_crash() {
    let app = App::new(spec(&json!({"port": 5001})));
    let refused = event(
        "Unhealthy",
        "Startup probe failed: dial tcp 10.42.0.7:5001: connect: connection refused",
    );
    let killing = event(
        "Killing",
        "Container tasks failed startup probe, will be restarted",
    );
    let with_killing = PodEvents::of("tasks-1", Stage::Starting, vec![killing, refused.clone()]);
    let without_killing = PodEvents::of("tasks-1", Stage::Starting, vec![refused]);
    let deployment = ChildState {
        facts: Some(Box::new(ChildFacts {
            wanted: Some(1),
            ..ChildFacts::default()
        })),
        ..ChildState::default()
    };
    let reason = |events: &PodEvents, trouble: Option<Trouble>| {
        let pod = Pod {
            component: "app".to_owned(),
            trouble,
            ..Pod::default()
        };
        let facts = Facts {
            deployment: Some(Arc::new(deployment.clone())),
            pods: vec![("tasks-1".to_owned(), Arc::new(pod))],
            events: Some(events),
            ..app.facts()
        };
        available(&facts).reason.to_string()
    };
    let after = |seconds, trouble| Trouble {
        ran_for: Some(std::time::Duration::from_secs(seconds)),
        ..trouble
    };
    let ended = |reason, code| trouble(reason, Some(code), "");
    let reason_after = |events, trouble| reason(events, Some(trouble));
    assert_eq!(reason(&without_killing, None), "NothingListens");
    assert_eq!(
        reason_after(&with_killing, after(3, ended("Error", 137))),
        "NothingListens"
    );
    assert_eq!(
        reason_after(&without_killing, after(60, ended("Completed", 0))),
        "NothingListens"
    );
    // It has ended by itself, before anybody would have killed it.
    assert_eq!(
        reason_after(&without_killing, after(3, ended("Completed", 0))),
        "CrashLoopBackOff"
    );
    assert_eq!(reason_after(&with_killing, ended("Error", 3)), "CrashLoopBackOff");
    assert_eq!(reason_after(&with_killing, ended("OOMKilled", 137)), "OOMKilled");
}
