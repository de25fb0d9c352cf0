//! The operator's life: wait for the lease, watch, reconcile, give the lease up.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::channel::mpsc::UnboundedReceiver;
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::Api;
use kube::runtime::controller::{self, Action, Config};
use kube::runtime::reflector::ObjectRef;
use kube::{Client, runtime};
use observedapp_desired::Kind;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::{error, info};

use crate::client::observed_client;
use crate::context::{AppCaches, Context};
use crate::discovery::{Discovery, Served};
use crate::events::Reporter;
use crate::leader::{Candidate, Leadership, LeaseTiming};
use crate::metrics::Metrics;
use crate::prometheus::{Poller, Prometheus};
use crate::queue::Queue;
use crate::references::References;
use crate::server::{self, Health};
use crate::watch::{self, Apps, IngressClasses, Pods, Scope, Store, Synced};
use crate::{App, RunOptions, reconcile};

/// How long reconciles that are under way may take to end.
const GRACE: Duration = Duration::from_secs(15);

/// Why the operator cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error("no cluster to work on: {0}; give a kubeconfig with KUBECONFIG, or run in a pod")]
    NoCluster(#[source] Box<kube::config::InferConfigError>),
    #[error("the connection to the cluster cannot be set up: {0}")]
    Client(#[source] Box<kube::Error>),
    #[error("cannot listen on {address}: {source}; choose another address with --listen")]
    Listen {
        address: SocketAddr,
        source: std::io::Error,
    },
    #[error("signals cannot be received: {0}")]
    Signals(#[from] std::io::Error),
    #[error("the reconcile loop has ended by itself; this is a bug")]
    LoopEnded,
}

/// How often things are done; the defaults are right outside of tests.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    pub lease: LeaseTiming,
    /// How often an app that asked for nothing is looked at again.
    pub resync: Duration,
    /// How often the cluster is asked for its optional APIs.
    pub discovery: Duration,
    /// How often Prometheus is asked while nothing changes.
    pub poll: Duration,
    /// How soon after a change it is asked.
    pub soon: Duration,
    /// How long the API server may send nothing to who waits for it. A watch hears of it every minute, and ends within
    /// five; a server or a connection that hangs would be waited for without an end.
    pub silence: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            lease: LeaseTiming::default(),
            resync: Duration::from_mins(10),
            discovery: Duration::from_secs(30),
            poll: Duration::from_secs(15),
            soon: Duration::from_secs(5),
            silence: Duration::from_mins(5),
        }
    }
}

/// An operator that is ready to run.
#[derive(Debug)]
pub struct Operator {
    options: RunOptions,
    config: kube::Config,
    timing: Timing,
}

impl Operator {
    pub fn new(options: RunOptions, config: kube::Config) -> Self {
        Self {
            options,
            config,
            timing: Timing::default(),
        }
    }

    #[must_use]
    pub fn timing(mut self, timing: Timing) -> Self {
        self.timing = timing;
        self
    }

    /// Runs until it is told to stop. A lost lease ends only the work under it: then it stands by again.
    pub async fn run(self, stop: CancellationToken) -> Result<(), RunError> {
        let Self {
            options,
            mut config,
            timing,
        } = self;
        // Failures are told to the caller at once: waiting is decided per app, where it can be seen.
        config.default_retry = false;
        config.read_timeout = config.read_timeout.or(Some(timing.silence));
        config.reset_reader_on_write = true;
        let metrics = Arc::new(Metrics::default());
        let client = observed_client(config, metrics.requests.clone())
            .map_err(|error| RunError::Client(Box::new(error)))?;
        let listen = options.listen;
        let replica = Replica {
            options,
            timing,
            client,
            metrics,
            health: Arc::new(Health::new()),
        };
        let listener = server::listen(listen).await.map_err(|source| RunError::Listen {
            address: listen,
            source,
        })?;
        // The port may have been left to the kernel.
        let listen = listener.local_addr().unwrap_or(listen);
        let serving = CancellationToken::new();
        let server = AbortOnDropHandle::new(tokio::spawn(server::serve(
            listener,
            Arc::clone(&replica.metrics),
            Arc::clone(&replica.health),
            serving.clone(),
        )));
        info!(version = env!("CARGO_PKG_VERSION"), %listen, namespaces = ?replica.options.namespaces, "started");

        let outcome = tokio::select! {
            outcome = replica.work(&stop) => outcome,
            () = heartbeat(&replica.health) => Ok(()),
        };
        serving.cancel();
        let _ = tokio::time::timeout(Duration::from_secs(2), server).await;
        info!("stopped");
        outcome
    }
}

