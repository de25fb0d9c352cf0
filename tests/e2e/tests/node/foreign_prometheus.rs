//! A Prometheus object in another namespace changes nothing for an app.

use std::time::Duration;

use anyhow::{Result, ensure};
use e2e_tests::{App, Cluster, HOSTILE_PROMETHEUS, SMALL};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::Api;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind};
use serde_json::json;

/// A rollout, prometheus-operator, its config reloader and a poll of the operator, on a busy machine.
const TIMEOUT: Duration = Duration::from_mins(5);

/// The labels of the app's monitoring objects, and the peers of its NetworkPolicies.
async fn made(app: &App<'_>) -> Result<String> {
    let client = &app.cluster.client;
    let mut made = Vec::new();
    for (kind, plural) in [
        ("ServiceMonitor", "servicemonitors"),
        ("PrometheusRule", "prometheusrules"),
    ] {
        let gvk = GroupVersionKind::gvk("monitoring.coreos.com", "v1", kind);
        let resource = ApiResource::from_gvk_with_plural(&gvk, plural);
        let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), &app.namespace, &resource);
        let object = api.get(&app.name).await?;
        made.push(format!("{kind}: {:?}", object.metadata.labels));
    }
    let policy = Api::<NetworkPolicy>::namespaced(client.clone(), &app.namespace)
        .get(&app.name)
        .await?;
    made.push(format!("{:?}", policy.spec));
    Ok(made.join("\n"))
}

#[tokio::test]
async fn a_foreign_prometheus_changes_nothing() -> Result<()> {
    let cluster = Cluster::connect().await?;
    let namespace = cluster.temp_namespace("foreign-prometheus").await?;
    let app = App::apply(&cluster, &namespace.name, SMALL).await?;
    app.condition("Ready", "True", TIMEOUT).await?;
    app.condition("Monitored", "True", TIMEOUT).await?;
    app.condition("RulesLoaded", "True", TIMEOUT).await?;
    let before = made(&app).await?;

    // The name sorts before `monitoring`, too.
    let hostile = cluster.temp_namespace("a-hostile").await?;
    cluster.apply(&hostile.name, HOSTILE_PROMETHEUS).await?;
    // The operator reports a new rule as loaded only after it has listed Prometheus objects again.
    let extra = json!([{"alert": "Another", "expr": "up == 0"}]);
    app.patch(json!({"alerts": {"extra": extra}})).await?;
    app.condition("RulesLoaded", "True", TIMEOUT).await?;

    let after = made(&app).await?;
    ensure!(before == after, "it became\n{after}\nof\n{before}");
    for condition in ["Ready", "Applied", "Monitored", "RulesLoaded"] {
        app.condition(condition, "True", TIMEOUT).await?;
    }
    hostile.delete().await?;
    namespace.delete().await
}
