//! What the cluster's Prometheus objects want to be given, and where they answer.

use std::collections::{BTreeMap, BTreeSet};

use kube::api::{Api, DynamicObject, ListParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Client, ResourceExt};
use observedapp_desired::{ObservedPrometheus, Settings};
use serde_json::Value;

/// The Prometheus objects of a cluster, as far as they matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    pub all: Vec<One>,
}

/// One Prometheus object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct One {
    pub namespace: String,
    pub name: String,
    pub url: String,
    /// Where it answers through the API server, for those who are not in the cluster.
    pub proxy_path: String,
    pub monitors: Selection,
    pub probes: Selection,
    pub rules: Selection,
    /// What `retention` is set to.
    pub retention: Option<String>,
}

/// What a selector asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// Labels that satisfy it; none where nothing can.
    pub labels: Option<BTreeMap<String, String>>,
    /// Whether it looks only into its own namespace.
    pub own_namespace_only: bool,
}

impl Found {
    /// Looks for Prometheus objects. A cluster without their API has none.
    pub async fn look(client: &Client) -> kube::Result<Self> {
        let gvk = GroupVersionKind::gvk("monitoring.coreos.com", "v1", "Prometheus");
        let resource = ApiResource::from_gvk_with_plural(&gvk, "prometheuses");
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
        match api.list(&ListParams::default()).await {
            Ok(list) => {
                let mut all: Vec<One> = list.iter().map(One::read).collect();
                all.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
                Ok(Self { all })
            }
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    /// What objects are to carry so that they are selected, unless the operator was told.
    pub fn observed(&self, settings: &Settings) -> ObservedPrometheus {
        let labels = |of: fn(&One) -> &Selection| {
            self.all
                .iter()
                .find_map(|one| of(one).labels.clone())
                .unwrap_or_default()
        };
        ObservedPrometheus {
            monitor_labels: labels(|one| &one.monitors),
            probe_labels: labels(|one| &one.probes),
            rule_labels: labels(|one| &one.rules),
            namespaces: self
                .all
                .iter()
                .map(|one| one.namespace.clone())
                .collect::<BTreeSet<_>>(),
            prober_namespace: settings.prober_url.as_deref().and_then(namespace_of),
        }
    }
}

impl One {
    fn read(object: &DynamicObject) -> Self {
        let spec = &object.data["spec"];
        let namespace = object.namespace().unwrap_or_default();
        let scheme = if spec["web"]["tlsConfig"].is_object() {
            "https"
        } else {
            "http"
        };
        let prefix = spec["routePrefix"].as_str().unwrap_or_default().trim_matches('/');
        Self {
            url: format!("{scheme}://prometheus-operated.{namespace}.svc:9090/{prefix}"),
            proxy_path: format!(
                "/api/v1/namespaces/{namespace}/services/{scheme}:prometheus-operated:9090/proxy/{prefix}"
            ),
            monitors: Selection::read(
                &spec["serviceMonitorSelector"],
                &spec["serviceMonitorNamespaceSelector"],
            ),
            probes: Selection::read(&spec["probeSelector"], &spec["probeNamespaceSelector"]),
            rules: Selection::read(&spec["ruleSelector"], &spec["ruleNamespaceSelector"]),
            retention: spec["retention"].as_str().map(str::to_owned),
            name: object.name_any(),
            namespace,
        }
    }
}

impl Selection {
    /// An absent selector selects nothing, an empty one everything; an absent namespace selector only the own one.
    fn read(selector: &Value, namespaces: &Value) -> Self {
        Self {
            labels: if selector.is_object() {
                satisfying(selector)
            } else {
                None
            },
            own_namespace_only: !namespaces.is_object(),
        }
    }
}

/// Labels that satisfy a selector, if any can.
fn satisfying(selector: &Value) -> Option<BTreeMap<String, String>> {
    let mut labels: BTreeMap<String, String> = selector["matchLabels"]
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect();
    for expression in selector["matchExpressions"].as_array().into_iter().flatten() {
        let key = expression["key"].as_str().unwrap_or_default();
        let values: Vec<&str> = expression["values"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let given = labels.get(key).map(String::as_str);
        match (expression["operator"].as_str().unwrap_or_default(), given) {
            ("In", None) => {
                labels.insert(key.to_owned(), (*values.first()?).to_owned());
            }
            ("In", Some(given)) if values.contains(&given) => {}
            ("NotIn", given) if given.is_none_or(|given| !values.contains(&given)) => {}
            ("Exists", None) => {
                labels.insert(key.to_owned(), "true".to_owned());
            }
            ("Exists", Some(_)) | ("DoesNotExist", None) => {}
            _ => return None,
        }
    }
    Some(labels)
}

/// The namespace in the name of a Service: `blackbox.monitoring.svc:9115`.
fn namespace_of(address: &str) -> Option<String> {
    let host = address.rsplit("://").next()?.split([':', '/']).next()?;
    let mut parts = host.split('.');
    parts.next()?;
    parts
        .next()
        .filter(|namespace| !namespace.is_empty())
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn labels_are_derived_from_every_kind_of_selector() {
        let labels = satisfying(&json!({
            "matchLabels": {"release": "kps"},
            "matchExpressions": [
                {"key": "team", "operator": "In", "values": ["shop", "mail"]},
                {"key": "scrape", "operator": "Exists"},
                {"key": "skip", "operator": "DoesNotExist"},
            ],
        }));
        let expected = [("release", "kps"), ("scrape", "true"), ("team", "shop")];
        assert_eq!(
            labels,
            Some(expected.map(|(k, v)| (k.to_owned(), v.to_owned())).into())
        );
        assert_eq!(satisfying(&json!({})), Some(BTreeMap::new()));
    }

    #[test]
    fn what_contradicts_itself_selects_nothing_and_nor_does_what_is_absent() {
        let contradiction = json!({
            "matchLabels": {"a": "1"},
            "matchExpressions": [{"key": "a", "operator": "DoesNotExist"}],
        });
        assert_eq!(satisfying(&contradiction), None);
        assert_eq!(Selection::read(&Value::Null, &json!({})).labels, None);
        assert!(Selection::read(&json!({}), &Value::Null).own_namespace_only);
    }

    #[test]
    fn the_prober_s_namespace_is_in_its_address() {
        assert_eq!(
            namespace_of("blackbox.monitoring.svc:9115"),
            Some("monitoring".to_owned())
        );
        assert_eq!(namespace_of("blackbox:9115"), None);
    }
}
