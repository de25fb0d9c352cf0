//! Watching the cluster: one watch for each kind and namespace, into stores that keep little.

mod apps;
mod child_state;
mod classes;
mod fields;
mod gateways;
mod hosts;
mod pods;
mod store;
mod wire;

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::{Stream, StreamExt};
use kube::api::Api;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, Resource, ResourceExt};
use observedapp_api::AppRef;
use observedapp_desired::{Kind, MANAGED_BY};
use serde::de::DeserializeOwned;
use tokio::sync::Notify;
use tracing::{debug, warn};

pub use apps::{Apps, app_ref};
#[cfg(test)]
pub use child_state::Owner;
pub use child_state::{ChildState, Fact, Facts, Ownership, RecordFacts, RouteParent};
pub use classes::IngressClasses;
pub use gateways::{Gateways, watch_gateways};

pub use pods::{PartialPod, Pod, Pods, Stage, Trouble};
pub use store::{Change, RequestMark, Scope, Store};
pub use wire::Partial;

use crate::App;
use crate::key::Key;
use crate::queue::Queue;

/// Set once, when a watch has delivered its first complete list.
#[derive(Clone, Debug, Default)]
pub struct Synced(Arc<(AtomicBool, Notify)>);

impl Synced {
    fn set(&self) {
        self.0.0.store(true, Ordering::Release);
        self.0.1.notify_waiters();
    }

    pub async fn wait(&self) {
        loop {
            let notified = self.0.1.notified();
            if self.0.0.load(Ordering::Acquire) {
                return;
            }
            notified.await;
        }
    }
}

/// Whether conditions need more of a kind than its metadata.
pub fn has_facts(kind: Kind) -> bool {
    matches!(
        kind.as_str(),
        "Deployment"
            | "StatefulSet"
            | "Service"
            | "ControllerRevision"
            | "Ingress"
            | "HTTPRoute"
            | "PersistentVolumeClaim"
            | "Cluster"
            | "HorizontalPodAutoscaler"
    )
}

/// Watches the objects of one kind for as long as it is polled.
pub async fn watch_children(
    client: Client,
    scope: Scope,
    store: Arc<Store>,
    queue: Arc<Queue>,
    synced: Synced,
) {
    if has_facts(scope.kind) {
        watch_seen::<false>(client, scope, &store, &queue, &synced).await;
    } else {
        watch_seen::<true>(client, scope, &store, &queue, &synced).await;
    }
}

async fn watch_seen<const META: bool>(
    client: Client,
    scope: Scope,
    store: &Store,
    queue: &Queue,
    synced: &Synced,
) {
    let api: Api<Partial<META>> = match &scope.namespace {
        Some(namespace) => Api::namespaced_with(client, namespace, &scope.kind),
        None => Api::all_with(client, &scope.kind),
    };
    let mut config = in_small_pages();
    if scope.kind == Kind::ControllerRevision {
        // Every DaemonSet and StatefulSet of the cluster has some.
        config = config.labels(&format!("app.kubernetes.io/managed-by={MANAGED_BY}"));
    }
    let mut list = store.begin_list();
    let mut events = std::pin::pin!(events(api, config, scope.kind.as_str()));
    while let Some(event) = events.next().await {
        match event {
            Event::Init => list = store.begin_list(),
            Event::InitApply(seen) | Event::Apply(seen) => {
                let key = Key::new(scope.kind, seen.namespace(), seen.name());
                if let Some(change) = store.record_event(&scope, key, seen.into_state()) {
                    enqueue_for(queue, &change);
                }
            }
            Event::Delete(seen) => {
                let key = Key::new(scope.kind, seen.namespace(), seen.name());
                if let Some(change) = store.record_deletion(&scope, key, seen.into_state().resource_version) {
                    enqueue_for(queue, &change);
                }
            }
            Event::InitDone => {
                for change in store.end_list(&scope, list) {
                    enqueue_for(queue, &change);
                }
                debug!(kind = scope.kind.as_str(), "the first list is complete");
                synced.set();
            }
        }
    }
}

/// Forgets all objects of a kind that the cluster serves no more.
pub fn forget_kind(scope: &Scope, store: &Store, queue: &Queue) {
    let list = store.begin_list();
    for change in store.end_list(scope, list) {
        enqueue_for(queue, &change);
    }
}

