//! The objects an app can have: one variant a kind, so that the compiler names every place a new one must be
//! thought of.

use std::collections::BTreeMap;

use crate::problem::Problem;
use k8s_openapi::api::apps::v1::{ControllerRevision, Deployment, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::{Ingress, NetworkPolicy};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::core::{GroupVersionKind, ObjectMeta};
use observedapp_api::{AppRef, Route};
use serde::Serialize;

use crate::cloud_native_pg::Cluster;
use crate::gateway::HTTPRoute;
use crate::monitoring::{Probe, PrometheusRule, ServiceMonitor};
use crate::releases::Releases;

macro_rules! kinds {
    ($( $(#[$meta:meta])* $kind:ident($type:ty) = $group:literal / $version:literal, $plural:literal, optional: $optional:literal; )*) => {
        /// The kinds of objects that the operator makes, in the order in which they are applied.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind { $( $(#[$meta])* $kind, )* }

        impl Kind {
            pub const ALL: &[Self] = &[ $( Self::$kind, )* ];

            pub fn as_str(self) -> &'static str {
                match self { $( Self::$kind => stringify!($kind), )* }
            }

            pub fn gvk(self) -> GroupVersionKind {
                match self { $( Self::$kind => GroupVersionKind::gvk($group, $version, stringify!($kind)), )* }
            }

            pub fn plural(self) -> &'static str {
                match self { $( Self::$kind => $plural, )* }
            }

            /// Whether a cluster may lack the kind's API.
            pub fn is_optional(self) -> bool {
                match self { $( Self::$kind => $optional, )* }
            }
        }

        /// An object as it should be.
        #[derive(Clone, Debug, PartialEq, Serialize)]
        #[serde(untagged)]
        pub enum Object { $( $kind(Box<$type>), )* }

        impl Object {
            pub fn kind(&self) -> Kind {
                match self { $( Self::$kind(_) => Kind::$kind, )* }
            }

            pub fn metadata(&self) -> &ObjectMeta {
                match self { $( Self::$kind(object) => &object.metadata, )* }
            }
        }

        $( impl From<$type> for Object {
            fn from(object: $type) -> Self { Self::$kind(Box::new(object)) }
        } )*
    };
}

// What others need comes first: identities and configuration, then who may talk to whom, then what runs.
kinds! {
    ServiceAccount(ServiceAccount) = "" / "v1", "serviceaccounts", optional: false;
    Secret(Secret) = "" / "v1", "secrets", optional: false;
    ControllerRevision(ControllerRevision) = "apps" / "v1", "controllerrevisions", optional: false;
    ConfigMap(ConfigMap) = "" / "v1", "configmaps", optional: false;
    PersistentVolumeClaim(PersistentVolumeClaim) = "" / "v1", "persistentvolumeclaims", optional: false;
    NetworkPolicy(NetworkPolicy) = "networking.k8s.io" / "v1", "networkpolicies", optional: false;
    Service(Service) = "" / "v1", "services", optional: false;
    Cluster(Cluster) = "postgresql.cnpg.io" / "v1", "clusters", optional: true;
    StatefulSet(StatefulSet) = "apps" / "v1", "statefulsets", optional: false;
    Deployment(Deployment) = "apps" / "v1", "deployments", optional: false;
    HorizontalPodAutoscaler(HorizontalPodAutoscaler) = "autoscaling" / "v2", "horizontalpodautoscalers", optional: false;
    PodDisruptionBudget(PodDisruptionBudget) = "policy" / "v1", "poddisruptionbudgets", optional: false;
    Ingress(Ingress) = "networking.k8s.io" / "v1", "ingresses", optional: false;
    HTTPRoute(HTTPRoute) = "gateway.networking.k8s.io" / "v1", "httproutes", optional: true;
    ServiceMonitor(ServiceMonitor) = "monitoring.coreos.com" / "v1", "servicemonitors", optional: true;
    Probe(Probe) = "monitoring.coreos.com" / "v1", "probes", optional: true;
    PrometheusRule(PrometheusRule) = "monitoring.coreos.com" / "v1", "prometheusrules", optional: true;
}

impl Object {
    pub fn name(&self) -> &str {
        self.metadata().name.as_deref().unwrap_or_default()
    }
}

/// What should exist for an app.
#[derive(Clone, Debug, Default)]
pub struct Desired {
    /// Secrets with generated passwords, made before anything else: created if they do not exist, and
    /// never written again. Once one exists, it comes back among `objects` with the password that was observed.
    pub generated: Vec<Secret>,
    /// Applied server-side, in this order, and pruned when they are no longer here.
    pub objects: Vec<Object>,
    /// Objects that must be left as they are: neither written nor pruned.
    pub untouched: Vec<(Kind, String)>,
    /// Whether nothing is pruned: pods of an earlier release may need what is no longer desired.
    pub keeps_all: bool,
    /// Why the builtin database must wait for a person.
    pub database_lost: Option<SecretLost>,
    /// What this app asks for and other apps hold: it is left out of its Ingress and HTTPRoute.
    pub held_routes: BTreeMap<Route, AppRef>,
    /// What the app's author should know of; nothing is wrong.
    pub notes: Vec<Problem>,
    /// Objects that are wanted, of kinds whose API this cluster does not serve.
    pub missing: Vec<Kind>,
    /// The hash by which Prometheus proves that it has loaded the app's rules.
    pub rules_hash: Option<String>,
    /// The app's releases, where they are recorded.
    pub releases: Option<Releases>,
    /// The Secret that binds to the database, as soon as it can be made.
    pub binding: Option<String>,
}

/// A claim holds a database, but the Secret with its password is gone. A new password would lock everybody out of
/// the data, so none is made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the claim {claim} holds a database whose password was in the Secret {}, which is gone: {remedy}",
    secrets.join(" and the Secret ")
)]
pub struct SecretLost {
    pub claim: String,
    /// The Secrets to restore, at least one.
    pub secrets: Vec<String>,
    /// What to do about it.
    pub remedy: String,
}
