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
    interests: Mutex<Interests>,
}

/// Apps are told of objects that are not theirs: the Secrets they refer to, and what is in their way.
#[derive(Debug, Default)]
struct Interests {
    apps: HashMap<Key, BTreeSet<(String, String)>>,
    keys: HashMap<(String, String), BTreeSet<Key>>,
}

impl Queue {
    pub fn new() -> (Self, UnboundedReceiver<ObjectRef<App>>) {
        let (sender, receiver) = unbounded();
        let queue = Self {
            sender,
            waiting: Mutex::default(),
            interests: Mutex::default(),
        };
        (queue, receiver)
    }

    /// Has an app looked at.
    pub fn ask(&self, namespace: &str, name: &str) {
        let app = (namespace.to_owned(), name.to_owned());
        if lock(&self.waiting).insert(app) {
            // The receiver goes only when the operator stops.
            let _ = self.sender.unbounded_send(ObjectRef::new(name).within(namespace));
        }
    }

    /// An app's turn has come.
    pub fn taken(&self, namespace: &str, name: &str) {
        lock(&self.waiting).remove(&(namespace.to_owned(), name.to_owned()));
    }

    pub fn depth(&self) -> usize {
        lock(&self.waiting).len()
    }

    /// Sets which objects, beside its own, an app is to be told of; names those that no app needs any more.
    pub fn set_interests(&self, namespace: &str, name: &str, keys: BTreeSet<Key>) -> Vec<Key> {
        let app = (namespace.to_owned(), name.to_owned());
        let mut interests = lock(&self.interests);
        let before = if keys.is_empty() {
            interests.keys.remove(&app)
        } else {
            interests.keys.insert(app.clone(), keys.clone())
        }
        .unwrap_or_default();
        let mut dropped = Vec::new();
        for key in before.difference(&keys) {
            if let Some(apps) = interests.apps.get_mut(key) {
                apps.remove(&app);
                if apps.is_empty() {
                    interests.apps.remove(key);
                    dropped.push(key.clone());
                }
            }
        }
        for key in keys {
            interests.apps.entry(key).or_default().insert(app.clone());
        }
        dropped
    }

    /// Tells the apps that wait for this object.
    pub fn tell_interested(&self, key: &Key) {
        let apps = lock(&self.interests).apps.get(key).cloned().unwrap_or_default();
        for (namespace, name) in apps {
            self.ask(&namespace, &name);
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
        queue.ask("shop", "tasks");
        queue.ask("shop", "tasks");
        assert_eq!(queue.depth(), 1);
        queue.taken("shop", "tasks");
        queue.ask("shop", "tasks");
        drop(queue);
        assert!(receiver.try_recv().is_ok());
        assert!(receiver.try_recv().is_ok());
        assert!(receiver.try_recv().is_err());
    }

    #[test]
    fn only_who_still_waits_is_told() {
        let (queue, _receiver) = Queue::new();
        let secret = Key::new(Kind::Secret, "shop", "mail");
        queue.set_interests("shop", "tasks", [secret.clone()].into());
        queue.tell_interested(&secret);
        assert_eq!(queue.depth(), 1);
        queue.taken("shop", "tasks");
        let dropped = queue.set_interests("shop", "tasks", BTreeSet::new());
        assert_eq!(dropped, std::slice::from_ref(&secret));
        queue.tell_interested(&secret);
        assert_eq!(queue.depth(), 0);
    }
}
