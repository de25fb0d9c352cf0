//! Which apps are to be looked at. An app that is asked for twice before its turn is looked at once.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use kube::runtime::reflector::ObjectRef;

use crate::App;
use crate::watch::Key;

/// The way into the queue, and who waits for which stranger's object.
#[derive(Debug)]
pub struct Queue {
    sender: UnboundedSender<ObjectRef<App>>,
    waiting: Mutex<HashSet<(String, String)>>,
    dependencies: Mutex<Dependencies>,
}

/// Apps are told of objects that are not theirs: the Secrets they refer to, and what is in their way.
#[derive(Debug, Default)]
struct Dependencies {
    apps: HashMap<Key, BTreeSet<(String, String)>>,
    keys: HashMap<(String, String), BTreeSet<Key>>,
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

    /// Has an app looked at.
    pub fn enqueue(&self, namespace: &str, name: &str) {
        let app = (namespace.to_owned(), name.to_owned());
        if lock(&self.waiting).insert(app) {
            // The receiver goes only when the operator stops.
            let _ = self.sender.unbounded_send(ObjectRef::new(name).within(namespace));
        }
    }

    /// An app's turn has come.
    pub fn dequeued(&self, namespace: &str, name: &str) {
        lock(&self.waiting).remove(&(namespace.to_owned(), name.to_owned()));
    }

    pub fn depth(&self) -> usize {
        lock(&self.waiting).len()
    }

    /// Sets which objects, beside its own, an app is to be told of; names those that no app needs any more.
    pub fn set_dependencies(&self, namespace: &str, name: &str, keys: BTreeSet<Key>) -> Vec<Key> {
        let app = (namespace.to_owned(), name.to_owned());
        let mut dependencies = lock(&self.dependencies);
        let before = if keys.is_empty() {
            dependencies.keys.remove(&app)
        } else {
            dependencies.keys.insert(app.clone(), keys.clone())
        }
        .unwrap_or_default();
        let mut dropped = Vec::new();
        for key in before.difference(&keys) {
            if let Some(apps) = dependencies.apps.get_mut(key) {
                apps.remove(&app);
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

    /// Tells the apps that wait for this object.
    pub fn enqueue_dependents(&self, key: &Key) {
        let apps = lock(&self.dependencies)
            .apps
            .get(key)
            .cloned()
            .unwrap_or_default();
        for (namespace, name) in apps {
            self.enqueue(&namespace, &name);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use observedapp_desired::Kind;

    use super::*;

    #[test]
    fn an_app_waits_once() {
        let (queue, mut receiver) = Queue::new();
        queue.enqueue("shop", "tasks");
        queue.enqueue("shop", "tasks");
        assert_eq!(queue.depth(), 1);
        queue.dequeued("shop", "tasks");
        queue.enqueue("shop", "tasks");
        drop(queue);
        assert!(receiver.try_recv().is_ok());
        assert!(receiver.try_recv().is_ok());
        assert!(receiver.try_recv().is_err());
    }

    #[test]
    fn only_who_still_waits_is_told() {
        let (queue, _receiver) = Queue::new();
        let secret = Key::new(Kind::Secret, "shop", "mail");
        queue.set_dependencies("shop", "tasks", [secret.clone()].into());
        queue.enqueue_dependents(&secret);
        assert_eq!(queue.depth(), 1);
        queue.dequeued("shop", "tasks");
        let dropped = queue.set_dependencies("shop", "tasks", BTreeSet::new());
        assert_eq!(dropped, std::slice::from_ref(&secret));
        queue.enqueue_dependents(&secret);
        assert_eq!(queue.depth(), 0);
    }
}
