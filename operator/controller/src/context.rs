//! What every reconcile shares.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::reflector::Store as AppStore;
use observedapp_api::ObservedAppStatus;
use observedapp_desired::{Kind, Settings};

use crate::App;
use crate::discovery::Served;
use crate::events::Reporter;
use crate::leader::Leadership;
use crate::metrics::Metrics;
use crate::pod_events::PodEvents;
use crate::prometheus::Prometheus;
use crate::queue::Queue;
use crate::references::References;
use crate::watch::{IngressClasses, Key, Pods, Store};

/// Everything that outlives a single reconcile.
pub struct Context {
    pub client: Client,
    pub settings: Settings,
    /// Whether objects outside of namespaces may be read: an operator that is confined to some has no right to.
    pub reads_cluster: bool,
    pub lead: Arc<Leadership>,
    pub apps: AppStore<App>,
    pub store: Arc<Store>,
    pub pods: Arc<Pods>,
    pub ingress_classes: Arc<IngressClasses>,
    pub served: Arc<Served>,
    pub queue: Arc<Queue>,
    pub metrics: Arc<Metrics>,
    pub events: Reporter,
    pub references: References,
    pub prometheus: Arc<Prometheus>,
    pub caches: AppCaches,
    /// How often an app that asked for nothing is looked at again.
    pub resync: Duration,
}

/// What is remembered of each app between reconciles; all of it can be lost.
#[derive(Debug, Default)]
pub struct AppCaches(Mutex<HashMap<(String, String), AppCache>>);

/// What is remembered of one app.
#[derive(Clone, Debug, Default)]
pub struct AppCache {
    pub uid: String,
    /// Each object as it was wanted and as it was found after it was applied.
    pub applied: BTreeMap<(Kind, String), AppliedDigest>,
    /// What the API server itself said is not there, in this look.
    pub absent: BTreeSet<Key>,
    /// How many reconciles have failed in a row.
    pub failures: u32,
    /// The status that was written last, until the watch has brought it back.
    pub written: Option<Written>,
    /// What the kubelet says of the pod that the app waits for, while it waits for one.
    pub pod_events: Option<PodEvents>,
    /// For Events about an app that is gone.
    pub reference: ObjectReference,
}

/// An object that is as wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppliedDigest {
    pub desired: u64,
    pub found: u64,
}

/// A status that was written.
#[derive(Clone, Debug)]
pub struct Written {
    pub version: u64,
    pub status: ObservedAppStatus,
}

impl AppCaches {
    /// Takes an app's cache out for one reconcile; nobody else looks at the same app meanwhile.
    pub fn take(&self, namespace: &str, name: &str, uid: &str) -> AppCache {
        self.remove(namespace, name)
            .filter(|cache| cache.uid == uid)
            .unwrap_or_else(|| AppCache {
                uid: uid.to_owned(),
                ..AppCache::default()
            })
    }

    pub fn put(&self, namespace: &str, name: &str, cache: AppCache) {
        self.lock().insert((namespace.to_owned(), name.to_owned()), cache);
    }

    pub fn remove(&self, namespace: &str, name: &str) -> Option<AppCache> {
        self.lock().remove(&(namespace.to_owned(), name.to_owned()))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<(String, String), AppCache>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").finish_non_exhaustive()
    }
}
