//! The service from its start to its orderly end.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing_appender::non_blocking::ErrorCounter;

use crate::api;
use crate::cache::Cache;
use crate::config::Config;
use crate::faults::Faults;
use crate::server;
use crate::store::{Store, StoreError};
use crate::telemetry::Metrics;

/// What the handlers share.
pub(crate) type AppState = Arc<Shared>;

pub(crate) struct Shared {
    /// Empty until the database has been reached.
    store: OnceLock<Store>,
    pub(crate) cache: Option<Cache>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) faults: watch::Sender<Faults>,
    pub(crate) body_timeout: Duration,
    /// From then on `/readyz` says no, so that no new requests come.
    pub(crate) draining: CancellationToken,
}

impl Shared {
    pub(crate) fn store(&self) -> Result<&Store, StoreError> {
        let starting = || StoreError::Unavailable("not connected yet".to_owned());
        self.store.get().ok_or_else(starting)
    }
}

/// Serves until a signal asks for the end, or says in one line why it cannot. SIGTERM drains as a rollout needs it;
/// SIGINT, from a person at a terminal, does without the delay.
pub async fn run(config: &Config, dropped_lines: ErrorCounter) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let database = config.database()?;
    let metrics = Arc::new(Metrics::new(config.db_pool_size, dropped_lines));
    let cache = config.redis_url.as_ref().filter(|url| !url.is_empty());
    let cache = cache.map(|url| Cache::start(url, config, Arc::clone(&metrics)));
    let state = Arc::new(Shared {
        store: OnceLock::new(),
        cache: cache.transpose()?,
        metrics,
        faults: watch::Sender::new(config.faults_at_start()?),
        body_timeout: config.body_timeout,
        draining: CancellationToken::new(),
    });
    let closing = CancellationToken::new();

    // The ports open before the database is there: who asks hears that the service lives but is not ready.
    let servers = listen(config, &state, &closing).await?;
    let connect = async {
        let store = Store::open(&database, config, Arc::clone(&state.metrics)).await?;
        let _ = state.store.set(store);
        std::future::pending::<anyhow::Result<()>>().await
    };
    let delay = tokio::select! {
        failed = connect => return failed,
        _ = terminate.recv() => config.drain_delay,
        _ = interrupt.recv() => Duration::ZERO,
    };

    tracing::info!(delay = delay.as_secs_f64(), "draining");
    state.draining.cancel();
    let drained = async {
        tokio::time::sleep(delay).await;
        closing.cancel();
        tokio::time::timeout(config.drain_timeout, servers.join_all()).await
    };
    let drained = tokio::select! {
        drained = drained => drained.is_ok(),
        // Asked again: at once.
        _ = terminate.recv() => false,
        _ = interrupt.recv() => false,
    };
    if drained {
        tracing::info!("stopped");
    } else {
        tracing::warn!("stopped before every request was finished; DRAIN_TIMEOUT gives them more time");
    }
    Ok(())
}

/// Opens the ports and serves them.
async fn listen(
    config: &Config,
    state: &AppState,
    closing: &CancellationToken,
) -> anyhow::Result<JoinSet<()>> {
    let serve = |listener, router| server::serve(listener, router, config.clone(), closing.clone());
    let mut api = api::router(state.clone());
    let operations = api::operations(state.clone(), config.faults);
    let listener = server::bind(config.listen_address, config.port, "PORT").await?;
    let address = listener.local_addr()?;
    tracing::info!(port = address.port(), address = %address.ip(), "listening");
    let mut servers = JoinSet::new();
    if config.port == config.metrics_port && config.port != 0 {
        api = api.merge(operations);
    } else {
        let listener = server::bind(config.listen_address, config.metrics_port, "METRICS_PORT").await?;
        let address = listener.local_addr()?;
        tracing::info!(port = address.port(), address = %address.ip(), "listening for metrics");
        servers.spawn(serve(listener, operations));
    }
    servers.spawn(serve(listener, api));
    Ok(servers)
}
