//! The operator's process: its endpoints, and the work of its replica.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::info;

use crate::RunOptions;
use crate::client::observed_client;
use crate::metrics::Metrics;
use crate::replica::Replica;
use crate::run_error::RunError;
use crate::server::{self, Health};
use crate::timing::Timing;

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

    /// Runs until it is stopped. A lost lease ends only the work under it: then it waits for the lease again.
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
