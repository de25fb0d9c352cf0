#![allow(clippy::unwrap_used)]
use serde_json::{Value, json};

use super::*;

fn seen(status: Value) -> PartialPod {
    serde_json::from_value(json!({
        "metadata": {
            "name": "tasks-1", "namespace": "shop", "resourceVersion": "1",
            "labels": {"app.kubernetes.io/instance": "tasks", "app.kubernetes.io/component": "app", "pod-template-hash": "abc"},
        },
        "status": status,
    }))
    .unwrap()
}

#[test]
fn a_waiting_container_says_why() {
    let pod = seen(json!({"phase": "Pending", "containerStatuses": [
        {"name": "tasks", "ready": false, "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}},
    ]}));
    let trouble = pod.pod.trouble.unwrap();
    assert_eq!(
        (trouble.reason.as_str(), trouble.message.as_str()),
        ("ImagePullBackOff", "no such image")
    );
}

#[test]
fn a_crash_loop_says_how_the_last_run_ended() {
    let pod = seen(json!({"phase": "Running", "containerStatuses": [{
        "name": "tasks", "ready": false, "restartCount": 4,
        "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s"}},
        "lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137}},
    }]}));
    assert_eq!(pod.pod.stage, Stage::Starting);
    assert_eq!(pod.pod.restarts, 4);
    let trouble = pod.pod.trouble.unwrap();
    assert_eq!(
        (trouble.reason.as_str(), trouble.exit_code),
        ("OOMKilled", Some(137))
    );
}

fn container(container: &Value) -> Pod {
    seen(json!({"phase": "Running", "containerStatuses": [container]})).pod
}

#[test]
fn a_crash_is_told_when_it_happens_and_not_only_in_a_loop() {
    let pod = container(&json!({
        "name": "tasks", "ready": false, "started": false, "restartCount": 0,
        "state": {"terminated": {"reason": "Error", "exitCode": 3,
            "startedAt": "2026-11-21T12:00:00Z", "finishedAt": "2026-11-21T12:00:07Z"}},
    }));
    let trouble = pod.trouble.unwrap();
    assert_eq!(trouble.exit_code, Some(3));
    assert_eq!(trouble.ran_for, Some(Duration::from_secs(7)));
    let pod = container(&json!({
        "name": "tasks", "ready": false, "started": false, "restartCount": 1, "state": {"running": {}},
        "lastState": {"terminated": {"reason": "Completed", "exitCode": 0}},
    }));
    assert_eq!(pod.stage, Stage::Starting);
    let trouble = pod.trouble.unwrap();
    assert!(trouble.may_be_a_failed_probe(), "{trouble:?}");
}

#[test]
fn a_container_that_has_started_again_is_not_blamed_for_an_earlier_end() {
    let pod = container(&json!({
        "name": "tasks", "ready": false, "started": true, "restartCount": 1, "state": {"running": {}},
        "lastState": {"terminated": {"reason": "Error", "exitCode": 1}},
    }));
    assert_eq!((pod.stage, pod.trouble), (Stage::Started, None));
}

#[test]
fn a_container_that_only_prepares_may_end() {
    let pod = seen(json!({"phase": "Pending",
        "initContainerStatuses": [{"name": "copy", "ready": false, "state": {"terminated": {"reason": "Completed", "exitCode": 0}}}],
        "containerStatuses": [{"name": "tasks", "ready": false, "state": {"waiting": {"reason": "PodInitializing"}}}],
    }));
    assert_eq!((pod.pod.stage, pod.pod.trouble), (Stage::Creating, None));
}

#[test]
fn a_pod_that_is_starting_is_in_no_trouble() {
    let pod = seen(json!({"phase": "Pending", "containerStatuses": [
        {"name": "tasks", "ready": false, "state": {"waiting": {"reason": "ContainerCreating"}}},
    ]}));
    assert_eq!(pod.pod.trouble, None);
}

#[test]
fn pods_are_kept_by_app() {
    let pods = Pods::default();
    let app = AppRef::new("shop", "tasks");
    assert_eq!(pods.put(seen(json!({}))), Some(app.clone()));
    assert_eq!(pods.put(seen(json!({}))), None);
    assert_eq!(pods.of(&app).len(), 1);
    assert_eq!(pods.replace(None, Vec::new()), vec![app.clone()]);
    assert!(pods.of(&app).is_empty());
}
