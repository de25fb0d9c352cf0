//! The API server that all tests of a program share.

use std::path::PathBuf;
use std::sync::LazyLock;

use anyhow::{Context, Result};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::{Client, ResourceExt};
use lab::apiserver::ApiServer;
use observedapp_desired::Kind;
use serde_json::json;
use tokio::runtime::Runtime;
use tokio::sync::OnceCell;

/// One runtime for all tests of a program: the server outlives the test that starts it.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build()
        .unwrap_or_else(|error| panic!("no runtime: {error}"))
});

static SERVER: OnceCell<ApiServer> = OnceCell::const_new();

pub fn block_on(test: impl Future<Output = Result<()>>) -> Result<()> {
    RUNTIME.block_on(test)
}

/// An administrator's client; the ObservedApp CRD and the optional APIs are installed.
pub async fn cluster() -> Result<Client> {
    Ok(server().await?.client())
}

/// The administrator's kubeconfig of the same server.
pub async fn kubeconfig() -> Result<PathBuf> {
    Ok(server().await?.kubeconfig())
}

async fn server() -> Result<&'static ApiServer> {
    SERVER
        .get_or_try_init(|| async {
            observedapp_controller::init_logging(observedapp_controller::LogFormat::Text);
            let server = ApiServer::configure().with_controller_manager().start().await?;
            install(&server.client(), &observedapp_api::crd()).await?;
            for kind in [Kind::ServiceMonitor, Kind::Probe, Kind::PrometheusRule] {
                install(&server.client(), &schemaless(kind)?).await?;
            }
            anyhow::Ok(server)
        })
        .await
}

/// Installs a CRD and waits until it is served.
pub async fn install(client: &Client, crd: &CustomResourceDefinition) -> Result<()> {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let name = crd.name_any();
    let params = PatchParams::apply("tests").force();
    api.patch(&name, &params, &Patch::Apply(crd)).await?;
    let established =
        kube::runtime::wait::await_condition(api, &name, kube::runtime::conditions::is_crd_established());
    tokio::time::timeout(std::time::Duration::from_secs(30), established)
        .await
        .with_context(|| format!("the CRD {name} is not served"))??;
    Ok(())
}

/// Installs the released CRDs of the Gateway API that the operator uses.
pub async fn install_gateway_api(client: &Client) -> Result<()> {
    for plural in ["gateways", "httproutes"] {
        install(
            client,
            &serde_json::from_value(golden_tests::gateway_crd(plural)?)?,
        )
        .await?;
    }
    Ok(())
}

/// A CRD without a schema: the optional APIs of others are tested with their real schemas in `golden.rs`.
pub fn schemaless(kind: Kind) -> Result<CustomResourceDefinition> {
    schemaless_as(&kind.gvk(), kind.plural())
}

/// The same for an API of which the operator creates no objects.
pub fn schemaless_as(gvk: &GroupVersionKind, plural: &str) -> Result<CustomResourceDefinition> {
    Ok(serde_json::from_value(json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.{}", gvk.group)},
        "spec": {
            "group": gvk.group,
            "scope": "Namespaced",
            "names": {"kind": gvk.kind, "plural": plural, "singular": gvk.kind.to_lowercase()},
            "versions": [{
                "name": gvk.version, "served": true, "storage": true,
                "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
            }],
        },
    }))?)
}
