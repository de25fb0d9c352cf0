//! A client of the lab's cluster, and namespaces that are deleted with their test.

use std::fmt::Debug;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::discovery::{Discovery, Scope};
use kube::{Api, Client, ResourceExt};
use lab::controlplane;
use lab::prometheus::Prometheus;
use serde_json::json;

use crate::eventually;

/// The field manager of what the tests apply: a user's, not the operator's.
const MANAGER: &str = "e2e-tests";

#[derive(Clone)]
pub struct Cluster {
    pub client: Client,
    pub kubeconfig: PathBuf,
}

impl Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Cluster({})", self.kubeconfig.display())
    }
}

impl Cluster {
    /// Connects to the cluster in `KUBECONFIG`. There is no default: tests must not touch any other cluster.
    pub async fn connect() -> Result<Self> {
        let kubeconfig = PathBuf::from(std::env::var_os("KUBECONFIG").context(
            r#"KUBECONFIG is not set: run these tests by `cargo lab test --layer node`, or `eval "$(cargo lab kubeconfig)"` first"#,
        )?);
        let client = controlplane::client(&kubeconfig)
            .await
            .context("is the lab up? `cargo lab up`")?;
        Ok(Self { client, kubeconfig })
    }

    /// Creates a namespace for one test, under the restricted Pod Security Standard.
    pub async fn temp_namespace(&self, prefix: &str) -> Result<TempNamespace> {
        let namespace: Namespace = serde_json::from_value(json!({
            "metadata": {
                "generateName": format!("{prefix}-"),
                "labels": {"pod-security.kubernetes.io/enforce": "restricted"},
            },
        }))?;
        let made = Api::<Namespace>::all(self.client.clone())
            .create(&PostParams::default(), &namespace)
            .await
            .context("create a namespace for the test")?;
        Ok(TempNamespace {
            cluster: self.clone(),
            name: made.name_any(),
        })
    }

    /// Creates a namespace if it does not exist, under the restricted Pod Security Standard.
    pub async fn ensure_namespace(&self, name: &str) -> Result<()> {
        let namespace: Namespace = serde_json::from_value(json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": name, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
        }))?;
        Api::<Namespace>::all(self.client.clone())
            .patch(name, &PatchParams::apply(MANAGER), &Patch::Apply(&namespace))
            .await?;
        Ok(())
    }

    /// Deletes a namespace, if it exists, and waits until it is deleted.
    pub async fn delete_namespace(&self, name: &str) -> Result<()> {
        let api = Api::<Namespace>::all(self.client.clone());
        match api.delete(name, &DeleteParams::background()).await {
            Err(kube::Error::Api(status)) if status.is_not_found() => return Ok(()),
            deleted => deleted?,
        };
        eventually(
            &format!("namespace {name} is deleted"),
            Duration::from_mins(2),
            async || match api.get_opt(name).await {
                Ok(None) => Ok(()),
                Ok(Some(_)) => Err("it still exists".to_owned()),
                Err(error) => Err(error.to_string()),
            },
        )
        .await
    }

    /// Applies every document of a YAML stream in a namespace, as `kubectl apply --server-side` does.
    pub async fn apply(&self, namespace: &str, yaml: &str) -> Result<Vec<DynamicObject>> {
        let discovery = Discovery::new(self.client.clone()).run().await?;
        let mut applied = Vec::new();
        for object in serde_yaml::from_multiple::<DynamicObject>(yaml)? {
            let types = object
                .types
                .clone()
                .context("a document without apiVersion and kind")?;
            let gvk = kube::core::GroupVersionKind::try_from(&types)?;
            let (resource, capabilities) = discovery
                .resolve_gvk(&gvk)
                .with_context(|| format!("the cluster serves no {}", gvk.kind))?;
            let api = self.api_of(
                &resource,
                (capabilities.scope == Scope::Namespaced).then_some(namespace),
            );
            let name = object.name_any();
            applied.push(
                api.patch(
                    &name,
                    &PatchParams::apply(MANAGER).force(),
                    &Patch::Apply(&object),
                )
                .await
                .with_context(|| format!("apply {} {name}", gvk.kind))?,
            );
        }
        ensure!(!applied.is_empty(), "nothing to apply");
        Ok(applied)
    }

    fn api_of(&self, resource: &ApiResource, namespace: Option<&str>) -> Api<DynamicObject> {
        match namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, resource),
            None => Api::all_with(self.client.clone(), resource),
        }
    }

    /// GETs a path of a Service through the API server's proxy, which works on every cluster.
    pub async fn service_get(
        &self,
        namespace: &str,
        service: &str,
        port: &str,
        path: &str,
    ) -> Result<String> {
        let uri = format!("/api/v1/namespaces/{namespace}/services/{service}:{port}/proxy{path}");
        self.get(&uri).await
    }

    /// GETs a path of a pod through the API server's proxy.
    pub async fn pod_get(&self, namespace: &str, pod: &str, port: &str, path: &str) -> Result<String> {
        let uri = format!("/api/v1/namespaces/{namespace}/pods/{pod}:{port}/proxy{path}");
        self.get(&uri).await
    }

    async fn get(&self, uri: &str) -> Result<String> {
        let request = http::Request::get(uri).body(Vec::new())?;
        self.client
            .request_text(request)
            .await
            .with_context(|| format!("GET {uri}"))
    }

    /// The stack's Prometheus.
    pub fn prometheus(&self) -> Prometheus {
        Prometheus::new(self.client.clone())
    }

    /// The pods with these labels.
    pub async fn pods(&self, namespace: &str, labels: &str) -> Result<Vec<Pod>> {
        Ok(Api::<Pod>::namespaced(self.client.clone(), namespace)
            .list(&ListParams::default().labels(labels))
            .await?
            .items)
    }
}

#[derive(Debug)]
pub struct TempNamespace {
    cluster: Cluster,
    pub name: String,
}

impl TempNamespace {
    /// Deletes the namespace and waits until it is deleted. A failed test keeps its namespace for inspection.
    pub async fn delete(self) -> Result<()> {
        self.cluster.delete_namespace(&self.name).await
    }
}
