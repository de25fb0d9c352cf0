//! An ObservedApp under test.

use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use observedapp_api::ObservedApp;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::{Cluster, eventually};

/// The task service alone: one pod, its metrics, one objective.
pub const SMALL: &str = r#"
apiVersion: observedapp.dev/v1alpha1
kind: ObservedApp
metadata: {name: tasks}
spec:
  image: ghcr.io/observedapp/tasks:0.1.0
  port: 5000
  replicas: 1
  env: [{name: DATABASE_URL, value: "sqlite::memory:"}]
  resources: {requests: {cpu: 20m, memory: 32Mi}, limits: {memory: 64Mi}}
  health: {livenessPath: /healthz, readinessPath: /readyz}
  metrics: {port: 8000}
  slos:
  - {name: availability, objective: 99.9, indicator: {availability: {}}}
"#;

/// A server next to a busy loop, which uses all CPU of its limit.
pub fn busy(more: &str) -> String {
    format!(
        r#"
apiVersion: observedapp.dev/v1alpha1
kind: ObservedApp
metadata: {{name: busy}}
spec:
  image: docker.io/library/redis:8
  port: 6379
  command: [bash, -c]
  args: ["redis-server --save '' & while :; do :; done"]
  securityContext: {{runAsUser: 999}}
  resources:
    requests: {{cpu: 20m, memory: 32Mi}}
    limits: {{cpu: 100m, memory: 64Mi}}
  {more}
"#
    )
}

/// An app on the lab's cluster.
#[derive(Debug)]
pub struct App<'a> {
    pub cluster: &'a Cluster,
    pub namespace: String,
    pub name: String,
}

/// An HTTP response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub status: u16,
    pub body: String,
}

impl Reply {
    /// Sends a request over a connection, which the server closes after its response.
    pub async fn exchange(
        stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
        host: &str,
        method: &str,
        path: &str,
        body: &str,
    ) -> Result<Self> {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await?;
        let mut response = Vec::new();
        stream.read_to_end(&mut response).await?;
        let response = String::from_utf8_lossy(&response);
        let status = response.split(' ').nth(1).and_then(|code| code.parse().ok());
        let body = response
            .split_once("\r\n\r\n")
            .map(|(_, body)| body.to_owned())
            .unwrap_or_default();
        Ok(Self {
            status: status.with_context(|| format!("not an HTTP response: {response}"))?,
            body,
        })
    }

    pub fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.body).with_context(|| format!("{self:?} is not JSON"))
    }
}

impl<'a> App<'a> {
    /// Applies a manifest that holds one ObservedApp.
    pub async fn apply(cluster: &'a Cluster, namespace: &str, yaml: &str) -> Result<Self> {
        let applied = cluster.apply(namespace, yaml).await?;
        let app = applied
            .iter()
            .find(|object| {
                object
                    .types
                    .as_ref()
                    .is_some_and(|types| types.kind == "ObservedApp")
            })
            .context("the manifest holds no ObservedApp")?;
        Ok(Self {
            cluster,
            namespace: namespace.to_owned(),
            name: app.name_any(),
        })
    }

    pub fn api(&self) -> Api<ObservedApp> {
        Api::namespaced(self.cluster.client.clone(), &self.namespace)
    }

    /// Changes the spec by a merge patch.
    pub async fn patch(&self, spec: Value) -> Result<()> {
        let patch = serde_json::json!({ "spec": spec });
        self.api()
            .patch(&self.name, &PatchParams::default(), &Patch::Merge(&patch))
            .await?;
        Ok(())
    }

    /// Deletes the app and waits until it and its pods are deleted.
    pub async fn delete(&self) -> Result<()> {
        self.api().delete(&self.name, &DeleteParams::background()).await?;
        eventually(
            &format!("{} and its pods are deleted", self.name),
            Duration::from_mins(2),
            async || {
                if self.api().get_opt(&self.name).await?.is_some() {
                    bail!("the app still exists");
                }
                let pods = self.pods("").await?;
                if !pods.is_empty() {
                    bail!("{} pods still exist", pods.len());
                }
                anyhow::Ok(())
            },
        )
        .await
    }

