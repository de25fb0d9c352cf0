//! Facts that only a pod's Events have appear in `Available`. The test writes the Events in place of a kubelet.

use anyhow::Result;
use apiserver_tests::{RunningOperator, TestNamespace, block_on, condition, pod};
use futures::future::try_join_all;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::json;

/// App, whether its container has started, the kubelet's message, reason and words of the condition.
const FAULTS: [(&str, bool, &str, &str, &str); 3] = [
    (
        "port",
        false,
        r#"Startup probe failed: Get "http://10.42.0.7:5001/live": dial tcp 10.42.0.7:5001: connect: connection refused"#,
        "NothingListens",
        "nothing listens on port 5001 (connection refused): correct spec.port",
    ),
    (
        "live",
        false,
        "Startup probe failed: HTTP probe failed with statuscode: 404",
        "WrongLivenessPath",
        "/live answers 404: correct spec.health.livenessPath",
    ),
    (
        "ready",
        true,
        "Readiness probe failed: HTTP probe failed with statuscode: 404",
        "WrongReadinessPath",
        "/ready answers 404: correct spec.health.readinessPath",
    ),
];

async fn is_reported(ns: &TestNamespace, fault: (&str, bool, &str, &str, &str)) -> Result<()> {
    let (app, started, message, reason, words) = fault;
    let health = json!({"livenessPath": "/live", "readinessPath": "/ready"});
    let spec = json!({"image": "tasks:1", "replicas": 1, "port": 5001, "health": health});
    ns.apply(app, spec).await?;
    ns.applied(app).await?;
    let name = format!("{app}-1");
    let pods: Api<Pod> = Api::namespaced(ns.client.clone(), &ns.name);
    pods.create(&PostParams::default(), &pod(app, &name)).await?;
    let status = json!({"status": {"phase": "RunningOperator", "containerStatuses": [{
        "name": app, "image": "tasks:1", "imageID": "", "ready": false, "started": started, "restartCount": 0,
        "state": {"running": {"startedAt": "2026-11-21T12:00:00Z"}},
    }]}});
    pods.patch_status(&name, &PatchParams::default(), &Patch::Merge(&status))
        .await?;
    let event = |pod: &str, message: &str| -> Result<Event> {
        Ok(serde_json::from_value(json!({
            "metadata": {"generateName": "said-", "namespace": ns.name},
            "involvedObject": {"apiVersion": "v1", "kind": "Pod", "name": pod, "namespace": ns.name},
            "reason": "Unhealthy", "type": "Warning", "message": message, "lastTimestamp": "2026-11-21T12:00:09Z",
        }))?)
    };
    let events: Api<Event> = Api::namespaced(ns.client.clone(), &ns.name);
    // An Event of another pod, which must be ignored.
    let other = "Startup probe failed: HTTP probe failed with statuscode: 500";
    events
        .create(&PostParams::default(), &event("another-1", other)?)
        .await?;
    events
        .create(&PostParams::default(), &event(&name, message)?)
        .await?;
    let app = ns
        .until(app, &format!("Available says that {words}"), |app| {
            condition(app, "Available").1 == reason
        })
        .await?;
    let (_, _, message) = condition(&app, "Available");
    assert!(message.contains(words), "{message}");
    Ok(())
}

#[test]
fn pod_events_are_reported_with_the_field_to_correct() -> Result<()> {
    block_on(async {
        let ns = TestNamespace::new("events").await?;
        let (_proxy, _operator) = RunningOperator::behind_proxy(&ns).await?;
        try_join_all(FAULTS.map(|fault| is_reported(&ns, fault))).await?;
        Ok(())
    })
}
