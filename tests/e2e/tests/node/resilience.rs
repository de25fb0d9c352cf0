//! Disruptions that users must not notice: rollouts, scaling, lost pods, and a lost operator.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use e2e_tests::{App, Cluster, OPERATOR_NAMESPACE, eventually};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams};
use kube::{Api, ResourceExt};
use lab::kubectl::Kubectl;
use lab::load::{self, Load};
use serde_json::json;

use crate::SAMPLE;

const TIMEOUT: Duration = Duration::from_mins(3);

#[tokio::test]
async fn no_request_is_lost_in_a_rollout_a_scaling_or_a_pod_deletion() -> Result<()> {
    let cluster = Cluster::connect().await?;
    let namespace = cluster.temp_namespace("lossless").await?;
    let app = App::apply(&cluster, &namespace.name, SAMPLE).await?;
    app.condition("Ready", "True", TIMEOUT).await?;

    let kubectl = Kubectl::new(&cluster.kubeconfig).await?;
    let load = Load {
        users: 30,
        spawn_rate: 30,
        duration: "150s".to_owned(),
        think_time: "300ms".to_owned(),
        fail_above: "0%".to_owned(),
        app: app.name.clone(),
        namespace: namespace.name.clone(),
    };
    let users = load::run_job(&kubectl, &load, |line| println!("{line}"));
    let changes = async {
        eventually("the load has started", TIMEOUT, async || {
            let pods = cluster.pods(&namespace.name, "job-name=tasks-load").await?;
            let running = pods
                .iter()
                .filter_map(|pod| pod.status.as_ref()?.phase.as_deref())
                .any(|phase| phase == "Running");
            ensure!(running, "the load has not started yet");
            anyhow::Ok(())
        })
        .await?;
        // A rollout: new pods, the old ones drained.
        app.patch(json!({"podTemplate": {"annotations": {"release": "two"}}}))
            .await?;
        replicas(&app, 2).await?;
        app.patch(json!({"replicas": 4})).await?;
        replicas(&app, 4).await?;
        app.patch(json!({"replicas": 2})).await?;
        replicas(&app, 2).await?;
        for component in ["app", "cache"] {
            lose_a_pod(&app, component).await?;
        }
        anyhow::Ok(())
    };
    tokio::pin!(users);
    tokio::select! {
        ended = &mut users => bail!("the load ended too early: {ended:?}"),
        done = changes => done?,
    }
    let outcome = users.await?;
    ensure!(outcome.served, "{}", outcome.summary["failures"]);
    let requests = outcome.summary["requests"].as_u64().context("no count")?;
    ensure!(requests > 1000, "only {requests} requests were made");
    let page = std::fs::read_to_string(&outcome.report)?;
    ensure!(page.contains("<svg"), "{} has no plot", outcome.report.display());
    namespace.delete().await
}

/// Waits until exactly this many pods of the newest template run, and no others.
async fn replicas(app: &App<'_>, wanted: i32) -> Result<()> {
    let deployments = Api::<Deployment>::namespaced(app.cluster.client.clone(), &app.namespace);
    app.condition("Applied", "True", TIMEOUT).await?;
    eventually(&format!("exactly {wanted} pods run"), TIMEOUT, async || {
        let deployment = deployments.get(&app.name).await?;
        let generation = deployment.metadata.generation;
        let status = deployment.status.context("no status")?;
        let pods = app.pods("app").await?.len();
        ensure!(
            status.observed_generation == generation
                && status.updated_replicas == Some(wanted)
                && status.ready_replicas == Some(wanted)
                && i32::try_from(pods) == Ok(wanted),
            "{status:?}, {pods} pods"
        );
        anyhow::Ok(())
    })
    .await
}

/// Deletes a pod of a component, and waits until another is ready.
async fn lose_a_pod(app: &App<'_>, component: &str) -> Result<()> {
    let pods = Api::<Pod>::namespaced(app.cluster.client.clone(), &app.namespace);
    let before = app.pods(component).await?;
    let lost = before.first().context("no pod")?.name_any();
    pods.delete(&lost, &DeleteParams::default()).await?;
    eventually(&format!("{lost} is replaced"), TIMEOUT, async || {
        let now = app.pods(component).await?;
        let ready = now
            .iter()
            .filter(|pod| pod.name_any() != lost)
            .filter(|pod| is_ready(pod))
            .count();
        ensure!(ready == before.len(), "{ready} of {} are ready", before.len());
        anyhow::Ok(())
    })
    .await
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions
        .into_iter()
        .flatten()
        .any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

#[tokio::test]
async fn another_operator_replica_takes_over_from_a_killed_leader() -> Result<()> {
    let cluster = Cluster::connect().await?;
    let namespace = cluster.temp_namespace("leader-lost").await?;
    let app = App::apply(
        &cluster,
        &namespace.name,
        "{apiVersion: observedapp.dev/v1alpha1, kind: ObservedApp, metadata: {name: web},
          spec: {image: 'docker.io/library/redis:8', port: 6379, replicas: 1, securityContext: {runAsUser: 999}}}",
    )
    .await?;
    app.condition("Ready", "True", TIMEOUT).await?;

    let leases = Api::<Lease>::namespaced(cluster.client.clone(), OPERATOR_NAMESPACE);
    let holder = async || {
        let lease = leases
            .list(&ListParams::default())
            .await?
            .items
            .pop()
            .context("no Lease")?;
        lease
            .spec
            .and_then(|spec| spec.holder_identity)
            .context("the Lease has no holder")
    };
    let leader = holder().await?;
    let pods = cluster
        .pods(OPERATOR_NAMESPACE, "app.kubernetes.io/name=observedapp")
        .await?;
    let pod = pods
        .iter()
        .map(ResourceExt::name_any)
        .find(|name| leader.starts_with(name.as_str()))
        .with_context(|| format!("{leader} holds the Lease and is not a pod"))?;
    // Without a grace period, it cannot release the Lease.
    Api::<Pod>::namespaced(cluster.client.clone(), OPERATOR_NAMESPACE)
        .delete(&pod, &DeleteParams::default().grace_period(0))
        .await?;
    app.patch(json!({"replicas": 2})).await?;
    replicas(&app, 2).await?;
    ensure!(holder().await? != leader, "{leader} still holds the Lease");
    namespace.delete().await
}
