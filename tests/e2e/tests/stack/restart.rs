//! Prometheus is restarted while requests fail: afterwards, the figures still equal the load's counts.

use anyhow::{Context, Result};
use e2e_tests::truth::{OBSERVED, Truth, all_agree, behave, manifest, rules_since, slow, users};
use e2e_tests::{App, Cluster, eventually};
use k8s_openapi::api::core::v1::Pod;
use kube::api::DeleteParams;
use kube::{Api, ResourceExt};
use lab::layers;

use crate::TURN;

#[tokio::test]
async fn figures_survive_a_restart_of_prometheus() -> Result<()> {
    let _turn = TURN.lock().await;
    let cluster = Cluster::connect().await?;
    let namespace = cluster.temp_namespace("restart").await?;
    let app = App::apply(&cluster, &namespace.name, &manifest("tasks")).await?;
    app.condition("Monitored", "True", OBSERVED).await?;
    app.condition("RulesLoaded", "True", OBSERVED).await?;
    let mut truth = Truth::begin(rules_since(&cluster, &app).await?);

    behave(&app, 0.05, 0).await?;
    for _ in 0..if layers::is_long() { 5 } else { 1 } {
        let (served, restarted) = tokio::join!(
            users(&cluster, &app, "90s", &mut truth),
            restart_once_failures_are_recorded(&cluster, &app)
        );
        served?;
        restarted?;
        truth.slow = slow(&app).await?;
        all_agree("Prometheus restarted in the middle", &cluster, &app, &truth).await?;
    }
    namespace.delete().await
}

/// Deletes Prometheus' pod, whose volume keeps the samples, and waits until another is ready.
async fn restart_once_failures_are_recorded(cluster: &Cluster, app: &App<'_>) -> Result<()> {
    let prometheus = cluster.prometheus();
    let failing = format!(
        r#"slo:errors:rate5m{{namespace="{}",app="{}",slo="availability"}} > 0"#,
        app.namespace, app.name
    );
    eventually("failures are recorded", OBSERVED, async || {
        prometheus.value(&failing).await
    })
    .await?;
    let pods = cluster
        .pods("monitoring", "app.kubernetes.io/name=prometheus")
        .await?;
    let name = pods.first().context("Prometheus has no pod")?.name_any();
    Api::<Pod>::namespaced(cluster.client.clone(), "monitoring")
        .delete(&name, &DeleteParams::default())
        .await?;
    eventually("another Prometheus is ready", OBSERVED, async || {
        prometheus.value("vector(1)").await
    })
    .await?;
    Ok(())
}
