//! Dashboards of running apps: every panel has data.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e_tests::{Cluster, eventually, substitute_variables};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use serde_json::Value;

/// Waits until every query of every panel of a ConfigMap's dashboard returns data, with variables substituted as
/// Grafana does.
pub async fn every_panel_has_data(
    cluster: &Cluster,
    namespace: &str,
    config_map: &str,
    timeout: Duration,
) -> Result<()> {
    let maps = Api::<ConfigMap>::namespaced(cluster.client.clone(), namespace);
    let map = maps.get(config_map).await?;
    let (_, dashboard) = map
        .data
        .and_then(|data| data.into_iter().next())
        .context("the ConfigMap holds no dashboard")?;
    let dashboard: Value = serde_json::from_str(&dashboard)?;
    let mut queries = Vec::new();
    gather(&dashboard, &dashboard["panels"], &mut queries);
    ensure!(queries.len() >= 20, "only {} queries: {queries:?}", queries.len());
    let prometheus = cluster.prometheus();
    eventually("every panel's query returns data", timeout, async || {
        let mut empty = Vec::new();
        for (panel, query) in &queries {
            if prometheus.query(query).await?.is_empty() {
                empty.push(format!("{panel}: {query}"));
            }
        }
        ensure!(empty.is_empty(), "no data for\n{}", empty.join("\n"));
        anyhow::Ok(())
    })
    .await
}

fn gather(dashboard: &Value, panels: &Value, queries: &mut Vec<(String, String)>) {
    for panel in panels.as_array().into_iter().flatten() {
        gather(dashboard, &panel["panels"], queries);
        let title = panel["title"].as_str().unwrap_or_default();
        for target in panel["targets"].as_array().into_iter().flatten() {
            if let Some(query) = target["expr"].as_str() {
                queries.push((title.to_owned(), substitute_variables(dashboard, query)));
            }
        }
    }
}
