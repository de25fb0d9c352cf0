//! Which optional APIs the cluster serves, now: they are watched from when they appear until they are gone.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use kube::Client;
use observedapp_desired::Kind;
use tokio_util::task::AbortOnDropHandle;
use tracing::{info, warn};

use crate::queue::Queue;
use crate::watch::{self, Apps, Scope, Store, Synced};

/// The optional kinds that are served and whose objects are known.
#[derive(Debug, Default)]
pub struct Served(RwLock<BTreeSet<Kind>>);

impl Served {
    pub fn kinds(&self) -> BTreeSet<Kind> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether objects of this kind can exist and are known.
    pub fn contains(&self, kind: Kind) -> bool {
        !kind.is_optional()
            || self
                .0
                .read()
                .unwrap_or_else(PoisonError::into_inner)
                .contains(&kind)
    }

    fn set(&self, kind: Kind, served: bool) {
        let mut kinds = self.0.write().unwrap_or_else(PoisonError::into_inner);
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
                        self.begin(kind, &mut watches).await;
                    }
                    Ok(false) if watches.0.contains_key(&kind) => self.end(kind, &mut watches),
                    Ok(_) => {}
                    Err(error) => {
                        // An API server that does not answer says nothing about what it serves.
                        warn!(kind = kind.as_str(), %error, "cannot tell whether the API is served");
                    }
                }
            }
            if let Some(done) = first_round.take() {
                let _ = done.send(());
            }
            tokio::time::sleep(self.period).await;
        }
    }

    async fn is_served(&self, kind: Kind) -> kube::Result<bool> {
        let gvk = kind.gvk();
        let api_version = format!("{}/{}", gvk.group, gvk.version);
        match self.client.list_api_group_resources(&api_version).await {
            Ok(list) => Ok(list
                .resources
                .iter()
                .any(|resource| resource.name == kind.plural())),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn begin(&self, kind: Kind, watches: &mut Watches) {
        let mut tasks = Vec::new();
        for namespace in &self.scopes {
            let synced = Synced::default();
            let task = watch::follow_children(
                self.client.clone(),
                Scope {
                    kind,
                    namespace: namespace.clone(),
                },
                Arc::clone(&self.store),
                Arc::clone(&self.queue),
                synced.clone(),
            );
            tasks.push((AbortOnDropHandle::new(tokio::spawn(task)), synced));
        }
        for (_, synced) in &tasks {
            // A kind whose objects may not be read is as good as not served; the watch itself says why.
            if tokio::time::timeout(Duration::from_secs(10), synced.wait())
                .await
                .is_err()
            {
                return;
            }
        }
        watches
            .0
            .insert(kind, tasks.into_iter().map(|(task, _)| task).collect());
        self.served.set(kind, true);
        info!(kind = kind.as_str(), "the cluster serves this API");
        self.ask_all();
    }

    fn end(&self, kind: Kind, watches: &mut Watches) {
        watches.0.remove(&kind);
        self.served.set(kind, false);
        for namespace in &self.scopes {
            let scope = Scope {
                kind,
                namespace: namespace.clone(),
            };
            watch::forget_kind(&scope, &self.store, &self.queue);
        }
        info!(kind = kind.as_str(), "the cluster serves this API no more");
        self.ask_all();
    }

    fn ask_all(&self) {
        self.apps.ask_all(&self.queue);
    }
}

/// The watches of optional kinds; they end when they are dropped.
#[derive(Default)]
struct Watches(HashMap<Kind, Vec<AbortOnDropHandle<()>>>);

impl std::fmt::Debug for Discovery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Discovery")
            .field("scopes", &self.scopes)
            .finish_non_exhaustive()
    }
}
