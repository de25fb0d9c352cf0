//! What every reconcile shares.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::reflector::Store as AppStore;
use observedapp_api::{AppRef, ObservedAppStatus};
use observedapp_desired::{Kind, Settings};
use parking_lot::Mutex;

use crate::App;
use crate::discovery::Served;
use crate::error::Error;
use crate::events::Reporter;
use crate::key::Key;
use crate::leader::Leadership;
use crate::metrics::Metrics;
use crate::pod_events::PodEvents;
use crate::prometheus::Prometheus;
use crate::queue::Queue;
use crate::references::References;
use crate::watch::{ChildState, Gateways, IngressClasses, Pods, Store};

/// Everything that outlives a single reconcile.
pub struct Context {
    pub client: Client,
    pub settings: Settings,
    /// Whether objects outside of namespaces may be read: an operator that is confined to some has no right to.
    pub reads_cluster: bool,
    pub leadership: Arc<Leadership>,
    pub apps: AppStore<App>,
    pub store: Arc<Store>,
    pub pods: Arc<Pods>,
    pub ingress_classes: Arc<IngressClasses>,
    pub gateways: Arc<Gateways>,
    pub served: Arc<Served>,
    pub queue: Arc<Queue>,
    pub metrics: Arc<Metrics>,
    pub events: Reporter,
    pub references: References,
    pub prometheus: Arc<Prometheus>,
    pub caches: AppCaches,
    /// How often an app is reconciled for which nothing has changed.
    pub resync: Duration,
}

impl Context {
    pub fn get(&self, app: &AppRef, kind: Kind, name: &str) -> Option<Arc<ChildState>> {
        self.store.get(&Key::new(kind, &app.namespace, name))
    }

    pub fn check_leadership(&self) -> Result<(), Error> {
        if self.leadership.holds() {
            Ok(())
        } else {
            Err(Error::NotLeader)
        }
    }

    /// Sets which objects of others the app depends on, and forgets the contents of those that no app does any more.
    pub fn set_dependencies(&self, app: &AppRef, keys: BTreeSet<Key>) {
        let dropped = self.queue.set_dependencies(app, keys);
        self.references.forget_contents(&dropped);
    }
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").finish_non_exhaustive()
    }
}

/// What is kept of each app between reconciles; all of it can be lost.
#[derive(Debug, Default)]
pub struct AppCaches(Mutex<HashMap<AppRef, AppCache>>);

/// What is kept of one app.
#[derive(Clone, Debug, Default)]
pub struct AppCache {
    pub uid: String,
    /// Each object as it was desired, and as it was found after it was applied.
    pub applied: BTreeMap<(Kind, String), AppliedDigest>,
    /// What the API server itself said does not exist, in this reconcile.
    pub absent: BTreeSet<Key>,
    /// Objects of others that have the names of the app's own.
    pub blockers: BTreeSet<Key>,
    /// How many reconciles have failed in a row.
    pub failures: u32,
    /// The status that was written last, until the watch has brought it back.
    pub written: Option<Written>,
    /// What the kubelet says of the pod that the app waits for, while it waits for one.
    pub pod_events: Option<PodEvents>,
    /// For Events about an app that is gone.
    pub reference: ObjectReference,
}

/// An object that is as desired.
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
    /// Takes out what is kept of an app for one reconcile; no other reconcile of the app runs meanwhile.
    pub fn take(&self, app: &AppRef, uid: &str) -> AppCache {
        self.remove(app)
            .filter(|cache| cache.uid == uid)
            .unwrap_or_else(|| AppCache {
                uid: uid.to_owned(),
                ..AppCache::default()
            })
    }

    pub fn put(&self, app: &AppRef, cache: AppCache) {
        self.0.lock().insert(app.clone(), cache);
    }

    pub fn remove(&self, app: &AppRef) -> Option<AppCache> {
        self.0.lock().remove(app)
    }
}
