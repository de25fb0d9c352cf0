//! What is remembered of an object in the cluster: who it is, whose it is, a digest of what we applied to it, and
//! the few facts that conditions are made of. The rest is dropped while it is read, so that thousands of objects,
//! and strangers' Secrets, cost next to nothing.

use std::borrow::Cow;
use std::collections::BTreeMap;

use kube::core::{DynamicResourceScope, ObjectMeta};
use observedapp_api::{FIELD_MANAGER, GROUP};
use observedapp_desired::{Kind, MANAGED_BY, RETAIN_ANNOTATION};
use serde::Deserialize;

use super::fields::Fields;

/// An object as far as it matters here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Live {
    pub uid: String,
    pub resource_version: u64,
    /// Whether it is on its way out.
    pub deleting: bool,
    pub controller: Option<Owner>,
    /// The app that our labels name, if they are there.
    pub instance: Option<String>,
    /// Whether it outlives its app.
    pub retained: bool,
    /// A digest of the fields we applied and still own, and of when they last moved; absent where we own none.
    pub applied: Option<u64>,
    /// Read from kinds whose state matters; absent where only metadata is watched.
    pub facts: Option<Box<Facts>>,
}

/// Who controls an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Whether it is an ObservedApp.
    pub is_app: bool,
    pub kind: String,
    pub name: String,
    pub uid: String,
}

/// Whose an object is, from the point of view of one app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whose {
    /// The app controls it.
    Ours,
    /// Nobody controls it, and our labels name the app: it was kept when an app of this name went.
    Kept,
    /// Somebody else's; the text says whose.
    Foreign(String),
}

impl Live {
    pub fn whose(&self, app_name: &str, app_uid: &str) -> Whose {
        match &self.controller {
            Some(owner) if owner.uid == app_uid => Whose::Ours,
            Some(owner) => Whose::Foreign(format!("it belongs to the {} {}", owner.kind, owner.name)),
            None if self.instance.as_deref() == Some(app_name) => Whose::Kept,
            None => Whose::Foreign(format!("it was not made by {MANAGED_BY}")),
        }
    }

    /// The app that a change of this object concerns.
    pub fn app(&self) -> Option<&str> {
        match &self.controller {
            Some(owner) => owner.is_app.then_some(owner.name.as_str()),
            None => self.instance.as_deref(),
        }
    }

    /// Whether the two differ in anything but the version: most changes of an object concern nobody here.
    pub fn differs(&self, other: &Self) -> bool {
        let same_but_for_version = Self {
            resource_version: self.resource_version,
            ..other.clone()
        };
        *self != same_but_for_version
    }
}

/// What is read of spec and status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    pub generation: i64,
    pub observed_generation: i64,
    /// The count that the spec asks for.
    pub wanted: Option<i32>,
    /// Whether a manager other than us owns that count.
    pub wanted_by_other: bool,
    pub replicas: i32,
    pub ready: i32,
    pub updated: i32,
    pub available: i32,
    pub phase: Option<String>,
    /// Whether the primary of CloudNativePG's Cluster is ready and meant to stay the primary.
    pub primary_ready: bool,
    /// Addresses of a load balancer.
    pub addresses: Vec<String>,
    /// The class of an Ingress.
    pub class: Option<String>,
    /// The size that a claim asks for.
    pub requested: Option<String>,
    /// The size that a claim has.
    pub capacity: Option<String>,
    /// The class of a claim, which decides whether it can grow.
    pub postgres_version: Option<String>,
    pub conditions: Vec<Fact>,
}

/// A condition that the object's own controller wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Fact {
    #[serde(rename = "type")]
    pub type_: String,
    pub status: String,
    pub reason: String,
    pub message: String,
}

impl Facts {
    pub fn condition(&self, type_: &str) -> Option<&Fact> {
        self.conditions.iter().find(|condition| condition.type_ == type_)
    }

    /// Whether the object's own controller has seen the newest spec.
    pub fn is_current(&self) -> bool {
        self.observed_generation >= self.generation
    }
}

/// An object on its way from the API server: `META` asks for its metadata alone.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "Wire")]
pub struct Seen<const META: bool> {
    metadata: ObjectMeta,
    live: Live,
}

impl<const META: bool> Seen<META> {
    pub fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    pub fn namespace(&self) -> &str {
        self.metadata.namespace.as_deref().unwrap_or_default()
    }

    /// What is kept of it; facts only where the whole object was read.
    pub fn into_live(mut self) -> Live {
        if META {
            self.live.facts = None;
        }
        self.live
    }
}

