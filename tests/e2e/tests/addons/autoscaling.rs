//! metrics-server and the HorizontalPodAutoscaler.

use anyhow::{Context, Result, ensure};
use e2e_tests::{App, Cluster, busy, eventually};
use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use lab::kubectl::Kubectl;

use crate::TIMEOUT;

#[tokio::test]
async fn a_busy_app_is_scaled_up_and_top_shows_its_pods() -> Result<()> {
    let cluster = Cluster::connect().await?;
    let namespace = cluster.temp_namespace("autoscaling").await?;
    let manifest = busy("autoscaling: {minReplicas: 1, maxReplicas: 3, targetCPUUtilization: 70}");
    let app = App::apply(&cluster, &namespace.name, &manifest).await?;
    app.condition("Ready", "True", TIMEOUT).await?;

    let kubectl = Kubectl::new(&cluster.kubeconfig).await?;
    eventually("`kubectl top` lists the pod", TIMEOUT, async || {
        let top = kubectl
            .run(&["top", "pods", "--no-headers", "-n", &namespace.name])
            .await?;
        let cpu = top
            .split_whitespace()
            .nth(1)
            .and_then(|cpu| cpu.strip_suffix('m'))
            .map(str::to_owned);
        let cpu: u32 = cpu.with_context(|| format!("no figure: {top}"))?.parse()?;
        ensure!(cpu > 20, "{top}");
        anyhow::Ok(())
    })
    .await?;

    let deployments = Api::<Deployment>::namespaced(cluster.client.clone(), &namespace.name);
    eventually("it has three pods", TIMEOUT, async || {
        let ready = deployments
            .get(&app.name)
            .await?
            .status
            .and_then(|status| status.ready_replicas);
        ensure!(ready == Some(3), "{ready:?}");
        anyhow::Ok(())
    })
    .await?;
    // The operator does not revert the autoscaler's `replicas`.
    app.condition("Ready", "True", TIMEOUT).await?;
    let replicas = deployments
        .get(&app.name)
        .await?
        .spec
        .and_then(|spec| spec.replicas);
    ensure!(replicas == Some(3), "{replicas:?}");
    namespace.delete().await
}
