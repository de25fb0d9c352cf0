//! An object as the API server sends it, and what is kept of it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::core::{DynamicResourceScope, ObjectMeta};
use observedapp_api::{FIELD_MANAGER, GROUP, Route};
use observedapp_desired::{Kind, MANAGED_BY, RELEASE_ANNOTATIONS, RETAIN_ANNOTATION};
use serde::Deserialize;

use super::child_state::{ChildState, Fact, Facts, Owner, RecordFacts, RouteParent};
use super::fields::Fields;

#[derive(Deserialize)]
pub struct Wire {
    #[serde(default)]
    metadata: WireMeta,
    #[serde(default)]
    spec: Option<WireSpec>,
    #[serde(default)]
    status: Option<WireStatus>,
    /// Only a ControllerRevision has one.
    #[serde(default)]
    revision: Option<i64>,
    #[serde(default)]
    data: Option<serde_json::Value>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireMeta {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    generation: Option<i64>,
    creation_timestamp: Option<Time>,
    deletion_timestamp: Option<String>,
    labels: Option<WireLabels>,
    annotations: Option<WireAnnotations>,
    owner_references: Vec<WireOwner>,
    managed_fields: Vec<WireManager>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireLabels {
    #[serde(rename = "app.kubernetes.io/managed-by")]
    managed_by: Option<String>,
    #[serde(rename = "app.kubernetes.io/instance")]
    instance: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireAnnotations(BTreeMap<String, String>);

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireOwner {
    api_version: String,
    kind: String,
    name: String,
    uid: String,
    controller: bool,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireManager {
    manager: String,
    operation: String,
    subresource: String,
    time: String,
    fields_v1: Fields,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireSpec {
    replicas: Option<i32>,
    hostnames: Vec<String>,
    rules: Vec<WireRule>,
    storage_class_name: Option<String>,
    resources: Option<WireResources>,
    template: WireTemplate,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireTemplate {
    metadata: WireTemplateMeta,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireTemplateMeta {
    labels: WireTemplateLabels,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireTemplateLabels {
    #[serde(rename = "observedapp.dev/release")]
    release: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireRule {
    /// Of an Ingress.
    host: String,
    http: WireHttp,
    /// Of an HTTPRoute.
    matches: Vec<WireMatch>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireMatch {
    path: WirePathMatch,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WirePathMatch {
    value: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireHttp {
    paths: Vec<WirePath>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WirePath {
    path: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireResources {
    requests: WireStorage,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireStorage {
    storage: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireStatus {
    observed_generation: i64,
    replicas: i32,
    instances: i32,
    ready_replicas: i32,
    ready_instances: i32,
    updated_replicas: i32,
    available_replicas: i32,
    phase: Option<String>,
    current_primary: String,
    target_primary: String,
    instances_status: WireInstances,
    load_balancer: Option<WireLoadBalancer>,
    conditions: Option<Vec<Fact>>,
    parents: Vec<RouteParent>,
}

impl WireStatus {
    fn primary_ready(&self) -> bool {
        self.current_primary == self.target_primary
            && self.instances_status.healthy.contains(&self.current_primary)
    }
}

/// CloudNativePG's instances by how they are.
#[derive(Default, Deserialize)]
#[serde(default)]
struct WireInstances {
    healthy: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireLoadBalancer {
    ingress: Vec<WireAddress>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireAddress {
    ip: Option<String>,
    hostname: Option<String>,
}

/// An object on its way from the API server: `META` asks for its metadata alone.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "Wire")]
pub struct Partial<const META: bool> {
    metadata: ObjectMeta,
    live: ChildState,
}

impl<const META: bool> Partial<META> {
    pub fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    pub fn namespace(&self) -> &str {
        self.metadata.namespace.as_deref().unwrap_or_default()
    }

    /// What is kept of it; facts only where the whole object was read.
    pub fn into_state(mut self) -> ChildState {
        if META {
            self.live.facts = None;
        }
        self.live
    }
}

impl<const META: bool> kube::Resource for Partial<META> {
    type DynamicType = Kind;
    type Scope = DynamicResourceScope;

    fn kind(kind: &Kind) -> Cow<'_, str> {
        kind.as_str().into()
    }

    fn group(kind: &Kind) -> Cow<'_, str> {
        kind.gvk().group.into()
    }

    fn version(kind: &Kind) -> Cow<'_, str> {
        kind.gvk().version.into()
    }

    fn plural(kind: &Kind) -> Cow<'_, str> {
        kind.plural().into()
    }

    fn metadata_api() -> bool {
        META
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

impl<const META: bool> From<Wire> for Partial<META> {
    fn from(wire: Wire) -> Self {
        let meta = wire.metadata;
        let annotation = |key: &str| meta.annotations.as_ref().and_then(|all| all.0.get(key).cloned());
        let ours = |manager: &&WireManager| {
            manager.manager == FIELD_MANAGER && manager.operation == "Apply" && manager.subresource.is_empty()
        };
        let spec = wire.spec.unwrap_or_default();
        let status = wire.status.unwrap_or_default();
        let annotations = meta.annotations.as_ref();
        let record = wire.revision.map(|number| RecordFacts {
            number,
            annotations: annotations
                .map(|all| release_annotations(&all.0))
                .unwrap_or_default(),
            data: wire.data.unwrap_or_default(),
        });
        let facts = Facts {
            release: spec
                .template
                .metadata
                .labels
                .release
                .and_then(|number| number.parse().ok()),
            record,
            created: meta.creation_timestamp,
            generation: meta.generation.unwrap_or_default(),
            observed_generation: status.observed_generation,
            wanted: spec.replicas,
            wanted_by_other: meta
                .managed_fields
                .iter()
                .any(|manager| !ours(&manager) && manager.fields_v1.owns_replicas),
            replicas: status.replicas.max(status.instances),
            ready: status.ready_replicas.max(status.ready_instances),
            updated: status.updated_replicas,
            available: status.available_replicas,
            primary_ready: status.primary_ready(),
            phase: status.phase,
            addresses: status
                .load_balancer
                .unwrap_or_default()
                .ingress
                .into_iter()
                .filter_map(|address| address.hostname.or(address.ip))
                .collect(),
            routes: routes(spec.rules, &spec.hostnames),
            parents: status.parents,
            requested: spec.resources.unwrap_or_default().requests.storage,
            storage_class: spec.storage_class_name,
            postgres_version: annotation("observedapp.dev/postgres-version"),
            conditions: status.conditions.unwrap_or_default(),
        };
        let live = ChildState {
            uid: meta.uid.clone().unwrap_or_default(),
            resource_version: meta
                .resource_version
                .as_deref()
                .and_then(|version| version.parse().ok())
                .unwrap_or_default(),
            deleting: meta.deletion_timestamp.is_some(),
            controller: meta
                .owner_references
                .into_iter()
                .find(|owner| owner.controller)
                .map(|owner| Owner {
                    is_app: owner.kind == "ObservedApp" && owner.api_version.starts_with(GROUP),
                    kind: owner.kind,
                    name: owner.name,
                    uid: owner.uid,
                }),
            instance: meta
                .labels
                .filter(|labels| labels.managed_by.as_deref() == Some(MANAGED_BY))
                .and_then(|labels| labels.instance),
            retained: meta
                .annotations
                .as_ref()
                .is_some_and(|all| all.0.contains_key(RETAIN_ANNOTATION)),
            applied: meta
                .managed_fields
                .iter()
                .find(ours)
                .map(|manager| manager.fields_v1.digest_at(&manager.time)),
            facts: Some(Box::new(facts)),
        };
        Self {
            metadata: ObjectMeta {
                name: meta.name,
                namespace: meta.namespace,
                uid: meta.uid,
                resource_version: meta.resource_version,
                ..ObjectMeta::default()
            },
            live,
        }
    }
}

fn release_annotations(all: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    all.iter()
        .filter_map(|(name, value)| Some((name.strip_prefix(RELEASE_ANNOTATIONS)?.to_owned(), value.clone())))
        .collect()
}

/// An Ingress names a host in each rule, an HTTPRoute its hosts once for all of them.
fn routes(rules: Vec<WireRule>, hostnames: &[String]) -> Vec<Route> {
    let mut routes = Vec::new();
    for WireRule { host, http, matches } in rules {
        routes.extend(http.paths.into_iter().map(|WirePath { path }| Route {
            host: host.clone(),
            path,
        }));
        for WireMatch { path } in matches {
            routes.extend(hostnames.iter().map(|host| Route {
                host: host.clone(),
                path: path.value.clone(),
            }));
        }
    }
    routes
}