impl<const META: bool> kube::Resource for Seen<META> {
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

#[derive(Deserialize)]
struct Wire {
    #[serde(default)]
    metadata: WireMeta,
    #[serde(default)]
    spec: Option<WireSpec>,
    #[serde(default)]
    status: Option<WireStatus>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireMeta {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    generation: Option<i64>,
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
    ingress_class_name: Option<String>,
    resources: Option<WireResources>,
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
    capacity: Option<WireStorage>,
    load_balancer: Option<WireLoadBalancer>,
    conditions: Option<Vec<Fact>>,
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

impl<const META: bool> From<Wire> for Seen<META> {
    fn from(wire: Wire) -> Self {
        let meta = wire.metadata;
        let annotation = |key: &str| meta.annotations.as_ref().and_then(|all| all.0.get(key).cloned());
        let ours = |manager: &&WireManager| {
            manager.manager == FIELD_MANAGER && manager.operation == "Apply" && manager.subresource.is_empty()
        };
        let spec = wire.spec.unwrap_or_default();
        let status = wire.status.unwrap_or_default();
        let facts = Facts {
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
            class: spec.ingress_class_name,
            requested: spec.resources.unwrap_or_default().requests.storage,
            capacity: status.capacity.unwrap_or_default().storage,
            postgres_version: annotation("observedapp.dev/postgres-version"),
            conditions: status.conditions.unwrap_or_default(),
        };
        let live = Live {
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Value, json};

    use super::*;

    fn deployment() -> Value {
        json!({
            "metadata": {
                "name": "tasks", "namespace": "shop", "uid": "u1", "resourceVersion": "7", "generation": 2,
                "labels": {"app.kubernetes.io/managed-by": "observedapp", "app.kubernetes.io/instance": "tasks"},
                "ownerReferences": [{"apiVersion": "observedapp.dev/v1alpha1", "kind": "ObservedApp", "name": "tasks", "uid": "app", "controller": true}],
                "managedFields": [
                    {"manager": "observedapp", "operation": "Apply", "time": "t1", "fieldsV1": {"f:spec": {"f:template": {}}}},
                    {"manager": "kube-controller-manager", "operation": "Update", "subresource": "scale", "fieldsV1": {"f:spec": {"f:replicas": {}}}},
                ],
            },
            "spec": {"replicas": 3},
            "status": {"readyReplicas": 1, "observedGeneration": 2},
        })
    }

    fn live(value: Value) -> Live {
        serde_json::from_value::<Seen<false>>(value).unwrap().into_live()
    }

    #[test]
    fn it_keeps_who_whose_and_how_it_stands() {
        let live = live(deployment());
        assert_eq!(live.resource_version, 7);
        assert_eq!(live.whose("tasks", "app"), Whose::Ours);
        assert_eq!(live.app(), Some("tasks"));
        let facts = live.facts.unwrap();
        assert_eq!((facts.wanted, facts.ready), (Some(3), 1));
        assert!(facts.wanted_by_other);
        assert!(facts.is_current());
    }

    #[test]
    fn an_object_of_an_earlier_app_of_the_same_name_is_foreign() {
        let live = live(deployment());
        assert_eq!(
            live.whose("tasks", "another"),
            Whose::Foreign("it belongs to the ObservedApp tasks".to_owned())
        );
    }

    #[test]
    fn an_object_without_a_controller_is_kept_data_or_foreign_by_its_labels() {
        let mut object = deployment();
        object["metadata"]["ownerReferences"] = json!([]);
        assert_eq!(live(object.clone()).whose("tasks", "app"), Whose::Kept);
        object["metadata"]["labels"] = json!({});
        assert!(matches!(live(object).whose("tasks", "app"), Whose::Foreign(_)));
    }

    #[test]
    fn only_a_change_of_what_is_kept_is_a_difference() {
        let before = live(deployment());
        let mut object = deployment();
        object["metadata"]["resourceVersion"] = json!("8");
        object["metadata"]["annotations"] = json!({"someone": "else"});
        assert!(!before.differs(&live(object.clone())));
        object["metadata"]["managedFields"][0]["fieldsV1"] = json!({"f:spec": {}});
        assert!(before.differs(&live(object)));
    }

    #[test]
    fn metadata_alone_carries_no_facts() {
        let seen: Seen<true> = serde_json::from_value(deployment()).unwrap();
        assert_eq!(seen.into_live().facts, None);
    }
}
