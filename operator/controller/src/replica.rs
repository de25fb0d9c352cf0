//! One replica of the operator: while it has the lease it watches and reconciles.

use std::sync::Arc;
use std::time::Duration;

use futures::channel::mpsc::UnboundedReceiver;
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::Api;
use kube::runtime::controller::{self, Action, Config};
use kube::runtime::reflector::ObjectRef;
use kube::{Client, runtime};
use observedapp_api::AppRef;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::{error, info};

use crate::context::{AppCaches, Context};
use crate::discovery::{Discovery, Served};
use crate::events::Reporter;
use crate::leader::{Candidate, Leadership};
use crate::metrics::Metrics;
use crate::prometheus::{Poller, Prometheus};
use crate::queue::Queue;
use crate::references::References;
use crate::run_error::RunError;
use crate::server::Health;
use crate::timing::Timing;
use crate::watch::{Apps, Gateways, IngressClasses, Pods, Store};
use crate::{App, RunOptions, reconcile, watches};

/// How long reconciles that are under way may take to end.
const GRACE: Duration = Duration::from_secs(15);

/// What a replica has for as long as it lives, whether it leads or not.
pub struct Replica {
    pub options: RunOptions,
    pub timing: Timing,
    pub client: Client,
    pub metrics: Arc<Metrics>,
    pub health: Arc<Health>,
}

impl Replica {
    pub async fn work(&self, stop: &CancellationToken) -> Result<(), RunError> {
        let (options, metrics) = (&self.options, &self.metrics);
        if !options.leader_elect {
            metrics.leader.set(1);
            return self.lead(Arc::new(Leadership::always()), stop).await;
        }
        let candidate = Candidate {
            api: Api::<Lease>::namespaced(self.client.clone(), &options.leader_elect_namespace),
            name: options.leader_elect_name.clone(),
            identity: options.identity.clone(),
            timing: self.timing.lease,
        };
        // A replica that waits for the lease is ready.
        self.health.set_ready();
        loop {
            let leadership = Arc::new(Leadership::none());
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = candidate.acquire(&leadership) => {}
            }
            metrics.leader.set(1);
            let work = self.lead(Arc::clone(&leadership), stop);
            let outcome = tokio::select! {
                () = candidate.keep(&leadership) => None,
                outcome = work => Some(outcome),
            };
            metrics.leader.set(0);
            metrics.apps.clear();
            self.health.progress();
            if let Some(outcome) = outcome {
                candidate.release(&leadership).await;
                return outcome;
            }
        }
    }

    /// Watches and reconciles; dropping it ends all watches and all that is under way.
    async fn lead(&self, leadership: Arc<Leadership>, stop: &CancellationToken) -> Result<(), RunError> {
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
            leadership,
            apps: apps.store(),
            store: Arc::new(Store::default()),
            pods: Arc::new(Pods::default()),
            ingress_classes: Arc::new(IngressClasses::default()),
            gateways: Arc::new(Gateways::default()),
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
        let synced = watches::spawn(&context, &apps, &scopes, &mut tasks);
        let (discovered, first_round) = tokio::sync::oneshot::channel();
        let discovery = Discovery {
            client: client.clone(),
            scopes,
            served: Arc::clone(&context.served),
            store: Arc::clone(&context.store),
            gateways: Arc::clone(&context.gateways),
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
            poller.find_instances().await;
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

/// Reconciles until it is stopped, and then lets the reconciles in progress end.
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
                .forget(&AppRef::new(gone.namespace.unwrap_or_default(), gone.name))
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
