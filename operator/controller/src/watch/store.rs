//! Everything the watches have seen, in one place: what exists, and which objects an app controls.
//!
//! Our own writes are entered with the answer that the API server gave, so that a reconcile never acts on what it has
//! itself just changed; what a watch shows later is taken only where it is newer.
//!
//! Whether an object exists is for the watch alone to say. An answer may come late, after the watch has shown that the
//! object is gone again: entered then, it would stay for ever, because no watch will speak of it any more.

use parking_lot::RwLock;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use observedapp_desired::Kind;

use super::child_state::ChildState;
use super::hosts::Hosts;
use crate::key::Key;

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
    pub before: Option<Arc<ChildState>>,
    pub after: Option<Arc<ChildState>>,
}

/// What exists, as far as we know.
#[derive(Debug, Default)]
pub struct Store(RwLock<Inner>);

#[derive(Debug, Default)]
struct Inner {
    objects: HashMap<Key, Entry>,
    by_controller: HashMap<String, BTreeSet<Key>>,
    hosts: Hosts,
    /// Lists are numbered: what the last list of a watch did not name is gone.
    list: u64,
    shown: HashMap<Scope, WatchProgress>,
}

#[derive(Debug)]
struct Entry {
    live: Arc<ChildState>,
    /// The number of the last list when a watch spoke of it.
    seen_in: u64,
}

/// How far a watch has come.
#[derive(Debug, Default)]
struct WatchProgress {
    /// The newest version that it has shown: it shows all versions of its scope in their order.
    version: u64,
    /// The number that lists had reached when it last ended one.
    listed: u64,
}

/// When a request was sent, for [`Store::record_response`].
#[derive(Clone, Copy, Debug)]
pub struct RequestMark {
    list: u64,
}

impl Store {
    pub fn get(&self, key: &Key) -> Option<Arc<ChildState>> {
        self.read(|inner| inner.objects.get(key).map(|entry| Arc::clone(&entry.live)))
    }

    /// The objects that carry a controller reference to this UID.
    pub fn controlled_by(&self, uid: &str) -> Vec<(Key, Arc<ChildState>)> {
        self.read(|inner| inner.entries(inner.by_controller.get(uid).into_iter().flatten()))
    }

    /// The Ingresses and HTTPRoutes that carry this host.
    pub fn carriers_of(&self, host: &str) -> Vec<(Key, Arc<ChildState>)> {
        self.read(|inner| inner.entries(inner.hosts.of(host)))
    }

    /// A watch shows an object. Says what changed, if anything but what is known already.
    pub fn record_event(&self, scope: &Scope, key: Key, live: ChildState) -> Option<Change> {
        self.write(|inner| {
            inner.advance(scope, live.resource_version);
            let list = inner.list;
            if let Some(entry) = inner.objects.get_mut(&key) {
                entry.seen_in = list;
            }
            inner.put(key, live, list)
        })
    }

    /// A watch shows that an object is gone.
    pub fn record_deletion(&self, scope: &Scope, key: Key, version: u64) -> Option<Change> {
        self.write(|inner| {
            inner.advance(scope, version);
            inner.take_up_to(key, version)
        })
    }

    /// To be asked before a request is sent whose answer is to be entered.
    pub fn mark_request(&self) -> RequestMark {
        RequestMark {
            list: self.read(|inner| inner.list),
        }
    }

    /// Takes in what the API server answered to a request of ours, unless the watch is known to have come further: then
    /// what it has shown is the truth, and the answer may be about an object that is gone.
    pub fn record_response(&self, sent: RequestMark, key: Key, live: ChildState) {
        self.write(|inner| {
            if inner.objects.contains_key(&key) || !inner.is_past(&key, live.resource_version, sent) {
                inner.put(key, live, 0);
            }
        });
    }

    /// Takes out what a request of ours has deleted, unless a newer object of its name is known.
    pub fn remove_deleted(&self, key: Key, version: u64) {
        self.write(|inner| inner.take_up_to(key, version));
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
            inner.list += 1;
            inner.shown.entry(scope.clone()).or_default().listed = inner.list;
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
        look(&self.0.read())
    }

    fn write<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        change(&mut self.0.write())
    }
}

