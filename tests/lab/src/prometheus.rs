//! The stack's Prometheus, through the API server's proxy.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use http::Request;
use kube::Client;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

const API: &str = "/api/v1/namespaces/monitoring/services/prometheus-operated:9090/proxy/api/v1";

/// A client of the stack's Prometheus.
#[expect(missing_debug_implementations, reason = "kube's Client has none")]
pub struct Prometheus {
    client: Client,
}

/// A sample of an instant query.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    pub labels: BTreeMap<String, String>,
    pub value: f64,
}

impl Prometheus {
    /// The Prometheus on the cluster of this client.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    async fn get(&self, path: &str) -> Result<Value> {
        let request = Request::get(format!("{API}/{path}")).body(Vec::new())?;
        let text = self.client.request_text(request).await?;
        let mut response: Value = serde_json::from_str(&text).with_context(|| format!("{path}: {text}"))?;
        if response["status"] != "success" {
            bail!("{path}: {response}");
        }
        Ok(response["data"].take())
    }

    /// The samples of an instant query.
    pub async fn query(&self, promql: &str) -> Result<Vec<Sample>> {
        let query = utf8_percent_encode(promql, NON_ALPHANUMERIC);
        let data = self.get(&format!("query?query={query}")).await?;
        let samples = data["result"]
            .as_array()
            .with_context(|| format!("{promql}: {data}"))?;
        samples
            .iter()
            .map(|sample| {
                Ok(Sample {
                    labels: serde_json::from_value(sample["metric"].clone())?,
                    value: sample["value"][1]
                        .as_str()
                        .context("a sample without value")?
                        .parse()?,
                })
            })
            .collect()
    }

    /// The only sample of an instant query.
    pub async fn value(&self, promql: &str) -> Result<f64> {
        match self.query(promql).await?.as_slice() {
            [sample] => Ok(sample.value),
            samples => bail!("{promql}: {} samples instead of one", samples.len()),
        }
    }

    /// The health and last error of every active target of a job.
    pub async fn targets(&self, namespace: &str, job: &str) -> Result<Vec<(String, String)>> {
        let data = self.get("targets?state=active").await?;
        Ok(data["activeTargets"]
            .as_array()
            .context("no targets")?
            .iter()
            .filter(|target| target["labels"]["namespace"] == namespace && target["labels"]["job"] == job)
            .map(|target| {
                let text = |key: &str| target[key].as_str().unwrap_or_default().to_owned();
                (text("health"), text("lastError"))
            })
            .collect())
    }
}
