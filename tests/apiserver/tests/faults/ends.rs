//! Apps that rest, and namespaces that end.

use std::time::Duration;

use anyhow::Result;
use apiserver_tests::{Proxy, Running, Space, Verdict, block_on, condition, eventually, options, rights};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, DeleteParams};
use serde_json::json;

use super::small;

#[test]
fn a_paused_app_is_not_written_and_its_status_goes_on() -> Result<()> {
    block_on(async {
        let space = Space::new("paused").await?;
        let (_proxy, _operator) = Running::calm(&space).await?;
        space.apply("tasks", small()).await?;
        space.applied("tasks").await?;
        space
            .apply(
                "tasks",
                json!({"image": "tasks:2", "replicas": 1, "paused": true}),
            )
            .await?;
        space
            .until("tasks", "it is paused", |app| {
                condition(app, "Applied").1 == "Paused"
            })
            .await?;
        let deployments: Api<Deployment> = Api::namespaced(space.client.clone(), &space.name);
        let image = async || {
            anyhow::Ok(serde_json::to_value(deployments.get("tasks").await?)?["spec"]["template"]["spec"]["containers"][0]["image"].clone())
        };
        assert_eq!(image().await?, "tasks:1");
        space
            .apply("tasks", json!({"image": "tasks:2", "replicas": 1}))
            .await?;
        space.applied("tasks").await?;
        assert_eq!(image().await?, "tasks:2");
        Ok(())
    })
}

#[test]
fn a_namespace_deleted_in_the_middle_ends_in_nothing() -> Result<()> {
    block_on(async {
        let space = Space::new("ends").await?;
        // Rights that were given in the namespace would go with it.
        rights::unconfine(&space.client).await?;
        let proxy = Proxy::start_as(space.client.clone(), &rights::operator_in(rights::SYSTEM)).await?;
        let _operator = Running::start(options(&["--namespaces", &space.name]), proxy.config());
        proxy.judge(|call| {
            if call.write.is_some() {
                Verdict::Delay(Duration::from_millis(100))
            } else {
                Verdict::Pass
            }
        });
        space.apply("tasks", json!({"image": "tasks:1", "database": {"builtin": {"deletionPolicy": "Delete"}}, "cache": {"builtin": {}}})).await?;
        let namespaces: Api<Namespace> = Api::all(space.client.clone());
        namespaces
            .delete(&space.name, &DeleteParams::background())
            .await?;
        eventually("the namespace is gone", async || {
            Ok(if namespaces.get_opt(&space.name).await?.is_none() {
                Ok(())
            } else {
                Err(String::new())
            })
        })
        .await
    })
}
