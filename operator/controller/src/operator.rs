//! The operator's process: its endpoints, and the work of its replica.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::info;

use crate::RunOptions;
use crate::client::observed_client;
use crate::leader::LeaseTiming;
use crate::metrics::Metrics;
use crate::replica::Replica;
use crate::server::{self, Health};

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
    /// How often an app is reconciled for which nothing has changed.
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

    /// Runs until it is told to stop. A lost lease ends only the work under it: then it waits for the lease again.
    pub async fn run(self, stop: CancellationToken) -> Result<(), RunError> {
        let Self {
            options,
            mut config,
            timing,
        } = self;
        // No request is repeated by the client: when an app is tried again is decided in one place.
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

/// Records that the runtime makes progress; it never ends.
async fn heartbeat(health: &Health) {
    loop {
        health.heartbeat();
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
