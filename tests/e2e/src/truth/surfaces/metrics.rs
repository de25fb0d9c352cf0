//! The figures in metrics and dashboards.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use serde_json::Value;

use super::super::coverage::OTHER_PANELS;
use super::Surfaces;
use crate::{App, Cluster, OPERATOR_NAMESPACE, substitute_variables};

/// The stat panels of an objective, by the suffix of their titles.
const PANELS: [(&str, &str); 3] = [
    (": objective", "objective"),
    (": SLI", "sli"),
    (": budget left", "budgetRemaining"),
];

impl Surfaces {
    /// `observedapp_slo_state` of the leader.
    pub(super) async fn metrics(&mut self, cluster: &Cluster, app: &App<'_>) -> Result<()> {
        let pods = Api::<Pod>::namespaced(cluster.client.clone(), OPERATOR_NAMESPACE);
        let of = format!(r#"namespace="{}",app="{}""#, app.namespace, app.name);
        let mut states: BTreeMap<String, String> = BTreeMap::new();
        for pod in pods
            .list(&ListParams::default().labels("app.kubernetes.io/name=observedapp"))
            .await?
        {
            let text = cluster
                .pod_get(OPERATOR_NAMESPACE, &pod.name_any(), "8080", "/metrics")
                .await?;
            for line in text
                .lines()
                .filter(|line| line.starts_with("observedapp_slo_state{") && line.contains(&of))
            {
                let label = |name: &str| {
                    let (_, rest) = line.split_once(&format!("{name}=\""))?;
                    Some(rest.split_once('"')?.0.to_owned())
                };
                if line.ends_with(" 1")
                    && let (Some(slo), Some(state)) = (label("slo"), label("state"))
                {
                    states.insert(slo, state);
                }
            }
        }
        for slo in self.slos.clone() {
            let state = states.remove(&slo);
            self.add("observedapp_slo_state", Some(&slo), "state", state);
        }
        Ok(())
    }

    pub(super) async fn panels(&mut self, cluster: &Cluster, app: &App<'_>) -> Result<()> {
        let maps = Api::<ConfigMap>::namespaced(cluster.client.clone(), &app.namespace);
        let map = maps.get(&format!("{}-dashboards", app.name)).await?;
        let (_, dashboard) = map
            .data
            .and_then(|data| data.into_iter().next())
            .context("no dashboard")?;
        let dashboard: Value = serde_json::from_str(&dashboard)?;
        let mut panels: Vec<&Value> = dashboard["panels"].as_array().into_iter().flatten().collect();
        let inner: Vec<&Value> = panels
            .iter()
            .flat_map(|panel| panel["panels"].as_array().into_iter().flatten())
            .collect();
        panels.extend(inner);
        for panel in panels.into_iter().filter(|panel| panel["type"] == "stat") {
            let title = panel["title"].as_str().unwrap_or_default();
            let Some((slo, figure)) = PANELS
                .iter()
                .find_map(|(end, figure)| Some((title.strip_suffix(end)?, *figure)))
            else {
                ensure!(
                    OTHER_PANELS.contains(&title),
                    "the stat panel {title:?} has no row in the truth table"
                );
                continue;
            };
            let query = panel["targets"][0]["expr"]
                .as_str()
                .context("a panel without a query")?;
            let samples = cluster
                .prometheus()
                .query(&substitute_variables(&dashboard, query))
                .await?;
            ensure!(
                samples.len() <= 1,
                "{title}: {} series instead of one",
                samples.len()
            );
            let text = samples.first().map(|sample| {
                if figure == "objective" {
                    format!("{}%", (sample.value * 1e6).round() / 1e4)
                } else {
                    format!("{:.3}%", sample.value * 100.0)
                }
            });
            self.add("dashboard", Some(slo), figure, text);
        }
        Ok(())
    }
}