/// Says that the runtime turns; it never ends.
async fn heartbeat(health: &Health) {
    loop {
        health.heartbeat();
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Says whether apps wait for their turn; it never ends.
async fn track_queue(queue: &Queue, health: &Health) {
    loop {
        if queue.depth() > 0 {
            health.queue_stalled();
        } else {
            health.progress();
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// What a replica has for as long as it lives, whether it leads or not.
struct Replica {
    options: RunOptions,
    timing: Timing,
    client: Client,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
}

impl Replica {
    async fn work(&self, stop: &CancellationToken) -> Result<(), RunError> {
        let Self {
            options,
            timing,
            client,
            metrics,
            health,
            ..
        } = self;
        if !options.leader_elect {
            metrics.leader.set(1);
            return self.lead_apps(Arc::new(Leadership::always()), stop).await;
        }
        let candidate = Candidate {
            api: Api::<Lease>::namespaced(client.clone(), &options.leader_elect_namespace),
            name: options.leader_elect_name.clone(),
            identity: options.identity.clone(),
            timing: timing.lease,
        };
        // Who stands by is ready: it is all that is asked of it.
        health.set_ready();
        loop {
            let lead = Arc::new(Leadership::none());
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = candidate.acquire(&lead) => {}
            }
            metrics.leader.set(1);
            let work = self.lead_apps(Arc::clone(&lead), stop);
            let outcome = tokio::select! {
                () = candidate.keep(&lead) => None,
                outcome = work => Some(outcome),
            };
            metrics.leader.set(0);
            metrics.apps.clear();
            health.progress();
            if let Some(outcome) = outcome {
                candidate.release(&lead).await;
                return outcome;
            }
        }
    }

    /// Watches and reconciles; dropping it ends all watches and all that is under way.
    async fn lead_apps(&self, lead: Arc<Leadership>, stop: &CancellationToken) -> Result<(), RunError> {
        let Self {
            options,
            timing,
            client,
            metrics,
            health,
        } = self;
        let scopes: Vec<Option<Arc<str>>> = if options.namespaces.is_empty() {
            vec![None]
        } else {
            options
                .namespaces
                .iter()
                .map(|namespace| Some(namespace.as_str().into()))
                .collect()
        };
        let prometheus = options.prometheus();
        let (queue, requests) = Queue::new();
        let queue = Arc::new(queue);
        let apps = Arc::new(Apps::new(scopes.len()));
        let context = Arc::new(Context {
            client: client.clone(),
            settings: options.settings(),
            reads_cluster: options.namespaces.is_empty(),
            lead,
            apps: apps.store(),
            store: Arc::new(Store::default()),
            pods: Arc::new(Pods::default()),
            ingress_classes: Arc::new(IngressClasses::default()),
            served: Arc::new(Served::default()),
            queue: Arc::clone(&queue),
            metrics: Arc::clone(metrics),
            events: Reporter::new(client.clone(), options.identity.clone()),
            references: References::default(),
            prometheus: Arc::new(Prometheus::new(prometheus.clone())),
            caches: AppCaches::default(),
            resync: timing.resync,
        });

        let poller = Poller {
            client: client.clone(),
            prometheus: Arc::clone(&context.prometheus),
            apps: Arc::clone(&apps),
            queue: Arc::clone(&queue),
            metrics: Arc::clone(metrics),
            settings: prometheus,
            access: options.prometheus_access(),
            period: timing.poll,
            soon: timing.soon,
        };
        let mut tasks = JoinSet::new();
        let synced = spawn_watches(&context, &apps, &scopes, &mut tasks);
        let (discovered, first_round) = tokio::sync::oneshot::channel();
        let discovery = Discovery {
            client: client.clone(),
            scopes,
            served: Arc::clone(&context.served),
            store: Arc::clone(&context.store),
            apps: Arc::clone(&apps),
            queue: Arc::clone(&queue),
            period: timing.discovery,
        };
        tasks.spawn(discovery.run(discovered));

        let ready = async {
            for synced in synced {
                synced.wait().await;
            }
            let _ = first_round.await;
            poller.look_once().await;
            poller
        };
        let poller = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            poller = ready => poller,
        };
        tasks.spawn(poller.run());
        health.set_ready();
        info!(apps = context.apps.len(), "everything is known; reconciling");
        tokio::select! {
            () = reconcile_all(options, &context, health, requests, stop) => {}
            () = track_queue(&queue, health) => {}
            Some(ended) = tasks.join_next() => {
                error!(?ended, "a watch has ended by itself");
                return Err(RunError::LoopEnded);
            }
        }
        if stop.is_cancelled() {
            Ok(())
        } else {
            Err(RunError::LoopEnded)
        }
    }
}

/// Starts every watch that does not depend on an optional API.
fn spawn_watches(
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
            tasks.spawn(watch::watch_children(
                client.clone(),
                scope,
                Arc::clone(&context.store),
                Arc::clone(queue),
                next(),
            ));
        }
        tasks.spawn(watch::watch_pods(
            client.clone(),
            namespace.clone(),
            Arc::clone(&context.pods),
            Arc::clone(queue),
            next(),
        ));
        tasks.spawn(watch::watch_apps(
            client.clone(),
            namespace.clone(),
            Arc::clone(apps),
            Arc::clone(queue),
        ));
    }
    if scopes.iter().all(Option::is_none) {
        tasks.spawn(watch::watch_ingress_classes(
            client.clone(),
            Arc::clone(&context.ingress_classes),
            Arc::clone(apps),
            Arc::clone(queue),
        ));
    }
    synced
}

/// Reconciles until it is told to stop, and then lets what is under way end.
async fn reconcile_all(
    options: &RunOptions,
    context: &Arc<Context>,
    health: &Health,
    requests: UnboundedReceiver<ObjectRef<App>>,
    stop: &CancellationToken,
) {
    let requests = requests
        .map(Ok::<_, std::convert::Infallible>)
        .take_until(stop.clone().cancelled_owned());
    let results = runtime::applier(
        |app: Arc<App>, context: Arc<Context>| {
            // A task of its own uses every core, and its panic is its own.
            AbortOnDropHandle::new(tokio::spawn(reconcile::reconcile(app, context)))
        },
        |app, error: &JoinError, _| {
            error!(app = %ObjectRef::from_obj(&*app), %error, "a reconcile has panicked; this is a bug");
            Action::requeue(Duration::from_mins(1))
        },
        Arc::clone(context),
        context.apps.clone(),
        requests.into_stream(),
        Config::default().concurrency(options.concurrency),
    );
    let all = results.for_each(|result| async {
        health.progress();
        context
            .metrics
            .depth
            .set(i64::try_from(context.queue.depth()).unwrap_or(i64::MAX));
        if let Err(controller::Error::ObjectNotFound(gone)) = result {
            context
                .forget(gone.namespace.as_deref().unwrap_or_default(), &gone.name)
                .await;
        }
    });
    let patience = async {
        stop.cancelled().await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        () = all => {}
        () = patience => info!("reconciles that are still under way are cut short"),
    }
}
