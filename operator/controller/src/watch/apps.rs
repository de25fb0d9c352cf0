//! The apps themselves, from the watches of one or several namespaces, in the one store that reconciles read.

use parking_lot::Mutex;
use std::collections::HashSet;

use kube::ResourceExt;
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::watcher::Event;
use observedapp_api::AppRef;

use crate::App;
use crate::queue::Queue;

/// The writer of the store. It is ready when every namespace has been listed.
#[derive(Debug)]
pub struct Apps {
    store: Store<App>,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    writer: reflector::store::Writer<App>,
    /// How many namespaces have not been listed yet.
    unlisted: usize,
    first: Vec<App>,
}

impl Apps {
    pub fn new(namespaces: usize) -> Self {
        let (store, writer) = reflector::store();
        Self {
            store,
            inner: Mutex::new(Inner {
                writer,
                unlisted: namespaces.max(1),
                first: Vec::new(),
            }),
        }
    }

    pub fn store(&self) -> Store<App> {
        self.store.clone()
    }

    /// Enqueues every app.
    pub fn enqueue_all(&self, queue: &Queue) {
        for app in self.store.state() {
            queue.enqueue(&app_ref(&app));
        }
    }

    /// Takes in an app; names it, if anything but its status is new.
    pub fn put(&self, app: App) -> Vec<AppRef> {
        let mut inner = self.inner.lock();
        if inner.unlisted > 0 {
            inner.first.push(app);
            return Vec::new();
        }
        let known = self.store.get(&ObjectRef::from_obj(&app));
        let changed = known.is_none_or(|known| concerns(&known) != concerns(&app));
        let key = app_ref(&app);
        inner.writer.apply_watcher_event(&Event::Apply(app));
        if changed { vec![key] } else { Vec::new() }
    }

    pub fn remove(&self, app: App) -> Vec<AppRef> {
        let mut inner = self.inner.lock();
        let key = app_ref(&app);
        inner.first.retain(|first| app_ref(first) != key);
        inner.writer.apply_watcher_event(&Event::Delete(app));
        vec![key]
    }

    /// Takes in a complete list; names every app in it, and every one that has gone unseen.
    pub fn replace(&self, namespace: Option<&str>, list: Vec<App>) -> Vec<AppRef> {
        let mut inner = self.inner.lock();
        if inner.unlisted > 0 {
            inner.first.extend(list);
            inner.unlisted -= 1;
            if inner.unlisted > 0 {
                return Vec::new();
            }
            let first = std::mem::take(&mut inner.first);
            let keys = first.iter().map(app_ref).collect();
            inner.writer.apply_watcher_event(&Event::Init);
            for app in first {
                inner.writer.apply_watcher_event(&Event::InitApply(app));
            }
            inner.writer.apply_watcher_event(&Event::InitDone);
            return keys;
        }
        let listed: HashSet<AppRef> = list.iter().map(app_ref).collect();
        for app in list {
            inner.writer.apply_watcher_event(&Event::Apply(app));
        }
        let gone = self.store.state_filter(|app| {
            let key = app_ref(app);
            namespace.is_none_or(|namespace| key.namespace == namespace) && !listed.contains(&key)
        });
        let mut keys: Vec<AppRef> = listed.into_iter().collect();
        for app in gone {
            keys.push(app_ref(&app));
            inner.writer.apply_watcher_event(&Event::Delete((*app).clone()));
        }
        keys
    }
}

/// Which app this is; of one that cannot be read, too.
pub fn app_ref(app: &App) -> AppRef {
    AppRef::new(app.namespace().unwrap_or_default(), app.name_any())
}

/// What of an app a reconcile depends on, its status left out.
fn concerns(app: &App) -> (Option<&str>, Option<i64>, bool) {
    let meta = kube::Resource::meta(app);
    (
        meta.uid.as_deref(),
        meta.generation,
        meta.deletion_timestamp.is_some(),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn app(namespace: &str, name: &str, generation: i64) -> App {
        serde_json::from_value(json!({
            "apiVersion": "observedapp.dev/v1alpha1", "kind": "ObservedApp",
            "metadata": {"name": name, "namespace": namespace, "uid": name, "generation": generation},
            "spec": {"image": "tasks:1"},
        }))
        .unwrap()
    }

    #[test]
    fn it_is_ready_when_every_namespace_was_listed_and_knows_all_of_them() {
        let apps = Apps::new(2);
        assert!(apps.replace(Some("a"), vec![app("a", "one", 1)]).is_empty());
        assert!(apps.store().is_empty());
        assert_eq!(apps.replace(Some("b"), vec![app("b", "two", 1)]).len(), 2);
        assert_eq!(apps.store().len(), 2);
    }

    #[test]
    fn a_later_list_removes_only_what_its_own_namespace_lost() {
        let apps = Apps::new(2);
        apps.replace(Some("a"), vec![app("a", "one", 1)]);
        apps.replace(Some("b"), vec![app("b", "two", 1)]);
        assert_eq!(apps.replace(Some("a"), Vec::new()), vec![AppRef::new("a", "one")]);
        assert_eq!(apps.store().len(), 1);
    }

    #[test]
    fn a_change_of_status_alone_asks_for_nothing() {
        let apps = Apps::new(1);
        apps.replace(None, vec![app("a", "one", 1)]);
        assert!(apps.put(app("a", "one", 1)).is_empty());
        assert_eq!(apps.put(app("a", "one", 2)).len(), 1);
    }

    #[test]
    fn what_is_invalid_is_in_the_store_too() {
        let apps = Apps::new(1);
        let bad: App = serde_json::from_value(json!({
            "apiVersion": "observedapp.dev/v1alpha1", "kind": "ObservedApp",
            "metadata": {"name": "bad", "namespace": "a"},
            "spec": {"image": ["a list"]},
        }))
        .unwrap();
        assert_eq!(apps.replace(None, vec![bad, app("a", "one", 1)]).len(), 2);
        assert_eq!(apps.store().len(), 2);
    }
}
