//! What every reconcile shares.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::reflector::Store as AppStore;
use observedapp_api::ObservedAppStatus;
use observedapp_desired::{Kind, Settings};
use traces::Traces;

use crate::App;
use crate::discovery::Served;
use crate::events::Reporter;
use crate::leader::Lead;
use crate::metrics::Metrics;
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
    pub lead: Arc<Lead>,
    pub apps: AppStore<App>,
    pub store: Arc<Store>,
    pub pods: Arc<Pods>,
    pub ingress_classes: Arc<IngressClasses>,
    pub served: Arc<Served>,
    pub queue: Arc<Queue>,
    pub metrics: Arc<Metrics>,
    pub traces: Traces,
    pub events: Reporter,
    pub references: References,
    pub prometheus: Arc<Prometheus>,
    pub memory: Memory,
    /// How often an app that asked for nothing is looked at again.
    pub resync: Duration,
}

/// What is remembered of each app between reconciles; all of it can be lost.
#[derive(Debug, Default)]
pub struct Memory(Mutex<HashMap<(String, String), AppMemory>>);

/// What is remembered of one app.
#[derive(Clone, Debug, Default)]
pub struct AppMemory {
    pub uid: String,
    /// Each object as it was wanted and as it was found after it was applied.
    pub applied: BTreeMap<(Kind, String), Done>,
    /// What the API server itself said is not there, in this look.
    pub absent: BTreeSet<Key>,
    /// How many reconciles have failed in a row.
    pub failures: u32,
    /// The status that was written last, until the watch has brought it back.
    pub written: Option<Written>,
    /// For Events about an app that is gone.
    pub reference: ObjectReference,
}

/// An object that is as wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Done {
    pub wanted: u64,
    pub found: u64,
}

/// A status that was written.
#[derive(Clone, Debug)]
pub struct Written {
    pub version: u64,
    pub status: ObservedAppStatus,
}

impl Memory {
    /// Takes an app's memory out for one reconcile; nobody else looks at the same app meanwhile.
    pub fn take(&self, namespace: &str, name: &str, uid: &str) -> AppMemory {
        self.remove(namespace, name)
            .filter(|memory| memory.uid == uid)
            .unwrap_or_else(|| AppMemory {
                uid: uid.to_owned(),
                ..AppMemory::default()
            })
    }

    pub fn put(&self, namespace: &str, name: &str, memory: AppMemory) {
        self.lock()
            .insert((namespace.to_owned(), name.to_owned()), memory);
    }

    pub fn remove(&self, namespace: &str, name: &str) -> Option<AppMemory> {
        self.lock().remove(&(namespace.to_owned(), name.to_owned()))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<(String, String), AppMemory>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").finish_non_exhaustive()
    }
}
