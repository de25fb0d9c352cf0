//! APIs that are installed, removed and changed while the operator runs. The server is not shared: these tests change
//! its CRDs.
#![allow(clippy::unwrap_used)]

use anyhow::{Result, ensure};
use apiserver_tests::{
    Proxy, RunningOperator, TestNamespace, block_on, condition, eventually, install, install_gateway_api,
    options, schemaless,
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, DynamicObject, PostParams};
use kube::core::ApiResource;
use observedapp_api::ObservedApp;
use observedapp_desired::Kind;
use serde_json::json;

#[test]
fn an_object_of_an_older_schema_is_reported_and_blocks_no_other() -> Result<()> {
    block_on(async {
        let ns = TestNamespace::new("unreadable").await?;
        let mut older = observedapp_api::crd();
        for version in &mut older.spec.versions {
            // The scale subresource would require a number of replicas.
            version
                .subresources
                .iter_mut()
                .for_each(|subresources| subresources.scale = None);
            version.schema = serde_json::from_value(json!({
                "openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
            }))?;
        }
        install(&ns.client, &older).await?;
        let resource = ApiResource::erase::<ObservedApp>(&());
        let untyped: Api<DynamicObject> = Api::namespaced_with(ns.client.clone(), &ns.name, &resource);
        let bad: DynamicObject = serde_json::from_value(json!({
            "apiVersion": "observedapp.dev/v1alpha1", "kind": "ObservedApp",
            "metadata": {"name": "bad"}, "spec": {"image": ["a", "list"], "replicas": "many"},
        }))?;
        eventually("the older schema is enforced", async || {
            Ok(untyped.create(&PostParams::default(), &bad).await?)
        })
        .await?;
        install(&ns.client, &observedapp_api::crd()).await?;

        let proxy = Proxy::start(&ns).await?;
        let _operator = RunningOperator::start(options(&["--namespaces", &ns.name]), proxy.config());
        ns.apply("good", json!({"image": "tasks:1"})).await?;
        ns.applied("good").await?;
        // If the API server accepts a status for such an object, it says what is wrong.
        let reported = proxy
            .calls()
            .iter()
            .any(|call| call.resource == "observedapps/status" && call.name.as_deref() == Some("bad"));
        assert!(reported, "the invalid object has no status");
        untyped.delete("bad", &DeleteParams::default()).await?;
        Ok(())
    })
}

#[test]
fn an_optional_api_is_discovered_when_added_and_removed() -> Result<()> {
    block_on(async {
        let ns = TestNamespace::new("optional").await?;
        let crds: Api<CustomResourceDefinition> = Api::all(ns.client.clone());
        let monitors = schemaless(Kind::ServiceMonitor)?;
        let removed = async || {
            crds.delete(&monitors.name_any(), &DeleteParams::default())
                .await?;
            eventually("the API is deleted", async || {
                ensure!(crds.get_opt(&monitors.name_any()).await?.is_none());
                Ok(())
            })
            .await
        };
        removed().await?;
        let proxy = Proxy::start(&ns).await?;
        let _operator = RunningOperator::start(options(&["--namespaces", &ns.name]), proxy.config());
        ns.apply("tasks", json!({"image": "tasks:1", "metrics": {}}))
            .await?;
        let missing = async || {
            ns.until("tasks", "the missing API is reported", |app| {
                condition(app, "Applied").1 == "ApiMissing"
            })
            .await
        };
        let app = missing().await?;
        assert!(condition(&app, "Applied").2.contains("ServiceMonitor"));
        assert_eq!(
            ns.names(Kind::Deployment).await?,
            ["tasks"],
            "all other objects are created"
        );
        install(&ns.client, &monitors).await?;
        ns.applied("tasks").await?;
        assert_eq!(ns.names(Kind::ServiceMonitor).await?, ["tasks"]);
        removed().await?;
        missing().await?;
        install(&ns.client, &monitors).await?;
        ns.applied("tasks").await?;
        Ok(())
    })
}

#[test]
fn a_gateway_api_that_is_installed_later_is_taken_up() -> Result<()> {
    block_on(async {
        let ns = TestNamespace::new("gateway-later").await?;
        let proxy = Proxy::start(&ns).await?;
        let _operator = RunningOperator::start(options(&["--namespaces", &ns.name]), proxy.config());
        let spec = json!({
            "image": "tasks:1", "gateway": {"parentRefs": [{"name": "public"}], "hostnames": ["later.example.com"]},
        });
        ns.apply("tasks", spec).await?;
        let missing = async || {
            ns.until("tasks", "the missing API is reported", |app| {
                ["Applied", "Exposed"]
                    .iter()
                    .all(|type_| condition(app, type_).1 == "ApiMissing")
            })
            .await
        };
        let url = missing().await?.status.unwrap().url.unwrap();
        assert!(url.starts_with("http://tasks."), "{url}");
        install_gateway_api(&ns.client).await?;
        let app = ns.applied("tasks").await?;
        assert_eq!(ns.names(Kind::HTTPRoute).await?, ["tasks"]);
        assert_eq!(condition(&app, "Exposed").0, "Unknown");
        ns.until("tasks", "its URL is the route's", |app| {
            app.status.as_ref().unwrap().url.as_deref() == Some("http://later.example.com/")
        })
        .await?;
        let crds: Api<CustomResourceDefinition> = Api::all(ns.client.clone());
        crds.delete("httproutes.gateway.networking.k8s.io", &DeleteParams::default())
            .await?;
        missing().await?;
        Ok(())
    })
}
