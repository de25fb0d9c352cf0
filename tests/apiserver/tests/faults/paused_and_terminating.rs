//! Paused apps and terminating namespaces.

use std::time::Duration;

use anyhow::{Result, ensure};
use apiserver_tests::{
    Action, Proxy, RunningOperator, TestNamespace, block_on, condition, eventually, options, rights,
};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, DeleteParams};
use serde_json::json;

use super::small;

#[test]
fn a_paused_app_is_not_written_and_its_status_is_updated() -> Result<()> {
    block_on(async {
        let ns = TestNamespace::new("paused").await?;
        let (_proxy, _operator) = RunningOperator::behind_proxy(&ns).await?;
        ns.apply("tasks", small()).await?;
        ns.applied("tasks").await?;
        ns.apply(
            "tasks",
            json!({"image": "tasks:2", "replicas": 1, "paused": true}),
        )
        .await?;
        ns.until("tasks", "it is paused", |app| {
            condition(app, "Applied").1 == "Paused"
        })
        .await?;
        let deployments: Api<Deployment> = Api::namespaced(ns.client.clone(), &ns.name);
        let image = async || {
            anyhow::Ok(serde_json::to_value(deployments.get("tasks").await?)?["spec"]["template"]["spec"]["containers"][0]["image"].clone())
        };
        assert_eq!(image().await?, "tasks:1");
        ns.apply("tasks", json!({"image": "tasks:2", "replicas": 1}))
            .await?;
        ns.applied("tasks").await?;
        assert_eq!(image().await?, "tasks:2");
        Ok(())
    })
}

#[test]
fn a_namespace_deleted_during_a_reconcile_terminates() -> Result<()> {
    block_on(async {
        let ns = TestNamespace::new("ends").await?;
        // Rights in the namespace would be deleted with it.
        rights::grant_cluster_wide(&ns.client).await?;
        let proxy = Proxy::start_as(ns.client.clone(), &rights::operator_in(rights::SYSTEM)).await?;
        let _operator = RunningOperator::start(options(&["--namespaces", &ns.name]), proxy.config());
        proxy.on_request(|call| {
            if call.write.is_some() {
                Action::Delay(Duration::from_millis(100))
            } else {
                Action::Pass
            }
        });
        ns.apply("tasks", json!({"image": "tasks:1", "database": {"builtin": {"deletionPolicy": "Delete"}}, "cache": {"builtin": {}}})).await?;
        let namespaces: Api<Namespace> = Api::all(ns.client.clone());
        namespaces.delete(&ns.name, &DeleteParams::background()).await?;
        eventually("the namespace is deleted", async || {
            ensure!(namespaces.get_opt(&ns.name).await?.is_none());
            Ok(())
        })
        .await
    })
}
