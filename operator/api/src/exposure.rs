//! How the app is reached, and by whom.

use std::collections::BTreeMap;

use k8s_openapi::api::networking::v1::NetworkPolicyPeer;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The Service in front of the pods.
#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ServiceSpec {
    /// `ClusterIP`, `NodePort` or `LoadBalancer`.
    #[serde(rename = "type")]
    pub type_: ServiceType,
    /// The port of the Service.
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,
    /// The port on every node, for `NodePort` and `LoadBalancer`; without it the cluster picks one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub node_port: Option<i32>,
    /// Annotations, as load balancers ask for.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl Default for ServiceSpec {
    fn default() -> Self {
        Self {
            type_: ServiceType::ClusterIP,
            port: 80,
            node_port: None,
            annotations: BTreeMap::new(),
        }
    }
}

/// The kinds of Service that an app can have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ServiceType {
    #[default]
    ClusterIP,
    NodePort,
    LoadBalancer,
}

/// A host name and path through the cluster's ingress controller.
#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IngressSpec {
    /// The host name.
    #[schemars(length(min = 1, max = 253))]
    pub host: String,
    /// The path, and all below it.
    #[serde(default = "slash")]
    #[schemars(length(min = 1, max = 1024))]
    pub path: String,
    /// The IngressClass; without one the cluster's default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub class_name: Option<String>,
    /// The Secret with the certificate; with it the URL is https.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub tls_secret_name: Option<String>,
    /// Annotations, as ingress controllers and cert-manager ask for.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// Host names and a path through a Gateway of the cluster, by an HTTPRoute named like the app. It may stand beside `ingress`:
/// an app moves from one to the other without an outage, and the Ingress is its URL for as long as it is there.
#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewaySpec {
    /// The Gateways that the route is for; each must accept it.
    #[schemars(length(min = 1, max = 8))]
    pub parent_refs: Vec<ParentRef>,
    /// The host names; the first label may be a wildcard. The first name without one is the app's URL: https where a listener
    /// of its Gateways that takes the name speaks it.
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 253)), extend("x-kubernetes-list-type" = "set"))]
    pub hostnames: Vec<String>,
    /// The path, and all below it.
    #[serde(default = "slash")]
    #[schemars(length(min = 1, max = 1024))]
    pub path: String,
}

/// A Gateway, or one listener of it.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ParentRef {
    /// The Gateway's name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Its namespace; without it the app's own. A Gateway elsewhere must allow routes from the app's namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
    /// The name of one of its listeners; without it all that take the host names.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub section_name: Option<String>,
}

/// A host and a path of it: what an app asks for, and what an Ingress or an HTTPRoute carries.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Route {
    pub host: String,
    pub path: String,
}

impl IngressSpec {
    pub fn route(&self) -> Route {
        Route {
            host: self.host.clone(),
            path: self.path.clone(),
        }
    }
}

impl GatewaySpec {
    pub fn routes(&self) -> impl Iterator<Item = Route> {
        self.hostnames.iter().map(|host| Route {
            host: host.clone(),
            path: self.path.clone(),
        })
    }
}

/// Who may reach the app's pods.
#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct NetworkPolicySpec {
    /// Whether the app's own policy is made. Those of its database and its cache are always made.
    pub enabled: bool,
    /// Who, beside Prometheus and the prober, may reach all metrics ports, as in a NetworkPolicy's `from`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub metrics_from: Vec<NetworkPolicyPeer>,
}

impl Default for NetworkPolicySpec {
    fn default() -> Self {
        Self {
            enabled: true,
            metrics_from: Vec::new(),
        }
    }
}

fn slash() -> String {
    "/".to_owned()
}