/// Enqueues the apps that a change concerns.
fn enqueue_for(queue: &Queue, change: &Change) {
    let Change { key, before, after } = change;
    queue.enqueue_dependents(key);
    let moved = match (before, after) {
        (Some(before), Some(after)) => before.differs(after),
        _ => true,
    };
    if !moved {
        return;
    }
    for live in [before, after].into_iter().flatten() {
        if let Some(app) = live.app() {
            queue.enqueue(&AppRef::new(&*key.namespace, app));
        }
    }
}

/// Watches the pods of all apps.
pub async fn watch_pods(
    client: Client,
    namespace: Option<Arc<str>>,
    pods: Arc<Pods>,
    queue: Arc<Queue>,
    synced: Synced,
) {
    let api: Api<PartialPod> = match &namespace {
        Some(namespace) => Api::namespaced(client, namespace),
        None => Api::all(client),
    };
    let config = in_small_pages().labels(&format!("app.kubernetes.io/managed-by={MANAGED_BY}"));
    let mut list = Vec::new();
    let mut events = std::pin::pin!(events(api, config, "Pod"));
    while let Some(event) = events.next().await {
        match event {
            Event::Init => list.clear(),
            Event::InitApply(pod) => list.push(pod),
            Event::InitDone => {
                for app in pods.replace(namespace.as_deref(), std::mem::take(&mut list)) {
                    queue.enqueue(&app);
                }
                synced.set();
            }
            Event::Apply(pod) => pods.put(pod).iter().for_each(|app| queue.enqueue(app)),
            Event::Delete(pod) => pods.remove(pod).iter().for_each(|app| queue.enqueue(app)),
        }
    }
}

/// Watches the apps of one namespace, or of all. Only the operator writes their status, so a change of it enqueues nothing.
pub async fn watch_apps(client: Client, namespace: Option<Arc<str>>, apps: Arc<Apps>, queue: Arc<Queue>) {
    let api: Api<App> = match &namespace {
        Some(namespace) => Api::namespaced(client, namespace),
        None => Api::all(client),
    };
    let mut list = Vec::new();
    let mut events = std::pin::pin!(events(api, in_small_pages(), "ObservedApp"));
    while let Some(event) = events.next().await {
        let event = event.modify(|app| {
            app.managed_fields_mut().clear();
            app.annotations_mut()
                .remove("kubectl.kubernetes.io/last-applied-configuration");
        });
        let changed = match event {
            Event::Init => {
                list.clear();
                Vec::new()
            }
            Event::InitApply(app) => {
                list.push(app);
                Vec::new()
            }
            Event::InitDone => apps.replace(namespace.as_deref(), std::mem::take(&mut list)),
            Event::Apply(app) => apps.put(app),
            Event::Delete(app) => apps.remove(app),
        };
        for app in changed {
            queue.enqueue(&app);
        }
    }
}

/// Watches the IngressClasses. A new one may be what an app waits for.
pub async fn watch_ingress_classes(
    client: Client,
    classes: Arc<IngressClasses>,
    apps: Arc<Apps>,
    queue: Arc<Queue>,
) {
    let mut list = Vec::new();
    let mut events = std::pin::pin!(events(Api::all(client), in_small_pages(), "IngressClass"));
    while let Some(event) = events.next().await {
        match event {
            Event::Init => list.clear(),
            Event::InitApply(class) => {
                list.push(class);
                continue;
            }
            Event::InitDone => classes.replace(&std::mem::take(&mut list)),
            Event::Apply(class) => classes.put(&class),
            Event::Delete(class) => classes.remove(&class),
        }
        for app in apps.store().state() {
            if app.0.as_ref().is_ok_and(|app| app.spec.ingress.is_some()) {
                queue.enqueue(&app_ref(&app));
            }
        }
    }
}

/// A list is held in memory a page at a time, and at the start every kind is listed at once.
fn in_small_pages() -> watcher::Config {
    watcher::Config::default().page_size(100)
}

/// A watch that goes on through every error, with a growing wait between tries.
pub fn events<K>(api: Api<K>, config: watcher::Config, kind: &str) -> impl Stream<Item = Event<K>>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let mut failures = 0_u32;
    watcher(api, config).default_backoff().filter_map(move |event| {
        match &event {
            Ok(_) => failures = 0,
            Err(error) => {
                failures += 1;
                // A watch ends every few minutes by itself; one that fails again and again is worth a line.
                if failures.is_power_of_two() {
                    warn!(kind, failures, %error, "the watch failed and is tried again");
                }
            }
        }
        std::future::ready(event.ok())
    })
}
