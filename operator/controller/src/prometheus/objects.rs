//! Reading Prometheus objects, and what their selectors are compared with.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, DynamicObject, ListParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Client, ResourceExt};
use observedapp_desired::Kind;
use tracing::warn;

use super::selection::{Labels, Selection};

/// How many Prometheus objects are read at once, and how often at most: anybody may have written them, and each may be
/// as large as the API server takes.
const PAGE: u32 = 10;
const PAGES: u32 = 100;
/// How many namespaces are read at once.
const NAMESPACES: u32 = 500;

/// One Prometheus object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    created: Option<Timestamp>,
    pub namespace: String,
    pub name: String,
    pub url: String,
    /// Where it answers through the API server, for those who are not in the cluster.
    pub proxy_path: String,
    pub monitors: Selection,
    pub probes: Selection,
    pub rules: Selection,
}

impl Instance {
    pub fn read(object: &DynamicObject) -> Self {
        let spec = &object.data["spec"];
        let namespace = object.namespace().unwrap_or_default();
        let scheme = if spec["web"]["tlsConfig"].is_object() {
            "https"
        } else {
            "http"
        };
        let prefix = spec["routePrefix"].as_str().unwrap_or_default().trim_matches('/');
        let url = format!("{scheme}://prometheus-operated.{namespace}.svc:9090/{prefix}");
        Self {
            created: object.creation_timestamp().map(|time| time.0),
            url: url.trim_end_matches('/').to_owned(),
            proxy_path: format!(
                "/api/v1/namespaces/{namespace}/services/{scheme}:prometheus-operated:9090/proxy/{prefix}"
            ),
            monitors: Selection::read(
                &spec["serviceMonitorSelector"],
                &spec["serviceMonitorNamespaceSelector"],
            ),
            probes: Selection::read(&spec["probeSelector"], &spec["probeNamespaceSelector"]),
            rules: Selection::read(&spec["ruleSelector"], &spec["ruleNamespaceSelector"]),
            name: object.name_any(),
            namespace,
        }
    }

    /// Whether the labels of namespaces have to be known.
    pub fn needs_namespaces(&self) -> bool {
        [&self.monitors, &self.probes, &self.rules]
            .iter()
            .any(|selection| selection.namespaces.need_labels())
    }
}

impl std::fmt::Display for Instance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// The Prometheus objects of these namespaces, or of all, the oldest first.
pub async fn list(client: &Client, namespaces: &BTreeSet<String>) -> kube::Result<Vec<Instance>> {
    let gvk = GroupVersionKind::gvk("monitoring.coreos.com", "v1", "Prometheus");
    let resource = ApiResource::from_gvk_with_plural(&gvk, "prometheuses");
    let apis: Vec<Api<DynamicObject>> = if namespaces.is_empty() {
        vec![Api::all_with(client.clone(), &resource)]
    } else {
        let within = |namespace: &String| Api::namespaced_with(client.clone(), namespace, &resource);
        namespaces.iter().map(within).collect()
    };
    let mut all = Vec::new();
    for api in apis {
        let mut page = ListParams::default().limit(PAGE);
        for number in 1.. {
            let found = match api.list(&page).await {
                Err(kube::Error::Api(status)) if status.code == 404 => break,
                found => found?,
            };
            all.extend(found.iter().map(Instance::read));
            let Some(next) = found.metadata.continue_.filter(|token| !token.is_empty()) else {
                break;
            };
            if number == PAGES {
                warn!(
                    "there are more than {} Prometheus objects; the rest is not looked at",
                    PAGE * PAGES
                );
                break;
            }
            page = page.continue_token(&next);
        }
    }
    all.sort_by(|a, b| (a.created, &a.namespace, &a.name).cmp(&(b.created, &b.namespace, &b.name)));
    Ok(all)
}

/// The labels of the operator's own ServiceMonitor, if there is one.
pub async fn monitor_labels(client: &Client, namespace: &str, name: &str) -> kube::Result<Option<Labels>> {
    let kind = Kind::ServiceMonitor;
    let resource = ApiResource::from_gvk_with_plural(&kind.gvk(), kind.plural());
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
    match api.get_metadata(name).await {
        Ok(monitor) => Ok(Some(monitor.metadata.labels.unwrap_or_default())),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
        Err(error) => Err(error),
    }
}

/// The labels of every namespace.
pub async fn namespace_labels(client: &Client) -> kube::Result<BTreeMap<String, Labels>> {
    let api: Api<Namespace> = Api::all(client.clone());
    let mut all = BTreeMap::new();
    let mut page = ListParams::default().limit(NAMESPACES);
    loop {
        let found = api.list_metadata(&page).await?;
        all.extend(found.items.into_iter().map(|namespace| {
            (
                namespace.metadata.name.unwrap_or_default(),
                namespace.metadata.labels.unwrap_or_default(),
            )
        }));
        match found.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(next) => page = page.continue_token(&next),
            None => return Ok(all),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn an_object_of_any_shape_can_be_read() {
        for spec in [
            json!(null),
            json!("x"),
            json!([1]),
            json!({"serviceMonitorSelector": [], "routePrefix": 7}),
        ] {
            let object = json!({
                "apiVersion": "monitoring.coreos.com/v1", "kind": "Prometheus",
                "metadata": {"namespace": "odd", "name": "p"}, "spec": spec,
            });
            let one = Instance::read(&serde_json::from_value(object).unwrap());
            assert_eq!(one.url, "http://prometheus-operated.odd.svc:9090");
            assert!(!one.monitors.selects(&Labels::new()));
        }
    }
}
