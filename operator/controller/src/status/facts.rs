//! What is known of an app when its status is made.

use std::collections::BTreeSet;
use std::sync::Arc;

use observedapp_api::{AppRef, ObservedAppSpec, ParentRef};
use observedapp_desired::{Kind, Releases};

use super::progress::Progress;
use crate::key::Key;
use crate::pod_events::PodEvents;
use crate::prometheus::PrometheusFacts;
use crate::watch::{ChildState, Facts as ChildFacts, Ownership, Pod};

#[derive(Debug)]
pub struct Facts<'a> {
    pub app: &'a AppRef,
    pub uid: &'a str,
    pub spec: &'a ObservedAppSpec,
    pub progress: &'a Progress,
    pub deployment: Option<Arc<ChildState>>,
    pub service: Option<Arc<ChildState>>,
    pub ingress: Option<Arc<ChildState>>,
    pub http_route: Option<Arc<ChildState>>,
    pub probe: Option<Arc<ChildState>>,
    /// The builtin database's StatefulSet, or CloudNativePG's Cluster.
    pub database: Option<Arc<ChildState>>,
    pub cache: Option<Arc<ChildState>>,
    pub autoscaler: Option<Arc<ChildState>>,
    /// The keys of the Secrets that `database.external` and `cache.external` name, if those were read.
    pub database_secret_keys: Option<Vec<String>>,
    pub cache_secret_keys: Option<Vec<String>>,
    pub pods: Vec<(String, Arc<Pod>)>,
    /// What the kubelet says of the pod that the app waits for.
    pub events: Option<&'a PodEvents>,
    /// Referenced Secrets and ConfigMaps that do not exist.
    pub absent: Vec<Key>,
    /// The IngressClasses of the cluster, if they can be read: name, and whether it is the default.
    pub ingress_classes: Option<Vec<(String, bool)>>,
    /// The Gateways that the spec names and that are known not to exist.
    pub absent_gateways: Vec<ParentRef>,
    /// The host names of the HTTPRoute that a Gateway is known to serve by HTTPS.
    pub https_hosts: BTreeSet<String>,
    /// Whether the operator knows a blackbox exporter.
    pub has_prober: bool,
    /// None until Prometheus was asked for the first time.
    pub prometheus: Option<PrometheusFacts>,
}

impl Facts<'_> {
    /// What the Deployment says of its pods; none where it does not exist.
    pub fn deployment_facts(&self) -> Option<&ChildFacts> {
        self.deployment.as_deref()?.facts.as_deref()
    }

    /// What was decided of the app's releases, where they are recorded.
    pub fn releases(&self) -> Option<&Releases> {
        self.progress.desired()?.releases.as_ref()
    }

    /// The pods of the release that should run now; while one pod of another is tried that is the one before.
    pub fn serving_pods(&self) -> Vec<(String, Arc<Pod>)> {
        let plan = self.releases().map(|releases| &releases.plan);
        let base = plan
            .filter(|plan| plan.trial.is_some())
            .and_then(|plan| plan.base);
        let pods = self.pods.iter();
        pods.filter(|(_, pod)| base.is_none() || pod.component != "app" || pod.release == base)
            .cloned()
            .collect()
    }

    /// Whether all wanted pods of the release that should run now answer.
    pub fn all_answer(&self) -> bool {
        let Some(deployment) = self.deployment_facts() else {
            return false;
        };
        let is_tried = self
            .releases()
            .is_some_and(|releases| releases.plan.trial.is_some());
        if !is_tried {
            return deployment.all_answer();
        }
        let pods = self.serving_pods();
        let ready = pods.iter().filter(|(_, pod)| pod.component == "app" && pod.ready);
        i32::try_from(ready.count()).unwrap_or(i32::MAX) >= self.wanted()
    }

    /// How many pods are wanted.
    pub fn wanted(&self) -> i32 {
        self.deployment_facts()
            .and_then(|facts| facts.wanted)
            .unwrap_or(self.spec.replicas)
    }

    pub fn owns(&self, child: &ChildState) -> bool {
        child.ownership(&self.app.name, self.uid) == Ownership::Owned
    }

    pub fn is_absent(&self, kind: Kind, name: &str) -> bool {
        self.absent
            .iter()
            .any(|absent| absent.kind == kind && *absent.name == *name)
    }

    pub fn has_builtin_database(&self) -> bool {
        let database = self.spec.database.as_ref();
        database.is_some_and(|database| database.builtin.is_some())
    }

    pub fn has_builtin_cache(&self) -> bool {
        let cache = self.spec.cache.as_ref();
        cache.is_some_and(|cache| cache.builtin.is_some())
    }
}

#[cfg(test)]
impl<'a> Facts<'a> {
    /// The app of which nothing exists yet.
    pub fn without_objects(app: &'a AppRef, spec: &'a ObservedAppSpec, progress: &'a Progress) -> Self {
        Self {
            app,
            uid: "u",
            spec,
            progress,
            deployment: None,
            service: None,
            ingress: None,
            http_route: None,
            probe: None,
            database: None,
            cache: None,
            autoscaler: None,
            database_secret_keys: None,
            cache_secret_keys: None,
            pods: Vec::new(),
            events: None,
            absent: Vec::new(),
            ingress_classes: None,
            absent_gateways: Vec::new(),
            https_hosts: BTreeSet::new(),
            has_prober: true,
            prometheus: None,
        }
    }
}
