//! Which optional APIs the cluster serves, now: they are watched from when they appear until they are gone.

use parking_lot::RwLock;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use kube::Client;
use observedapp_desired::Kind;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tokio_util::task::AbortOnDropHandle;
use tracing::{info, warn};

use crate::queue::Queue;
use crate::watch::{self, Apps, Gateways, Scope, Store, Synced};

/// How long reconciles wait for the first lists of optional kinds: what is known later is taken up then.
const FIRST_LISTS: Duration = Duration::from_secs(10);

/// The optional kinds that are served and whose objects are known.
#[derive(Debug, Default)]
pub struct Served(RwLock<BTreeSet<Kind>>);

impl Served {
    pub fn kinds(&self) -> BTreeSet<Kind> {
        self.0.read().clone()
    }

    /// Whether objects of this kind can exist and are known.
    pub fn contains(&self, kind: Kind) -> bool {
        !kind.is_optional() || self.0.read().contains(&kind)
    }

    fn set(&self, kind: Kind, served: bool) {
        let mut kinds = self.0.write();
        if served {
            kinds.insert(kind);
        } else {
            kinds.remove(&kind);
        }
    }
}

/// Looks for optional APIs again and again.
pub struct Discovery {
    pub client: Client,
    pub scopes: Vec<Option<Arc<str>>>,
    pub served: Arc<Served>,
    pub store: Arc<Store>,
    pub gateways: Arc<Gateways>,
    pub apps: Arc<Apps>,
    pub queue: Arc<Queue>,
    pub period: Duration,
}

impl Discovery {
    /// Never returns; dropping it ends the watches it began.
    pub async fn run(self, first_round: tokio::sync::oneshot::Sender<()>) {
        let mut watches = Watches::default();
        let mut first_round = Some(first_round);
        loop {
            for &kind in Kind::ALL.iter().filter(|kind| kind.is_optional()) {
                match self.is_served(kind).await {
                    Ok(true) if !watches.0.contains_key(&kind) => {
                        watches.0.insert(kind, self.begin(kind));
                    }
                    Ok(false) if watches.0.contains_key(&kind) => self.end(kind, &mut watches),
                    Ok(_) => {}
                    Err(error) => {
                        // An API server that does not answer says nothing about what it serves.
                        warn!(kind = kind.as_str(), %error, "cannot tell whether the API is served");
                    }
                }
            }
            let next_round = Instant::now() + self.period;
            if let Some(done) = first_round.take() {
                let _ = timeout(FIRST_LISTS, self.list_all(&mut watches)).await;
                let _ = done.send(());
            }
            let listed = timeout_at(next_round, self.list_all(&mut watches)).await;
            if listed.is_ok() {
                sleep_until(next_round).await;
            }
        }
    }

    /// Returns when all that is watched is known. A list may take longer than a round: then it goes on in the next. Of a
    /// kind whose objects may not be read it never ends, and the watch itself says why.
    async fn list_all(&self, watches: &mut Watches) {
        while let Some(kind) = watches.next_listed().await {
            if let Some(watch) = watches.0.get_mut(&kind) {
                watch.listed = true;
            }
            self.served.set(kind, true);
            info!(kind = kind.as_str(), "the cluster serves this API");
            self.enqueue_all();
        }
    }

    async fn is_served(&self, kind: Kind) -> kube::Result<bool> {
        let gvk = kind.gvk();
        let api_version = format!("{}/{}", gvk.group, gvk.version);
        match self.client.list_api_group_resources(&api_version).await {
            Ok(list) => Ok(needed(kind)
                .iter()
                .all(|name| list.resources.iter().any(|resource| resource.name == *name))),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn begin(&self, kind: Kind) -> Watch {
        let follow = |namespace: &Option<Arc<str>>| {
            let synced = Synced::default();
            let task = watch::watch_children(
                self.client.clone(),
                Scope {
                    kind,
                    namespace: namespace.clone(),
                },
                Arc::clone(&self.store),
                Arc::clone(&self.queue),
                synced.clone(),
            );
            (AbortOnDropHandle::new(tokio::spawn(task)), synced)
        };
        let (mut tasks, mut synced): (Vec<_>, Vec<_>) = self.scopes.iter().map(follow).unzip();
        if kind == Kind::HTTPRoute && self.scopes.iter().all(Option::is_none) {
            // Known before the first route is made: URLs would change as soon as they are.
            let listed = Synced::default();
            let task = watch::watch_gateways(
                self.client.clone(),
                Arc::clone(&self.gateways),
                Arc::clone(&self.apps),
                Arc::clone(&self.queue),
                listed.clone(),
            );
            tasks.push(AbortOnDropHandle::new(tokio::spawn(task)));
            synced.push(listed);
        }
        Watch {
            _tasks: tasks,
            synced,
            listed: false,
        }
    }

    fn end(&self, kind: Kind, watches: &mut Watches) {
        watches.0.remove(&kind);
        self.served.set(kind, false);
        if kind == Kind::HTTPRoute {
            self.gateways.forget();
        }
        for namespace in &self.scopes {
            let scope = Scope {
                kind,
                namespace: namespace.clone(),
            };
            watch::forget_kind(&scope, &self.store, &self.queue);
        }
        info!(kind = kind.as_str(), "the cluster serves this API no more");
        self.enqueue_all();
    }

    fn enqueue_all(&self) {
        self.apps.enqueue_all(&self.queue);
    }
}

/// The resources of a kind's group without which its objects are of no use.
fn needed(kind: Kind) -> Vec<&'static str> {
    match kind {
        Kind::HTTPRoute => vec![kind.plural(), "gateways"],
        _ => vec![kind.plural()],
    }
}

/// The watches of optional kinds.
#[derive(Default)]
struct Watches(HashMap<Kind, Watch>);

/// The watches of one kind; they end when this is dropped.
struct Watch {
    _tasks: Vec<AbortOnDropHandle<()>>,
    synced: Vec<Synced>,
    /// Whether every one of them has been listed.
    listed: bool,
}

impl Watches {
    /// The next kind that is known in every namespace; none when all are.
    async fn next_listed(&self) -> Option<Kind> {
        let mut unlisted: FuturesUnordered<_> = self
            .0
            .iter()
            .filter(|(_, watch)| !watch.listed)
            .map(async |(kind, watch)| {
                for synced in &watch.synced {
                    synced.wait().await;
                }
                *kind
            })
            .collect();
        unlisted.next().await
    }
}

impl std::fmt::Debug for Discovery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Discovery")
            .field("scopes", &self.scopes)
            .finish_non_exhaustive()
    }
}
