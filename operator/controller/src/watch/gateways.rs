//! The Gateways of the cluster, as far as an app's URL needs them.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::StreamExt;
use kube::runtime::watcher::Event;
use kube::{Api, Client, CustomResource, ResourceExt};
use observedapp_api::{GatewaySpec as GatewayField, ParentRef};
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};

use super::{Apps, Synced, app_ref, events, in_small_pages};
use crate::queue::Queue;

/// What is read of a Gateway.
#[derive(CustomResource, Clone, Debug, Serialize, Deserialize)]
#[kube(
    group = "gateway.networking.k8s.io",
    version = "v1",
    kind = "Gateway",
    plural = "gateways",
    namespaced,
    schema = "disabled"
)]
pub struct GatewaySpec {
    #[serde(default)]
    listeners: Vec<Listener>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Listener {
    name: String,
    /// Without one it takes every host.
    hostname: Option<String>,
    protocol: String,
}

impl Listener {
    fn takes(&self, host: &str) -> bool {
        match self.hostname.as_deref() {
            None | Some("") => true,
            Some(own) => match own.strip_prefix('*') {
                Some(end) => host.ends_with(end),
                None => host == own,
            },
        }
    }
}

type Listeners = BTreeMap<(String, String), Vec<Listener>>;

/// The listeners of each Gateway, by namespace and name. Unknown where they may not be read: a Gateway mostly belongs to
/// a namespace that is not the app's, so an operator that is confined to some does not see it.
#[derive(Debug, Default)]
pub struct Gateways(RwLock<Option<Listeners>>);

impl Gateways {
    /// The Gateways that a route of this namespace names and that are known not to exist.
    pub fn absent(&self, namespace: &str, gateway: &GatewayField) -> Vec<ParentRef> {
        let known = self.0.read();
        let Some(known) = known.as_ref() else {
            return Vec::new();
        };
        let parents = gateway.parent_refs.iter();
        parents
            .filter(|parent| !known.contains_key(&key(namespace, parent)))
            .cloned()
            .collect()
    }

    /// Whether a route of this namespace is served by HTTPS under this host, as far as is known.
    pub fn serve_https(&self, namespace: &str, gateway: &GatewayField, host: &str) -> bool {
        let known = self.0.read();
        let Some(known) = known.as_ref() else {
            return false;
        };
        gateway.parent_refs.iter().any(|parent| {
            let listeners = known.get(&key(namespace, parent)).into_iter().flatten();
            listeners
                .filter(|listener| {
                    parent
                        .section_name
                        .as_ref()
                        .is_none_or(|name| *name == listener.name)
                })
                .any(|listener| listener.protocol == "HTTPS" && listener.takes(host))
        })
    }

    /// They are not read any more.
    pub fn forget(&self) {
        *self.0.write() = None;
    }

    /// The next three say whether anything changed: every route that comes or goes changes a Gateway's status.
    fn replace(&self, list: Vec<Gateway>) -> bool {
        let new = list
            .into_iter()
            .map(|gateway| (key_of(&gateway), gateway.spec.listeners));
        let new = Some(new.collect());
        let mut known = self.0.write();
        let changed = *known != new;
        *known = new;
        changed
    }

    fn put(&self, gateway: Gateway) -> bool {
        let mut known = self.0.write();
        let listeners = gateway.spec.listeners.clone();
        let before = known.get_or_insert_default().insert(key_of(&gateway), listeners);
        before.as_ref() != Some(&gateway.spec.listeners)
    }

    fn remove(&self, gateway: &Gateway) -> bool {
        self.0
            .write()
            .get_or_insert_default()
            .remove(&key_of(gateway))
            .is_some()
    }
}

fn key(namespace: &str, parent: &ParentRef) -> (String, String) {
    let namespace = parent.namespace.as_deref().unwrap_or(namespace);
    (namespace.to_owned(), parent.name.clone())
}

fn key_of(gateway: &Gateway) -> (String, String) {
    (gateway.namespace().unwrap_or_default(), gateway.name_any())
}

/// Watches the Gateways for as long as it is polled. A change may move the URLs of the apps that have one.
pub async fn watch_gateways(
    client: Client,
    gateways: Arc<Gateways>,
    apps: Arc<Apps>,
    queue: Arc<Queue>,
    synced: Synced,
) {
    let mut list = Vec::new();
    let mut events = std::pin::pin!(events(Api::all(client), in_small_pages(), "Gateway"));
    while let Some(event) = events.next().await {
        let changed = match event {
            Event::Init => {
                list.clear();
                false
            }
            Event::InitApply(gateway) => {
                list.push(gateway);
                false
            }
            Event::InitDone => {
                let changed = gateways.replace(std::mem::take(&mut list));
                synced.set();
                changed
            }
            Event::Apply(gateway) => gateways.put(gateway),
            Event::Delete(gateway) => gateways.remove(&gateway),
        };
        if !changed {
            continue;
        }
        for app in apps.store().state() {
            if app.0.as_ref().is_ok_and(|app| app.spec.gateway.is_some()) {
                queue.enqueue(&app_ref(&app));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Value, json};

    use super::*;

    fn gateway(listeners: Value) -> Gateway {
        serde_json::from_value(json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway",
            "metadata": {"name": "public", "namespace": "infra"},
            "spec": {"gatewayClassName": "any", "listeners": listeners},
        }))
        .unwrap()
    }

    fn field(section_name: Option<&str>) -> GatewayField {
        let parent = json!({"name": "public", "namespace": "infra", "sectionName": section_name});
        serde_json::from_value(json!({"parentRefs": [parent], "hostnames": ["tasks.example.com"]})).unwrap()
    }

    #[test]
    fn a_host_is_served_by_https_where_a_listener_of_the_route_says_so() {
        let gateways = Gateways::default();
        let is_https = |section, host| gateways.serve_https("shop", &field(section), host);
        assert!(!is_https(None, "tasks.example.com"), "nothing is known");
        let http = json!({"name": "web", "port": 80, "protocol": "HTTP"});
        let https = json!({"name": "tls", "port": 443, "protocol": "HTTPS", "hostname": "*.example.com"});
        assert!(gateways.put(gateway(json!([http, https]))));
        assert!(
            !gateways.put(gateway(json!([http, https]))),
            "nothing has changed"
        );
        assert!(is_https(None, "tasks.example.com"));
        assert!(is_https(Some("tls"), "a.tasks.example.com"));
        assert!(!is_https(Some("web"), "tasks.example.com"));
        assert!(!is_https(None, "tasks.example.org"));
    }

    #[test]
    fn only_where_gateways_are_read_is_one_known_to_be_absent() {
        let gateways = Gateways::default();
        assert!(gateways.absent("shop", &field(None)).is_empty());
        gateways.replace(Vec::new());
        assert_eq!(gateways.absent("shop", &field(None)).len(), 1);
        gateways.put(gateway(json!([])));
        assert!(gateways.absent("shop", &field(None)).is_empty());
    }
}
