//! The operator is upgraded, uninstalled and reinstalled by its chart while an app runs and must not be affected.

use std::time::Duration;

use anyhow::{Result, ensure};
use e2e_tests::{App, Cluster, SMALL, eventually};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::{Api, ResourceExt};
use lab::{kubectl::Kubectl, product};
use serde_json::json;

use crate::TURN;

const TIMEOUT: Duration = Duration::from_mins(3);

/// What changes if an app is touched: its pods and its Deployment's generation.
async fn identity(app: &App<'_>) -> Result<(Vec<String>, Option<i64>)> {
    let pods = app.pods("").await?;
    let stay = pods
        .iter()
        .filter(|pod| pod.metadata.deletion_timestamp.is_none());
    let mut pods: Vec<String> = stay.filter_map(ResourceExt::uid).collect();
    pods.sort();
    let deployments = Api::<Deployment>::namespaced(app.cluster.client.clone(), &app.namespace);
    Ok((pods, deployments.get(&app.name).await?.metadata.generation))
}

fn same<T: PartialEq + std::fmt::Debug>(before: &T, now: &T, otherwise: &str) -> Result<()> {
    ensure!(before == now, "{otherwise}: {before:?} became {now:?}");
    Ok(())
}

/// Without an operator, the app serves and its data is available.
async fn left_alone(app: &App<'_>, before: &(Vec<String>, Option<i64>)) -> Result<()> {
    same(before, &identity(app).await?, "the uninstall touched the app")?;
    let claims = Api::<PersistentVolumeClaim>::namespaced(app.cluster.client.clone(), &app.namespace);
    ensure!(
        claims
            .get("tasks-db")
            .await?
            .metadata
            .deletion_timestamp
            .is_none()
    );
    ensure!(app.request("GET", "/tasks", None).await?.status == 200);
    Ok(())
}

#[tokio::test]
async fn an_upgrade_and_an_uninstall_leave_apps_and_data_alone() -> Result<()> {
    let _turn = TURN.lock().await;
    let cluster = Cluster::connect().await?;
    let kubectl = Kubectl::new(&cluster.kubeconfig).await?;
    let namespace = cluster.temp_namespace("chart").await?;
    let manifest = SMALL.replace(
        r#"env: [{name: DATABASE_URL, value: "sqlite::memory:"}]"#,
        "database: {builtin: {storage: {size: 64Mi}}}",
    );
    let app = App::apply(&cluster, &namespace.name, &manifest).await?;
    app.condition("Ready", "True", TIMEOUT).await?;
    let before = identity(&app).await?;

    product::upgrade(&kubectl, &["--set=logLevel=debug"]).await?;
    app.condition("Ready", "True", TIMEOUT).await?;
    same(&before, &identity(&app).await?, "the upgrade touched the app")?;

    product::uninstall(&kubectl).await?;
    let without = left_alone(&app, &before).await;
    // Before the check: the next test needs the operator.
    product::upgrade(&kubectl, &[]).await?;
    without?;
    app.condition("Ready", "True", TIMEOUT).await?;
    ensure!(
        identity(&app).await? == before,
        "the reinstalled operator touched the app"
    );
    // It reconciles again.
    app.patch(json!({"replicas": 2})).await?;
    eventually("the app is scaled", TIMEOUT, async || {
        let pods = app.pods("app").await?.len();
        ensure!(pods == 2, "{pods} pods");
        anyhow::Ok(())
    })
    .await?;
    namespace.delete().await
}
