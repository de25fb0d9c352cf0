//! Which Ingresses and HTTPRoutes carry which host.

use std::collections::{BTreeSet, HashMap};

use super::child_state::ChildState;
use crate::key::Key;

#[derive(Debug, Default)]
pub struct Hosts(HashMap<String, BTreeSet<Key>>);

impl Hosts {
    pub fn of(&self, host: &str) -> impl Iterator<Item = &Key> {
        self.0.get(host).into_iter().flatten()
    }

    /// An object has changed, appeared or gone.
    pub fn update(&mut self, key: &Key, before: Option<&ChildState>, after: Option<&ChildState>) {
        let (before, after) = (hosts(before), hosts(after));
        for host in before.difference(&after) {
            if let Some(keys) = self.0.get_mut(*host) {
                keys.remove(key);
                if keys.is_empty() {
                    self.0.remove(*host);
                }
            }
        }
        for host in after.difference(&before) {
            self.0.entry((*host).to_owned()).or_default().insert(key.clone());
        }
    }
}

fn hosts(live: Option<&ChildState>) -> BTreeSet<&str> {
    let facts = live.and_then(|live| live.facts.as_deref());
    let routes = facts.map_or(&[][..], |facts| &facts.routes);
    routes.iter().map(|route| route.host.as_str()).collect()
}
