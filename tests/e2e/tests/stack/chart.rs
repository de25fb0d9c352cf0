//! The operator upgraded, taken away and given back by its chart, while an app runs and must not notice.

use std::time::Duration;

use anyhow::{Result, ensure};
use e2e_tests::{App, Cluster, SMALL, eventually};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::{Api, ResourceExt};
use lab::{kubectl::Kubectl, product};
use serde_json::json;

use crate::{NAMESPACE, TURN};

const SOON: Duration = Duration::from_mins(3);

/// What would tell that an app was touched: its pods and its Deployment's generation.
async fn identity(app: &App<'_>) -> Result<(Vec<String>, Option<i64>)> {
    let mut pods: Vec<String> = app.pods("").await?.iter().filter_map(ResourceExt::uid).collect();
    pods.sort();
    let deployments = Api::<Deployment>::namespaced(app.cluster.client.clone(), &app.namespace);
    Ok((pods, deployments.get(&app.name).await?.metadata.generation))
}

#[tokio::test]
async fn an_upgrade_and_an_uninstall_leave_apps_and_data_alone() -> Result<()> {
    let _turn = TURN.lock().await;
    let cluster = Cluster::connect().await?;
    let kubectl = Kubectl::new(&cluster.kubeconfig).await?;
    cluster.ensure_namespace(NAMESPACE).await?;
    let app = App::apply(&cluster, NAMESPACE, SMALL).await?;
    app.patch(json!({"database": {"builtin": {"storage": {"size": "64Mi"}}}, "env": null}))
        .await?;
    app.condition("Ready", "True", SOON).await?;
    let before = identity(&app).await?;

    product::upgrade(&kubectl, &["--set=logLevel=debug"]).await?;
    app.condition("Ready", "True", SOON).await?;
    ensure!(identity(&app).await? == before, "the upgrade touched the app");

    product::uninstall(&kubectl).await?;
    ensure!(identity(&app).await? == before, "the uninstall touched the app");
    let claims = Api::<PersistentVolumeClaim>::namespaced(cluster.client.clone(), NAMESPACE);
    ensure!(
        claims
            .get("tasks-db")
            .await?
            .metadata
            .deletion_timestamp
            .is_none()
    );
    ensure!(app.request("GET", "/tasks", None).await?.status == 200);

    product::upgrade(&kubectl, &[]).await?;
    app.condition("Ready", "True", SOON).await?;
    ensure!(
        identity(&app).await? == before,
        "the operator that came back touched the app"
    );
    // And it is in charge again.
    app.patch(json!({"replicas": 2})).await?;
    eventually("the app is scaled", SOON, async || {
        let pods = app.pods("app").await?.len();
        ensure!(pods == 2, "{pods} pods");
        anyhow::Ok(())
    })
    .await?;
    app.delete().await
}
