//! Alertmanager, through the API server's proxy, and the queries of dashboards.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::{Cluster, eventually};

/// The namespace of the lab's observability stack.
const NAMESPACE: &str = "monitoring";

/// Prometheus objects that sort first and select everything; one selects a label that no object can have. No pods run.
pub const HOSTILE_PROMETHEUS: &str = r#"
apiVersion: monitoring.coreos.com/v1
kind: Prometheus
metadata: {name: aaa}
spec:
  replicas: 0
  serviceMonitorSelector: {}
  serviceMonitorNamespaceSelector: {}
  probeSelector: {}
  probeNamespaceSelector: {}
  ruleSelector: {}
  ruleNamespaceSelector: {}
---
apiVersion: monitoring.coreos.com/v1
kind: Prometheus
metadata: {name: aab}
spec:
  replicas: 0
  serviceMonitorSelector: {matchLabels: {release: "not valid"}}
  serviceMonitorNamespaceSelector: {}
  probeSelector: {matchLabels: {release: "not valid"}}
  probeNamespaceSelector: {}
  ruleSelector: {matchLabels: {release: "not valid"}}
  ruleNamespaceSelector: {}
"#;

/// The lab's Alertmanager.
#[derive(Debug)]
pub struct Alertmanager<'a>(pub &'a Cluster);

/// An alert in Alertmanager.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    pub inhibited: bool,
}

impl Alertmanager<'_> {
    /// The active alerts of a namespace.
    pub async fn alerts(&self, namespace: &str) -> Result<Vec<Alert>> {
        let text = self
            .0
            .service_get(NAMESPACE, "alertmanager-operated", "9093", "/api/v2/alerts")
            .await?;
        let alerts: Vec<Value> = serde_json::from_str(&text).with_context(|| text.clone())?;
        alerts
            .into_iter()
            .filter(|alert| alert["labels"]["namespace"] == namespace)
            .map(|alert| {
                Ok(Alert {
                    labels: serde_json::from_value(alert["labels"].clone())?,
                    annotations: serde_json::from_value(alert["annotations"].clone())?,
                    inhibited: alert["status"]["inhibitedBy"]
                        .as_array()
                        .is_some_and(|by| !by.is_empty()),
                })
            })
            .collect()
    }

    /// Waits until an alert of a namespace (and objective, if given) is firing or resolved.
    pub async fn until(
        &self,
        namespace: &str,
        alert: &str,
        slo: Option<&str>,
        wanted: bool,
        timeout: Duration,
    ) -> Result<()> {
        let what = format!(
            "{alert} {} in Alertmanager",
            if wanted { "is firing" } else { "is resolved" }
        );
        eventually(&what, timeout, async || {
            let alerts = self.alerts(namespace).await?;
            let firing = alerts.iter().any(|active| {
                active.labels["alertname"] == alert
                    && slo.is_none_or(|slo| active.labels.get("slo").is_some_and(|of| of == slo))
            });
            if firing != wanted {
                bail!("{alerts:?}");
            }
            Ok(())
        })
        .await
    }
}

/// Substitutes a query's variables, as Grafana does.
pub fn substitute_variables(dashboard: &Value, query: &str) -> String {
    let mut query = query
        .replace("$__rate_interval", "1m")
        .replace("$__range", "1h")
        .replace("$__interval", "15s");
    for variable in dashboard["templating"]["list"].as_array().into_iter().flatten() {
        let name = variable["name"].as_str().unwrap_or_default();
        let value = variable["current"]["value"]
            .as_str()
            .or(variable["allValue"].as_str())
            .or(variable["query"].as_str())
            .unwrap_or_default();
        query = query
            .replace(&format!("${{{name}}}"), value)
            .replace(&format!("${name}"), value);
    }
    query
}
