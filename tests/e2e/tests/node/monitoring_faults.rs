//! Faults between an app and its Prometheus: the condition says what is wrong, why, and what to do.

use std::time::Duration;

use anyhow::{Context, Result};
use e2e_tests::{App, Cluster, SMALL, condition_reports};
use kube::Api;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams};
use serde_json::{Value, json};

/// A scrape, prometheus-operator, a reload and a poll of the operator, on a busy machine.
const TIMEOUT: Duration = Duration::from_mins(4);

/// Causes a fault of a healthy app, waits for the report, repairs it, and waits until all conditions are True again.
async fn reports_fault(
    name: &str,
    condition: &str,
    words: &[&str],
    fault: impl AsyncFnOnce(&App<'_>) -> Result<()>,
    repair: impl AsyncFnOnce(&App<'_>) -> Result<()>,
) -> Result<()> {
    let cluster = Cluster::connect().await?;
    let namespace = cluster.temp_namespace(&format!("monitoring-{name}")).await?;
    let app = App::apply(&cluster, &namespace.name, SMALL).await?;
    app.condition(condition, "True", TIMEOUT).await?;
    fault(&app).await.context("cause the fault")?;
    condition_reports(&app, condition, "False", words, TIMEOUT).await?;
    repair(&app).await.context("repair it")?;
    app.condition(condition, "True", TIMEOUT).await?;
    namespace.delete().await
}

/// Changes an object of the operator while the app is paused.
async fn change(app: &App<'_>, kind: &str, plural: &str, patch: &Value) -> Result<()> {
    app.patch(json!({"paused": true})).await?;
    let gvk = GroupVersionKind::gvk("monitoring.coreos.com", "v1", kind);
    let api: Api<DynamicObject> = Api::namespaced_with(
        app.cluster.client.clone(),
        &app.namespace,
        &ApiResource::from_gvk_with_plural(&gvk, plural),
    );
    api.patch(
        &app.name,
        &PatchParams::default(),
        &Patch::Json::<()>(serde_json::from_value(patch.clone())?),
    )
    .await?;
    Ok(())
}

#[tokio::test]
async fn a_wrong_metrics_path() -> Result<()> {
    reports_fault(
        "path",
        "Monitored",
        &["targets of the job tasks are down", "404", "spec.metrics"],
        async |app| app.patch(json!({"metrics": {"path": "/nowhere"}})).await,
        async |app| app.patch(json!({"metrics": {"path": "/metrics"}})).await,
    )
    .await
}

#[tokio::test]
async fn a_wrong_metrics_port() -> Result<()> {
    reports_fault(
        "port",
        "Monitored",
        &[
            "targets of the job tasks are down",
            "connection refused",
            "spec.metrics",
        ],
        async |app| app.patch(json!({"metrics": {"port": 8001}})).await,
        async |app| app.patch(json!({"metrics": {"port": 8000}})).await,
    )
    .await
}

#[tokio::test]
async fn a_port_name_that_no_service_has() -> Result<()> {
    reports_fault(
        "port-name",
        "Monitored",
        &["no target of the job tasks", "endpoints"],
        async |app| {
            let patch = json!([{"op": "replace", "path": "/spec/endpoints/0/port", "value": "other"}]);
            change(app, "ServiceMonitor", "servicemonitors", &patch).await
        },
        async |app| app.patch(json!({"paused": false})).await,
    )
    .await
}

#[tokio::test]
async fn a_network_policy_that_blocks_scrapes() -> Result<()> {
    reports_fault(
        "policy",
        "Monitored",
        &[
            "targets of the job tasks are down",
            "deadline exceeded",
            "NetworkPolicies",
        ],
        async |app| {
            let policy = r"
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: other}
spec: {podSelector: {}, policyTypes: [Ingress], ingress: [{ports: [{port: 5000}]}]}
";
            app.cluster.apply(&app.namespace, policy).await?;
            // Open connections are not affected by a new policy, so the pods are replaced, too.
            app.patch(json!({
                "networkPolicy": {"enabled": false},
                "podTemplate": {"annotations": {"policy": "new"}},
            }))
            .await
        },
        async |app| app.patch(json!({"networkPolicy": {"enabled": true}})).await,
    )
    .await
}

#[tokio::test]
async fn a_rule_that_prometheus_refuses() -> Result<()> {
    reports_fault(
        "rule",
        "RulesLoaded",
        &["this app's rules", "the log of prometheus-operator"],
        async |app| {
            let patch = json!([{"op": "replace", "path": "/spec/groups/0/rules/0/expr", "value": "sum(("}]);
            change(app, "PrometheusRule", "prometheusrules", &patch).await
        },
        async |app| app.patch(json!({"paused": false})).await,
    )
    .await
}

#[tokio::test]
async fn a_rule_that_cannot_be_evaluated() -> Result<()> {
    // Many series on both sides of a one-to-one match on `namespace`.
    let many_to_many = "http_requests_total / on (namespace) http_requests_total > 2";
    reports_fault(
        "evaluation",
        "RulesLoaded",
        &["TooManyRequests", "duplicate series", "spec.alerts.extra"],
        async |app| {
            let alert = json!({"alert": "TooManyRequests", "expr": many_to_many});
            app.patch(json!({"alerts": {"extra": [alert]}})).await
        },
        async |app| app.patch(json!({"alerts": null})).await,
    )
    .await
}

#[tokio::test]
async fn a_latency_threshold_between_two_buckets() -> Result<()> {
    let cluster = Cluster::connect().await?;
    let namespace = cluster.temp_namespace("monitoring-buckets").await?;
    let app = App::apply(&cluster, &namespace.name, SMALL).await?;
    app.condition("Monitored", "True", TIMEOUT).await?;
    let latency = |threshold: &str| json!({"slos": [{"name": "latency", "objective": 99, "indicator": {"latency": {"threshold": threshold}}}]});
    let requests = async || {
        loop {
            // The response does not matter.
            let _ = app.request("GET", "/tasks", None).await;
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    let reported = async {
        app.patch(latency("250ms")).await?;
        condition_reports(
            &app,
            "SLOsMet",
            "Unknown",
            &["250ms", "0.2 s and 0.3 s", "use 200ms or 300ms"],
            TIMEOUT,
        )
        .await?;
        app.patch(latency("300ms")).await?;
        app.condition("SLOsMet", "True", TIMEOUT).await
    };
    tokio::select! {
        done = reported => drop(done?),
        never = requests() => never,
    }
    namespace.delete().await
}
