//! The user who attacks.

use anyhow::{Result, ensure};
use apiserver_tests::{
    Cause, Proxy, RunningOperator, TestNamespace, causes, condition, eventually, options, rights,
};
use http::Request;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::api::{Api, PostParams};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

const USER: &str = "mallory";

/// The namespace in which the user may create ObservedApps.
pub struct Intruder {
    pub ns: TestNamespace,
}

impl Intruder {
    pub async fn new(purpose: &str) -> Result<Self> {
        let ns = TestNamespace::new(purpose).await?;
        let role: Role = serde_json::from_value(json!({
            "metadata": {"name": USER},
            "rules": [{
                "apiGroups": ["observedapp.dev"], "resources": ["observedapps"],
                "verbs": ["create", "get", "list", "watch", "update", "patch", "delete"],
            }],
        }))?;
        let binding: RoleBinding = serde_json::from_value(json!({
            "metadata": {"name": USER},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": USER},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": USER}],
        }))?;
        Api::<Role>::namespaced(ns.client.clone(), &ns.name)
            .create(&PostParams::default(), &role)
            .await?;
        Api::<RoleBinding>::namespaced(ns.client.clone(), &ns.name)
            .create(&PostParams::default(), &binding)
            .await?;
        let intruder = Self { ns };
        // The authorizer sees a binding with a delay.
        eventually("the user may list apps", async || {
            let list = intruder.ask("GET", &intruder.apps(), None).await?;
            ensure!(list.is_ok(), "{list:?}");
            Ok(())
        })
        .await?;
        Ok(intruder)
    }

    fn apps(&self) -> String {
        format!(
            "/apis/observedapp.dev/v1alpha1/namespaces/{}/observedapps",
            self.ns.name
        )
    }

    /// A request as the user.
    pub async fn ask(
        &self,
        method: &str,
        url: &str,
        body: Option<&Value>,
    ) -> Result<Result<Value, Vec<Cause>>> {
        let body = body.map(serde_json::to_vec).transpose()?.unwrap_or_default();
        let request = Request::builder()
            .method(method)
            .uri(url)
            .header("Impersonate-User", USER)
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(body)?;
        match self.ns.client.request(request).await {
            Ok(answer) => Ok(Ok(answer)),
            Err(error) => causes(error).map(Err),
        }
    }

    /// Creates an app with `fieldValidation=Ignore`, which drops unknown fields silently.
    pub async fn create(&self, name: &str, mut spec: Value) -> Result<Result<Value, Vec<Cause>>> {
        if spec.get("image").is_none() {
            spec["image"] = json!("mallory:1");
        }
        let app = json!({
            "apiVersion": "observedapp.dev/v1alpha1", "kind": "ObservedApp",
            "metadata": {"name": name, "namespace": self.ns.name}, "spec": spec,
        });
        let url = format!("{}?fieldValidation=Ignore", self.apps());
        self.ask("POST", &url, Some(&app)).await
    }

    /// The operator that these tests share; returns its proxy.
    pub async fn operator(&self) -> Result<&'static Proxy> {
        static OPERATOR: OnceCell<(Proxy, RunningOperator)> = OnceCell::const_new();
        let start = async || {
            let client = &self.ns.client;
            rights::grant_cluster_wide(client).await?;
            let proxy = Proxy::start_as(client.clone(), &rights::operator_in(rights::SYSTEM)).await?;
            let operator = RunningOperator::start(options(&[]), proxy.config());
            anyhow::Ok((proxy, operator))
        };
        let (proxy, _) = OPERATOR.get_or_try_init(start).await?;
        Ok(proxy)
    }

    /// Waits until a condition is True or False; returns its status and message.
    pub async fn decided(&self, app: &str, type_: &str) -> Result<(String, String)> {
        let what = format!("{type_} is True or False");
        let decided = |app: &_| !matches!(condition(app, type_).0.as_str(), "" | "Unknown");
        let app = self.ns.until(app, &what, decided).await?;
        let (status, _, message) = condition(&app, type_);
        Ok((status, message))
    }
}
