//! Everything the watches have seen, in one place: what exists, and which objects an app controls.
//!
//! Our own writes are entered with the answer that the API server gave, so that a reconcile never acts on what it has
//! itself just changed; what a watch tells later is taken only where it is newer.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use observedapp_desired::Kind;

use super::live::Live;

/// Which object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    pub kind: Kind,
    pub namespace: Arc<str>,
    pub name: Arc<str>,
}

impl Key {
    pub fn new(kind: Kind, namespace: &str, name: &str) -> Self {
        Self {
            kind,
            namespace: namespace.into(),
            name: name.into(),
        }
    }
}

/// What one watch covers: a kind, in one namespace or in all.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Scope {
    pub kind: Kind,
    pub namespace: Option<Arc<str>>,
}

impl Scope {
    fn covers(&self, key: &Key) -> bool {
        self.kind == key.kind
            && self
                .namespace
                .as_ref()
                .is_none_or(|namespace| *namespace == key.namespace)
    }
}

/// A change of one object.
#[derive(Debug)]
pub struct Change {
    pub key: Key,
    pub before: Option<Arc<Live>>,
    pub after: Option<Arc<Live>>,
}

/// What exists, as far as we know.
#[derive(Debug, Default)]
pub struct Store(RwLock<Inner>);

#[derive(Debug, Default)]
struct Inner {
    objects: HashMap<Key, Entry>,
    by_controller: HashMap<String, BTreeSet<Key>>,
    /// Lists are told apart by number: what the last list of a watch did not name, and was not written since it
    /// began, is gone.
    list: u64,
}

#[derive(Debug)]
struct Entry {
    live: Arc<Live>,
    seen_in: u64,
}

impl Store {
    pub fn get(&self, key: &Key) -> Option<Arc<Live>> {
        self.read(|inner| inner.objects.get(key).map(|entry| Arc::clone(&entry.live)))
    }

    /// The objects that carry a controller reference to this UID.
    pub fn controlled_by(&self, uid: &str) -> Vec<(Key, Arc<Live>)> {
        self.read(|inner| {
            inner
                .by_controller
                .get(uid)
                .into_iter()
                .flatten()
                .filter_map(|key| Some((key.clone(), Arc::clone(&inner.objects.get(key)?.live))))
                .collect()
        })
    }

    /// Takes an object in, unless what is known of it is newer. Says what changed, if anything but its version did.
    pub fn put(&self, key: Key, live: Live) -> Option<Change> {
        self.write(|inner| inner.put(key, live))
    }

    /// Takes an object out, unless a newer one of its name is known.
    pub fn remove(&self, key: Key, version: u64) -> Option<Change> {
        self.write(|inner| {
            let known = inner.objects.get(&key)?;
            if known.live.resource_version > version {
                return None;
            }
            inner.take(key)
        })
    }

    /// A list of a watch begins.
    pub fn begin_list(&self) -> u64 {
        self.write(|inner| {
            inner.list += 1;
            inner.list
        })
    }

    /// A list of a watch is complete: what it did not name is gone.
    pub fn end_list(&self, scope: &Scope, list: u64) -> Vec<Change> {
        self.write(|inner| {
            let gone: Vec<Key> = inner
                .objects
                .iter()
                .filter(|(key, entry)| entry.seen_in < list && scope.covers(key))
                .map(|(key, _)| key.clone())
                .collect();
            gone.into_iter().filter_map(|key| inner.take(key)).collect()
        })
    }

    fn read<T>(&self, look: impl FnOnce(&Inner) -> T) -> T {
        look(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        change(&mut self.0.write().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Inner {
    fn put(&mut self, key: Key, live: Live) -> Option<Change> {
        let list = self.list;
        if let Some(entry) = self.objects.get_mut(&key) {
            entry.seen_in = list;
            if entry.live.resource_version >= live.resource_version {
                return None;
            }
        }
        let live = Arc::new(live);
        let before = self.objects.insert(
            key.clone(),
            Entry {
                live: Arc::clone(&live),
                seen_in: list,
            },
        );
        let before = before.map(|entry| entry.live);
        let was_controlled_by = before
            .as_ref()
            .and_then(|live| live.controller.as_ref())
            .map(|owner| &owner.uid);
        let controlled_by = live.controller.as_ref().map(|owner| &owner.uid);
        if was_controlled_by != controlled_by {
            if let Some(uid) = was_controlled_by {
                self.forget(uid, &key);
            }
            if let Some(uid) = controlled_by {
                self.by_controller
                    .entry(uid.clone())
                    .or_default()
                    .insert(key.clone());
            }
        }
        Some(Change {
            key,
            before,
            after: Some(live),
        })
    }

    fn take(&mut self, key: Key) -> Option<Change> {
        let before = self.objects.remove(&key)?.live;
        if let Some(owner) = &before.controller {
            self.forget(&owner.uid, &key);
        }
        Some(Change {
            key,
            before: Some(before),
            after: None,
        })
    }

    fn forget(&mut self, uid: &str, key: &Key) {
        if let Some(keys) = self.by_controller.get_mut(uid) {
            keys.remove(key);
            if keys.is_empty() {
                self.by_controller.remove(uid);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::live::Owner;
    use super::*;

    fn key(name: &str) -> Key {
        Key::new(Kind::Service, "shop", name)
    }

    fn live(version: u64, owner: Option<&str>) -> Live {
        Live {
            resource_version: version,
            controller: owner.map(|uid| Owner {
                is_app: true,
                kind: "ObservedApp".to_owned(),
                name: "tasks".to_owned(),
                uid: uid.to_owned(),
            }),
            ..Live::default()
        }
    }

    fn scope() -> Scope {
        Scope {
            kind: Kind::Service,
            namespace: None,
        }
    }

    #[test]
    fn an_older_version_never_replaces_a_newer_one() {
        let store = Store::default();
        store.put(key("a"), live(5, Some("u")));
        assert!(store.put(key("a"), live(4, None)).is_none());
        assert!(store.remove(key("a"), 4).is_none());
        assert_eq!(store.controlled_by("u").len(), 1);
        assert!(store.remove(key("a"), 6).is_some());
        assert!(store.controlled_by("u").is_empty());
    }

    #[test]
    fn what_a_list_does_not_name_is_gone_unless_it_was_written_meanwhile() {
        let store = Store::default();
        store.put(key("gone"), live(1, None));
        store.put(key("stays"), live(1, None));
        let list = store.begin_list();
        store.put(key("stays"), live(1, None));
        store.put(key("written"), live(9, None));
        let changes = store.end_list(&scope(), list);
        assert_eq!(changes.len(), 1);
        assert_eq!(changes[0].key, key("gone"));
        assert!(store.get(&key("written")).is_some());
    }

    #[test]
    fn a_change_of_controller_moves_the_object() {
        let store = Store::default();
        store.put(key("a"), live(1, Some("u")));
        store.put(key("a"), live(2, Some("v")));
        assert!(store.controlled_by("u").is_empty());
        assert_eq!(store.controlled_by("v").len(), 1);
    }

    #[test]
    fn a_list_of_one_namespace_says_nothing_about_another() {
        let store = Store::default();
        store.put(key("a"), live(1, None));
        let list = store.begin_list();
        let elsewhere = Scope {
            kind: Kind::Service,
            namespace: Some("other".into()),
        };
        assert!(store.end_list(&elsewhere, list).is_empty());
    }
}
