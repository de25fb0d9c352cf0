//! Which apps are to be reconciled. An app that is enqueued twice before its turn is reconciled once.

use std::collections::{BTreeSet, HashMap, HashSet};

use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use kube::runtime::reflector::ObjectRef;
use observedapp_api::AppRef;
use parking_lot::Mutex;

use crate::App;
use crate::key::Key;

/// The sending side of the queue, and which apps depend on which objects of others.
#[derive(Debug)]
pub struct Queue {
    sender: UnboundedSender<ObjectRef<App>>,
    waiting: Mutex<HashSet<AppRef>>,
    dependencies: Mutex<Dependencies>,
}

/// Objects that are not an app's own, and whose changes concern it: the Secrets it refers to, and those that have the
/// name of one of its own.
#[derive(Debug, Default)]
struct Dependencies {
    apps: HashMap<Key, BTreeSet<AppRef>>,
    keys: HashMap<AppRef, BTreeSet<Key>>,
}

impl Queue {
    pub fn new() -> (Self, UnboundedReceiver<ObjectRef<App>>) {
        let (sender, receiver) = unbounded();
        let queue = Self {
            sender,
            waiting: Mutex::default(),
            dependencies: Mutex::default(),
        };
        (queue, receiver)
    }

    pub fn enqueue(&self, app: &AppRef) {
        if self.waiting.lock().insert(app.clone()) {
            // The receiver goes only when the operator stops.
            let _ = self
                .sender
                .unbounded_send(ObjectRef::new(&app.name).within(&app.namespace));
        }
    }

    /// A reconcile of the app begins.
    pub fn dequeued(&self, app: &AppRef) {
        self.waiting.lock().remove(app);
    }

    pub fn depth(&self) -> usize {
        self.waiting.lock().len()
    }

    /// Sets which objects, beside its own, an app depends on; returns those that no app depends on any more.
    pub fn set_dependencies(&self, app: &AppRef, keys: BTreeSet<Key>) -> Vec<Key> {
        let mut dependencies = self.dependencies.lock();
        let before = if keys.is_empty() {
            dependencies.keys.remove(app)
        } else {
            dependencies.keys.insert(app.clone(), keys.clone())
        }
        .unwrap_or_default();
        let mut dropped = Vec::new();
        for key in before.difference(&keys) {
            if let Some(apps) = dependencies.apps.get_mut(key) {
                apps.remove(app);
                if apps.is_empty() {
                    dependencies.apps.remove(key);
                    dropped.push(key.clone());
                }
            }
        }
        for key in keys {
            dependencies.apps.entry(key).or_default().insert(app.clone());
        }
        dropped
    }

    /// Enqueues the apps that depend on an object.
    pub fn enqueue_dependents(&self, key: &Key) {
        let apps = self
            .dependencies
            .lock()
            .apps
            .get(key)
            .cloned()
            .unwrap_or_default();
        for app in &apps {
            self.enqueue(app);
        }
    }
}

#[cfg(test)]
mod tests {
    use observedapp_desired::Kind;

    use super::*;

    #[test]
    fn an_app_waits_once() {
        let app = AppRef::new("shop", "tasks");
        let (queue, mut receiver) = Queue::new();
        queue.enqueue(&app);
        queue.enqueue(&app);
        assert_eq!(queue.depth(), 1);
        queue.dequeued(&app);
        queue.enqueue(&app);
        drop(queue);
        assert!(receiver.try_recv().is_ok());
        assert!(receiver.try_recv().is_ok());
        assert!(receiver.try_recv().is_err());
    }

    #[test]
    fn only_apps_that_still_depend_on_an_object_are_enqueued() {
        let app = AppRef::new("shop", "tasks");
        let (queue, _receiver) = Queue::new();
        let secret = Key::new(Kind::Secret, "shop", "mail");
        queue.set_dependencies(&app, [secret.clone()].into());
        queue.enqueue_dependents(&secret);
        assert_eq!(queue.depth(), 1);
        queue.dequeued(&app);
        let dropped = queue.set_dependencies(&app, BTreeSet::new());
        assert_eq!(dropped, std::slice::from_ref(&secret));
        queue.enqueue_dependents(&secret);
        assert_eq!(queue.depth(), 0);
    }
}
