//! A namespace per test.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, DeleteParams, DynamicObject, ObjectMeta, Patch, PatchParams, PostParams};
use kube::core::ApiResource;
use kube::{Client, ResourceExt};
use lab::wait;
use observedapp_api::ObservedApp;
use observedapp_desired::Kind;
use serde_json::{Value, json};

use crate::{cluster, rights};

/// The timeout of every wait. Nothing is measured by it.
const TIMEOUT: Duration = Duration::from_secs(90);

#[derive(Clone)]
pub struct TestNamespace {
    pub client: Client,
    pub name: String,
}

impl std::fmt::Debug for TestNamespace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TestNamespace")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl TestNamespace {
    pub async fn new(purpose: &str) -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let client = cluster().await?;
        let name = format!("{purpose}-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let namespace = Namespace {
            metadata: ObjectMeta {
                name: Some(name.clone()),
                ..ObjectMeta::default()
            },
            ..Namespace::default()
        };
        Api::<Namespace>::all(client.clone())
            .create(&PostParams::default(), &namespace)
            .await?;
        rights::grant_in_namespaces(&client, &name, &[&name]).await?;
        Ok(Self { client, name })
    }

    /// The user name of an operator that has rights in this namespace only.
    pub fn operator(&self) -> String {
        rights::operator_in(&self.name)
    }

    /// The arguments of an operator that watches this namespace and has its Lease in it.
    pub fn elected(&self) -> [&str; 5] {
        [
            "--namespaces",
            &self.name,
            "--leader-elect",
            "--leader-elect-namespace",
            &self.name,
        ]
    }

    pub fn apps(&self) -> Api<ObservedApp> {
        Api::namespaced(self.client.clone(), &self.name)
    }

    pub fn objects(&self, kind: Kind) -> Api<DynamicObject> {
        let resource = ApiResource::from_gvk_with_plural(&kind.gvk(), kind.plural());
        Api::namespaced_with(self.client.clone(), &self.name, &resource)
    }

    /// Server-side applies an app, as a user does.
    pub async fn apply(&self, name: &str, spec: Value) -> Result<ObservedApp> {
        let app = json!({
            "apiVersion": "observedapp.dev/v1alpha1", "kind": "ObservedApp",
            "metadata": {"name": name}, "spec": spec,
        });
        let params = PatchParams::apply("user").force();
        Ok(self.apps().patch(name, &params, &Patch::Apply(&app)).await?)
    }

    /// Replaces the spec of an app, as `kubectl replace` does.
    pub async fn replace(&self, name: &str, spec: &Value) -> Result<ObservedApp> {
        let patch = serde_json::from_value(json!([{"op": "replace", "path": "/spec", "value": spec}]))?;
        let params = PatchParams::default();
        Ok(self
            .apps()
            .patch(name, &params, &Patch::<()>::Json(patch))
            .await?)
    }

    pub async fn delete(&self, name: &str) -> Result<()> {
        self.apps().delete(name, &DeleteParams::background()).await?;
        Ok(())
    }

    /// Waits until `Applied` is True for the newest generation.
    pub async fn applied(&self, name: &str) -> Result<ObservedApp> {
        self.until(name, "it is applied", |app| condition(app, "Applied").0 == "True")
            .await
    }

    /// Waits until the operator has observed the newest generation and `holds` is true.
    pub async fn until(
        &self,
        name: &str,
        what: &str,
        holds: impl Fn(&ObservedApp) -> bool,
    ) -> Result<ObservedApp> {
        let what = format!("{}/{name}: {what}", self.name);
        eventually(&what, async || {
            let app = self.apps().get(name).await?;
            let current =
                app.status.as_ref().and_then(|status| status.observed_generation) == app.metadata.generation;
            ensure!(
                current && holds(&app),
                "{}",
                serde_json::to_string_pretty(&app.status)?
            );
            Ok(app)
        })
        .await
    }

    /// Waits until the app is deleted.
    pub async fn gone(&self, name: &str) -> Result<()> {
        eventually(&format!("{}/{name}: it is deleted", self.name), async || {
            let app = self.apps().get_opt(name).await?;
            ensure!(app.is_none(), "{app:?}");
            Ok(())
        })
        .await
    }

    /// The names of all objects of a kind.
    pub async fn names(&self, kind: Kind) -> Result<Vec<String>> {
        let mut names: Vec<String> = self
            .objects(kind)
            .list(&kube::api::ListParams::default())
            .await?
            .iter()
            .map(ResourceExt::name_any)
            .filter(|name| !["kube-root-ca.crt", "default"].contains(&name.as_str()))
            .collect();
        names.sort();
        Ok(names)
    }
}

/// Status, reason and message of a condition.
pub fn condition(app: &ObservedApp, type_: &str) -> (String, String, String) {
    app.status
        .iter()
        .flat_map(|status| &status.conditions)
        .find(|condition| condition.type_ == type_)
        .map(|condition| {
            (
                condition.status.clone(),
                condition.reason.clone(),
                condition.message.clone(),
            )
        })
        .unwrap_or_default()
}

/// Waits until `attempt` succeeds; the error has its last one.
pub async fn eventually<T, F>(what: &str, attempt: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    wait::eventually(what, TIMEOUT, attempt).await
}
