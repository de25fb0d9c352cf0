//! What is remembered of an object in the cluster: who it is, whose it is, a digest of what we applied to it, and
//! the few facts that conditions are made of. The rest is dropped while it is read, so that thousands of objects,
//! and strangers' Secrets, cost next to nothing.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use observedapp_api::{ParentRef, Route};
use observedapp_desired::MANAGED_BY;
#[cfg(doc)]
use observedapp_desired::RELEASE_ANNOTATIONS;
use serde::Deserialize;

/// An object as far as it matters here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChildState {
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

/// Ownership an object is, from the point of view of one app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// The app controls it.
    Owned,
    /// Nobody controls it, and our labels name the app: it was kept when an app of this name went.
    Retained,
    /// Somebody else's; the text says whose.
    Foreign(String),
}

impl ChildState {
    pub fn ownership(&self, app_name: &str, app_uid: &str) -> Ownership {
        match &self.controller {
            Some(owner) if owner.uid == app_uid => Ownership::Owned,
            Some(owner) => Ownership::Foreign(format!("it belongs to the {} {}", owner.kind, owner.name)),
            None if self.instance.as_deref() == Some(app_name) => Ownership::Retained,
            None => Ownership::Foreign(format!("it was not made by {MANAGED_BY}")),
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
    pub created: Option<Time>,
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
    /// The hosts and paths of an Ingress or an HTTPRoute.
    pub routes: Vec<Route>,
    /// What Gateways' controllers say of an HTTPRoute.
    pub parents: Vec<RouteParent>,
    /// The size that a claim asks for.
    pub requested: Option<String>,
    /// The StorageClass of a claim, which decides whether it can grow.
    pub storage_class: Option<String>,
    pub postgres_version: Option<String>,
    pub conditions: Vec<Fact>,
    /// The release whose pods a Deployment describes, where releases are recorded.
    pub release: Option<u64>,
    /// What a ControllerRevision holds.
    pub record: Option<RecordFacts>,
}

/// A ControllerRevision, not read yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordFacts {
    pub number: i64,
    /// Those that begin with [`RELEASE_ANNOTATIONS`], without that.
    pub annotations: BTreeMap<String, String>,
    pub data: serde_json::Value,
}

/// What the controller of a Gateway says of an HTTPRoute that names it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteParent {
    pub parent_ref: ParentRef,
    #[serde(default)]
    pub conditions: Vec<Fact>,
}

/// A condition that the object's own controller wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Fact {
    #[serde(rename = "type")]
    pub type_: String,
    pub status: String,
    pub reason: String,
    pub message: String,
    /// The generation that it is about; 0 where it is not said.
    pub observed_generation: i64,
}

impl Facts {
    pub fn condition(&self, type_: &str) -> Option<&Fact> {
        self.conditions.iter().find(|condition| condition.type_ == type_)
    }

    /// Whether all wanted pods of a Deployment are of the newest revision and answer, and no others are left.
    pub fn all_answer(&self) -> bool {
        let wanted = self.wanted.unwrap_or(1);
        self.is_scaled_to_zero()
            || (self.is_current()
                && self.updated >= wanted
                && self.replicas <= self.updated
                && self.available >= wanted)
    }

    pub fn is_scaled_to_zero(&self) -> bool {
        self.wanted == Some(0) && self.replicas == 0
    }

    /// Whether the object's own controller has seen the newest spec.
    pub fn is_current(&self) -> bool {
        self.observed_generation >= self.generation
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Value, json};

    use super::super::wire::Partial;
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

    fn live(value: Value) -> ChildState {
        serde_json::from_value::<Partial<false>>(value)
            .unwrap()
            .into_state()
    }

    #[test]
    fn it_keeps_who_whose_and_how_it_stands() {
        let live = live(deployment());
        assert_eq!(live.resource_version, 7);
        assert_eq!(live.ownership("tasks", "app"), Ownership::Owned);
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
            live.ownership("tasks", "another"),
            Ownership::Foreign("it belongs to the ObservedApp tasks".to_owned())
        );
    }

    #[test]
    fn an_object_without_a_controller_is_kept_data_or_foreign_by_its_labels() {
        let mut object = deployment();
        object["metadata"]["ownerReferences"] = json!([]);
        assert_eq!(
            live(object.clone()).ownership("tasks", "app"),
            Ownership::Retained
        );
        object["metadata"]["labels"] = json!({});
        assert!(matches!(
            live(object).ownership("tasks", "app"),
            Ownership::Foreign(_)
        ));
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
        let seen: Partial<true> = serde_json::from_value(deployment()).unwrap();
        assert_eq!(seen.into_state().facts, None);
    }
}
