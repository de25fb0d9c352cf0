//! Every watch that does not depend on an optional API.

use std::sync::Arc;

use observedapp_desired::Kind;
use tokio::task::JoinSet;

use crate::context::Context;
use crate::watch::{Apps, Scope, Synced, watch_apps, watch_children, watch_ingress_classes, watch_pods};

/// Starts them; each of those returned is set when its first list is complete.
pub fn spawn(
    context: &Context,
    apps: &Arc<Apps>,
    scopes: &[Option<Arc<str>>],
    tasks: &mut JoinSet<()>,
) -> Vec<Synced> {
    let client = &context.client;
    let queue = &context.queue;
    let mut synced = Vec::new();
    let mut next = || {
        let one = Synced::default();
        synced.push(one.clone());
        one
    };
    for namespace in scopes {
        for &kind in Kind::ALL.iter().filter(|kind| !kind.is_optional()) {
            let scope = Scope {
                kind,
                namespace: namespace.clone(),
            };
            tasks.spawn(watch_children(
                client.clone(),
                scope,
                Arc::clone(&context.store),
                Arc::clone(queue),
                next(),
            ));
        }
        tasks.spawn(watch_pods(
            client.clone(),
            namespace.clone(),
            Arc::clone(&context.pods),
            Arc::clone(queue),
            next(),
        ));
        tasks.spawn(watch_apps(
            client.clone(),
            namespace.clone(),
            Arc::clone(apps),
            Arc::clone(queue),
        ));
    }
    if scopes.iter().all(Option::is_none) {
        tasks.spawn(watch_ingress_classes(
            client.clone(),
            Arc::clone(&context.ingress_classes),
            Arc::clone(apps),
            Arc::clone(queue),
        ));
    }
    synced
}