    /// Waits until a condition of the current generation has this status; returns its message.
    pub async fn condition(&self, condition: &str, status: &str, timeout: Duration) -> Result<String> {
        let what = format!(
            "{}/{}: condition {condition} is {status}",
            self.namespace, self.name
        );
        eventually(&what, timeout, async || {
            let app = self.api().get(&self.name).await?;
            let generation = app.metadata.generation;
            let conditions = app.status.map(|status| status.conditions).unwrap_or_default();
            let printed: Vec<String> = conditions
                .iter()
                .filter(|c| c.status != "True")
                .map(|c| format!("{}={} {}: {}", c.type_, c.status, c.reason, c.message))
                .collect();
            match conditions.iter().find(|c| c.type_ == condition) {
                Some(found) if found.status == status && found.observed_generation == generation => {
                    Ok(found.message.clone())
                }
                Some(found) => Err(anyhow!(
                    "it is {} of generation {:?}; {printed:?}",
                    found.status,
                    found.observed_generation
                )),
                None => Err(anyhow!("the condition does not exist yet; {printed:?}")),
            }
        })
        .await
    }

    /// Waits until all conditions are True.
    pub async fn all_true(&self, timeout: Duration) -> Result<()> {
        let what = format!("{}/{}: all conditions are True", self.namespace, self.name);
        eventually(&what, timeout, async || {
            let app = self.api().get(&self.name).await?;
            let conditions = app.status.map(|status| status.conditions).unwrap_or_default();
            let open: Vec<String> = conditions
                .iter()
                .filter(|c| c.status != "True" || c.observed_generation != app.metadata.generation)
                .map(|c| format!("{}={} {}: {}", c.type_, c.status, c.reason, c.message))
                .collect();
            if conditions.is_empty() || !open.is_empty() {
                bail!("{open:?}");
            }
            Ok(())
        })
        .await
    }

    /// The pods of one component (`app`, `database`, `cache`), or of all with `""`.
    pub async fn pods(&self, component: &str) -> Result<Vec<Pod>> {
        let mut labels = format!("app.kubernetes.io/instance={}", self.name);
        if !component.is_empty() {
            labels = format!("{labels},app.kubernetes.io/component={component}");
        }
        self.cluster.pods(&self.namespace, &labels).await
    }

    /// Sends a request to the app's Service, through the API server's proxy.
    pub async fn request(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Reply> {
        let uri = format!(
            "/api/v1/namespaces/{}/services/{}:http/proxy{path}",
            self.namespace, self.name
        );
        let request = http::Request::builder()
            .method(method)
            .uri(&uri)
            .header("content-type", "application/json")
            .body(kube::client::Body::from(
                body.map(Value::to_string).unwrap_or_default().into_bytes(),
            ))?;
        let response = self
            .cluster
            .client
            .send(request)
            .await
            .with_context(|| format!("{method} {uri}"))?;
        let status = response.status().as_u16();
        let body = response.into_body().collect_bytes().await?;
        Ok(Reply {
            status,
            body: String::from_utf8_lossy(&body).into_owned(),
        })
    }

    /// Sends a request to one of the app's pods, by port-forward.
    pub async fn pod_request(
        &self,
        port: u16,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Reply> {
        let pods = self.pods("app").await?;
        let pod = pods.first().context("the app has no pod")?.name_any();
        self.one_pod_request(&pod, port, method, path, body).await
    }

    /// Sends a request to this pod, by port-forward.
    pub async fn one_pod_request(
        &self,
        pod: &str,
        port: u16,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Reply> {
        let pods = Api::<Pod>::namespaced(self.cluster.client.clone(), &self.namespace);
        let mut forwarded = pods.portforward(pod, &[port]).await?;
        let mut stream = forwarded
            .take_stream(port)
            .context("the port was not forwarded")?;
        let body = body.map(Value::to_string).unwrap_or_default();
        Reply::exchange(&mut stream, pod, method, path, &body).await
    }
}

/// Waits until a condition has this status, and its message contains all words.
pub async fn condition_reports(
    app: &App<'_>,
    condition: &str,
    status: &str,
    words: &[&str],
    timeout: Duration,
) -> Result<()> {
    let what = format!(
        "{}/{}: {condition} is {status} and says {words:?}",
        app.namespace, app.name
    );
    eventually(&what, timeout, async || {
        let conditions = app
            .api()
            .get(&app.name)
            .await?
            .status
            .map(|status| status.conditions);
        let found = conditions
            .into_iter()
            .flatten()
            .find(|found| found.type_ == condition)
            .context("the condition does not exist yet")?;
        if found.status == status && words.iter().all(|word| found.message.contains(word)) {
            Ok(())
        } else {
            Err(anyhow!(
                "it is {} {}: {}",
                found.status,
                found.reason,
                found.message
            ))
        }
    })
    .await
}