impl Inner {
    fn entries<'a>(&self, keys: impl Iterator<Item = &'a Key>) -> Vec<(Key, Arc<ChildState>)> {
        keys.filter_map(|key| Some((key.clone(), Arc::clone(&self.objects.get(key)?.live))))
            .collect()
    }

    fn advance(&mut self, scope: &Scope, version: u64) {
        let shown = self.shown.entry(scope.clone()).or_default();
        shown.version = shown.version.max(version);
    }

    /// Whether the watch that covers this object has come as far as this version, or has been listed anew, since a
    /// request was sent.
    fn is_past(&self, key: &Key, version: u64, sent: RequestMark) -> bool {
        [None, Some(Arc::clone(&key.namespace))]
            .into_iter()
            .filter_map(|namespace| {
                self.shown.get(&Scope {
                    kind: key.kind,
                    namespace,
                })
            })
            .any(|shown| shown.version >= version || shown.listed > sent.list)
    }

    /// Takes an object in, unless what is known of it is newer.
    fn put(&mut self, key: Key, live: ChildState, seen_in: u64) -> Option<Change> {
        let known = self.objects.get(&key);
        if known.is_some_and(|entry| entry.live.resource_version >= live.resource_version) {
            return None;
        }
        let seen_in = known.map_or(seen_in, |entry| entry.seen_in);
        let live = Arc::new(live);
        let before = self.objects.insert(
            key.clone(),
            Entry {
                live: Arc::clone(&live),
                seen_in,
            },
        );
        let before = before.map(|entry| entry.live);
        self.hosts.update(&key, before.as_deref(), Some(&live));
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

    fn take_up_to(&mut self, key: Key, version: u64) -> Option<Change> {
        let known = self.objects.get(&key)?;
        if known.live.resource_version > version {
            return None;
        }
        self.take(key)
    }

    fn take(&mut self, key: Key) -> Option<Change> {
        let before = self.objects.remove(&key)?.live;
        self.hosts.update(&key, Some(&before), None);
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
    use super::super::child_state::Owner;
    use super::*;

    fn key(name: &str) -> Key {
        Key::new(Kind::Service, "shop", name)
    }

    fn live(version: u64, owner: Option<&str>) -> ChildState {
        ChildState {
            resource_version: version,
            controller: owner.map(|uid| Owner {
                is_app: true,
                kind: "ObservedApp".to_owned(),
                name: "tasks".to_owned(),
                uid: uid.to_owned(),
            }),
            ..ChildState::default()
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
        store.record_event(&scope(), key("a"), live(5, Some("u")));
        assert!(store.record_event(&scope(), key("a"), live(4, None)).is_none());
        store.record_response(store.mark_request(), key("a"), live(3, None));
        assert!(store.record_deletion(&scope(), key("a"), 4).is_none());
        assert_eq!(store.controlled_by("u").len(), 1);
        assert!(store.record_deletion(&scope(), key("a"), 6).is_some());
        assert!(store.controlled_by("u").is_empty());
    }

    #[test]
    fn an_answer_that_comes_before_the_watch_is_entered() {
        let store = Store::default();
        store.record_event(&scope(), key("other"), live(4, None));
        store.record_response(store.mark_request(), key("a"), live(5, None));
        assert!(store.get(&key("a")).is_some());
    }

    #[test]
    fn an_answer_that_comes_after_the_object_went_is_not_entered() {
        let store = Store::default();
        let sent = store.mark_request();
        store.record_event(&scope(), key("a"), live(5, None));
        store.record_deletion(&scope(), key("a"), 6);
        store.record_response(sent, key("a"), live(5, None));
        assert!(store.get(&key("a")).is_none());
        // Of what came after, the watch may not have spoken yet.
        store.record_response(sent, key("a"), live(7, None));
        assert!(store.get(&key("a")).is_some());
    }

    #[test]
    fn an_answer_that_comes_after_a_new_list_is_not_entered() {
        let store = Store::default();
        let sent = store.mark_request();
        // It was made and went between two watches, so none has spoken of it.
        let list = store.begin_list();
        store.end_list(&scope(), list);
        store.record_response(sent, key("a"), live(5, None));
        assert!(store.get(&key("a")).is_none());
    }

    #[test]
    fn what_a_list_does_not_name_is_gone() {
        let store = Store::default();
        store.record_event(&scope(), key("gone"), live(1, None));
        store.record_event(&scope(), key("stays"), live(1, None));
        let list = store.begin_list();
        store.record_event(&scope(), key("stays"), live(1, None));
        // Made after the list it will be shown by the watch; made and deleted before, by nobody.
        store.record_response(store.mark_request(), key("written"), live(9, None));
        let mut gone: Vec<_> = store
            .end_list(&scope(), list)
            .into_iter()
            .map(|change| change.key)
            .collect();
        gone.sort();
        assert_eq!(gone, [key("gone"), key("written")]);
        assert!(store.get(&key("stays")).is_some());
    }

    #[test]
    fn a_change_of_controller_moves_the_object() {
        let store = Store::default();
        store.record_event(&scope(), key("a"), live(1, Some("u")));
        store.record_event(&scope(), key("a"), live(2, Some("v")));
        assert!(store.controlled_by("u").is_empty());
        assert_eq!(store.controlled_by("v").len(), 1);
    }

    #[test]
    fn a_list_of_one_namespace_says_nothing_about_another() {
        let store = Store::default();
        store.record_event(&scope(), key("a"), live(1, None));
        let list = store.begin_list();
        let elsewhere = Scope {
            kind: Kind::Service,
            namespace: Some("other".into()),
        };
        assert!(store.end_list(&elsewhere, list).is_empty());
        assert!(store.get(&key("a")).is_some());
    }
}
