//! Keeps the kernel's rules up to date.

use std::{fmt::Debug, hash::Hash, path::Path, pin::pin, time::Duration};

use anyhow::{Context, Result};
use futures::{FutureExt, Stream, StreamExt, stream};
use k8s_openapi::api::{
    core::v1::{Namespace, Pod},
    networking::v1::NetworkPolicy,
};
use kube::{
    Api, Client, Resource,
    runtime::{
        WatchStreamExt, reflector,
        reflector::Store,
        watcher::{self, watcher},
    },
};
use serde::de::DeserializeOwned;
use tokio::{
    signal::unix::{SignalKind, signal},
    time,
};

use crate::controlplane;

use super::{Endpoint, Rules, Ruleset, iptables};

/// A new pod causes several events at once, for which one write is enough.
const SETTLE: Duration = Duration::from_millis(50);
/// How often the rules are written again in case they were flushed.
const REPAIR: Duration = Duration::from_secs(10);

/// Enforces the cluster's policies until SIGTERM; then removes the rules.
pub async fn run(kubeconfig: &Path) -> Result<()> {
    let client = controlplane::client(kubeconfig).await?;
    let mut end = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let outcome = tokio::select! {
        outcome = enforce(client) => outcome,
        _ = end.recv() => Ok(()),
    };
    iptables::remove().await;
    outcome
}

async fn enforce(client: Client) -> Result<()> {
    let (policies, policy_events) = watched::<NetworkPolicy>(&client);
    let (pods, pod_events) = watched::<Pod>(&client);
    let (namespaces, namespace_events) = watched::<Namespace>(&client);
    let events = stream::select_all([
        policy_events.boxed(),
        pod_events.boxed(),
        namespace_events.boxed(),
    ]);
    let mut events = pin!(events);
    let mut applied = None;
    loop {
        let mut repair = false;
        // The stores are updated while their streams are polled.
        match time::timeout(REPAIR, events.next()).await {
            Ok(Some(())) => {
                while time::timeout(SETTLE, events.next())
                    .await
                    .is_ok_and(|event| event.is_some())
                {}
            }
            Ok(None) => anyhow::bail!("the watches of the API server ended"),
            Err(_) => repair = true,
        }
        if !(is_ready(&policies) && is_ready(&pods) && is_ready(&namespaces)) {
            continue;
        }
        let endpoints: Vec<Endpoint> = objects(&pods).iter().filter_map(Endpoint::of).collect();
        let rules = Rules::new(&objects(&policies), &endpoints, &objects(&namespaces));
        let ruleset = Ruleset::from(&rules);
        let changed = applied.as_ref() != Some(&ruleset);
        if !changed && !repair {
            continue;
        }
        match ruleset.apply().await {
            Ok(()) if changed => {
                println!(
                    "{} policies: {} pods isolated for ingress, {} for egress",
                    policies.len(),
                    rules.ingress.len(),
                    rules.egress.len()
                );
                applied = Some(ruleset);
            }
            Ok(()) => {}
            // The next event or repair retries.
            Err(error) => eprintln!("{error:#}"),
        }
    }
}

/// A store of all objects of a kind, and a stream that yields on every change.
fn watched<K>(client: &Client) -> (Store<K>, impl Stream<Item = ()> + use<K>)
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    K::DynamicType: Eq + Hash,
{
    let (store, writer) = reflector::store();
    let events = watcher(Api::<K>::all(client.clone()), watcher::Config::default())
        .default_backoff()
        .reflect(writer)
        .map(|event| {
            if let Err(error) = event {
                eprintln!("watching {}: {error}", K::plural(&()));
            }
        });
    (store, events)
}

fn is_ready<K: Resource<DynamicType = ()> + Clone + 'static>(store: &Store<K>) -> bool {
    store
        .wait_until_ready()
        .now_or_never()
        .is_some_and(|ready| ready.is_ok())
}

fn objects<K: Resource<DynamicType = ()> + Clone + 'static>(store: &Store<K>) -> Vec<K> {
    // Sorted, so that the same rules are the same text.
    let mut objects: Vec<K> = store.state().iter().map(|object| (**object).clone()).collect();
    objects.sort_by_cached_key(|object| (object.meta().namespace.clone(), object.meta().name.clone()));
    objects
}
