//! An object as it is desired, in the form in which it is sent, and the app that it is applied for.

use observedapp_api::AppRef;
use observedapp_desired::{Kind, Object};
use serde_json::Value;

use crate::context::AppliedDigest;
use crate::digest::Digest;
use crate::error::Error;
use crate::key::Key;
use crate::watch::{ChildState, Ownership};

/// The app whose objects are applied.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    pub app: &'a AppRef,
    pub uid: &'a str,
    /// Where an autoscaler is to decide the number of pods: the version of the Deployment at which the count that is
    /// sent was read, or an older one.
    pub replicas_version: Option<u64>,
}

pub struct DesiredObject {
    pub key: Key,
    pub value: Value,
    digest: u64,
    /// Where its replica count is on its way to an autoscaler: the version at which that was read.
    pub replica_handover: Option<u64>,
}

impl DesiredObject {
    pub fn new(target: Target<'_>, object: &Object) -> Self {
        // What k8s-openapi's types hold can always be written as JSON.
        let value = serde_json::to_value(object).unwrap_or_default();
        let kind = object.kind();
        let has_replicas = kind == Kind::Deployment
            && object.name() == target.app.name
            && value["spec"].get("replicas").is_some();
        Self {
            key: Key::new(kind, &target.app.namespace, object.name()),
            digest: Digest::new().text(&value.to_string()).finish(),
            replica_handover: target.replicas_version.filter(|_| has_replicas),
            value,
        }
    }

    /// Whether its pods would have the rights of this ServiceAccount, or the data of this claim: a stranger's must not
    /// come to an app by its name alone.
    pub fn depends_on(&self, key: &Key) -> bool {
        let pod = &self.value["spec"]["template"]["spec"];
        match key.kind {
            Kind::ServiceAccount => pod["serviceAccountName"] == *key.name,
            Kind::PersistentVolumeClaim => {
                let mut volumes = pod["volumes"].as_array().into_iter().flatten();
                volumes.any(|volume| volume["persistentVolumeClaim"]["claimName"] == *key.name)
            }
            _ => false,
        }
    }

    pub fn id(&self) -> (Kind, String) {
        (self.key.kind, self.key.name.to_string())
    }

    pub fn applied_digest(&self, live: &ChildState) -> AppliedDigest {
        AppliedDigest {
            desired: self.digest,
            found: Digest::new()
                .text(&live.uid)
                .number(live.applied.unwrap_or_default())
                .finish(),
        }
    }
}

/// Refuses what is not this app's.
pub fn check_ownership(target: Target<'_>, key: &Key, live: &ChildState) -> Result<(), Error> {
    let name = key.name.to_string();
    let kind = key.kind;
    if let Ownership::Foreign(holder) = live.ownership(&target.app.name, target.uid) {
        let of_an_earlier_app = live.app() == Some(&target.app.name);
        return Err(if of_an_earlier_app && live.controller.is_some() {
            Error::Terminating { kind, name }
        } else {
            Error::Foreign { kind, name, holder }
        });
    }
    if live.deleting {
        return Err(Error::Terminating { kind, name });
    }
    Ok(())
}
