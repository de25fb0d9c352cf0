//! Secrets and ConfigMaps that an app references and does not own.

use anyhow::{Result, ensure};
use apiserver_tests::{RunningOperator, TestNamespace, block_on, eventually};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::json;

#[test]
fn a_changed_secret_rolls_the_pods_and_unused_secrets_are_never_read() -> Result<()> {
    block_on(async {
        let ns = TestNamespace::new("secrets").await?;
        let secrets: Api<Secret> = Api::namespaced(ns.client.clone(), &ns.name);
        let secret = |name: &str, value: &str| -> Secret {
            serde_json::from_value(json!({"metadata": {"name": name}, "stringData": {"key": value}})).unwrap()
        };
        secrets
            .create(&PostParams::default(), &secret("used", "one"))
            .await?;
        secrets
            .create(&PostParams::default(), &secret("stranger", "one"))
            .await?;
        let (proxy, _operator) = RunningOperator::behind_proxy(&ns).await?;
        ns.apply("tasks", json!({"image": "tasks:1", "envFrom": [{"secretRef": {"name": "used"}}, {"configMapRef": {"name": "later", "optional": true}}]})).await?;
        ns.applied("tasks").await?;
        let deployments: Api<Deployment> = Api::namespaced(ns.client.clone(), &ns.name);
        let generation = async || anyhow::Ok(deployments.get("tasks").await?.metadata.generation);
        let first = generation().await?;
        secrets
            .patch(
                "used",
                &PatchParams::default(),
                &Patch::Merge(json!({"stringData": {"key": "two"}})),
            )
            .await?;
        eventually("a new revision rolls out", async || {
            let now = generation().await?;
            ensure!(now > first, "{now:?}");
            Ok(())
        })
        .await?;
        let second = generation().await?;
        let map: ConfigMap =
            serde_json::from_value(json!({"metadata": {"name": "later"}, "data": {"a": "b"}}))?;
        Api::namespaced(ns.client.clone(), &ns.name)
            .create(&PostParams::default(), &map)
            .await?;
        eventually("a created Secret rolls the pods, too", async || {
            let now = generation().await?;
            ensure!(now > second, "{now:?}");
            Ok(())
        })
        .await?;
        let read: Vec<_> = proxy
            .calls()
            .into_iter()
            .filter(|call| call.name.as_deref() == Some("stranger"))
            .collect();
        assert!(read.is_empty(), "{read:#?}");
        Ok(())
    })
}
