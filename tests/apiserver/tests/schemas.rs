//! APIs that come, go and change under the operator's feet. A server of its own: these tests change what all share.
#![allow(clippy::unwrap_used)]

use anyhow::Result;
use apiserver_tests::{Proxy, Running, Space, block_on, condition, eventually, install, options, schemaless};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, DynamicObject, PostParams};
use kube::core::ApiResource;
use observedapp_api::ObservedApp;
use observedapp_desired::Kind;
use serde_json::json;

#[test]
fn an_object_of_an_older_schema_says_so_and_starves_no_other() -> Result<()> {
    block_on(async {
        let space = Space::new("unreadable").await?;
        let mut older = observedapp_api::crd();
        for version in &mut older.spec.versions {
            // The scale subresource would insist on a number of replicas.
            version
                .subresources
                .iter_mut()
                .for_each(|subresources| subresources.scale = None);
            version.schema = serde_json::from_value(json!({
                "openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
            }))?;
        }
        install(&space.client, &older).await?;
        let resource = ApiResource::erase::<ObservedApp>(&());
        let untyped: Api<DynamicObject> = Api::namespaced_with(space.client.clone(), &space.name, &resource);
        let bad: DynamicObject = serde_json::from_value(json!({
            "apiVersion": "observedapp.dev/v1alpha1", "kind": "ObservedApp",
            "metadata": {"name": "bad"}, "spec": {"image": ["a", "list"], "replicas": "many"},
        }))?;
        eventually("the older schema is in force", async || {
            Ok(match untyped.create(&PostParams::default(), &bad).await {
                Ok(_) => Ok(()),
                Err(error) => Err(error.to_string()),
            })
        })
        .await?;
        install(&space.client, &observedapp_api::crd()).await?;

        let proxy = Proxy::start(&space).await?;
        let _operator = Running::start(options(&["--namespaces", &space.name]), proxy.config());
        space.apply("good", json!({"image": "tasks:1"})).await?;
        space.applied("good").await?;
        // Where the API server takes a status for such an object at all, it says what is wrong.
        let told = proxy
            .calls()
            .iter()
            .any(|call| call.resource == "observedapps/status" && call.name.as_deref() == Some("bad"));
        assert!(told, "nothing was said of the bad object");
        untyped.delete("bad", &DeleteParams::default()).await?;
        Ok(())
    })
}

#[test]
fn an_optional_api_is_noticed_when_it_comes_and_when_it_goes() -> Result<()> {
    block_on(async {
        let space = Space::new("optional").await?;
        let crds: Api<CustomResourceDefinition> = Api::all(space.client.clone());
        let monitors = schemaless(Kind::ServiceMonitor)?;
        let gone = async || {
            crds.delete(&monitors.name_any(), &DeleteParams::default())
                .await?;
            eventually("the API is gone", async || {
                Ok(if crds.get_opt(&monitors.name_any()).await?.is_none() {
                    Ok(())
                } else {
                    Err(String::new())
                })
            })
            .await
        };
        gone().await?;
        let proxy = Proxy::start(&space).await?;
        let _operator = Running::start(options(&["--namespaces", &space.name]), proxy.config());
        space
            .apply("tasks", json!({"image": "tasks:1", "metrics": {}}))
            .await?;
        let missing = async || {
            space
                .until("tasks", "the missing API is named", |app| {
                    condition(app, "Applied").1 == "ApiMissing"
                })
                .await
        };
        let app = missing().await?;
        assert!(condition(&app, "Applied").2.contains("ServiceMonitor"));
        assert_eq!(
            space.names(Kind::Deployment).await?,
            ["tasks"],
            "all else is made"
        );
        install(&space.client, &monitors).await?;
        space.applied("tasks").await?;
        assert_eq!(space.names(Kind::ServiceMonitor).await?, ["tasks"]);
        gone().await?;
        missing().await?;
        install(&space.client, &monitors).await?;
        space.applied("tasks").await?;
        Ok(())
    })
}
