//! The service from its start to its orderly end.

use std::convert::Infallible;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing_appender::non_blocking::ErrorCounter;

use crate::api;
use crate::cache::Cache;
use crate::config::Config;
use crate::faults::FaultSwitch;
use crate::server::{self, BindError, Limits};
use crate::state::{AppState, Phase, Shared};
use crate::store::{ConnectError, Store, StoreOptions};
use crate::telemetry::Metrics;

/// Why the service stopped, or never started; one line for the person who must mend it.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error("{0}")]
    Config(String),
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("cannot wait for signals: {0}")]
    Signals(std::io::Error),
}

/// Serves until a signal asks for the end. SIGTERM drains as a rollout needs it; SIGINT, from a
/// person at a terminal, does without the delay.
pub async fn run(config: &Config, dropped_lines: ErrorCounter) -> Result<(), RunError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(RunError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(RunError::Signals)?;
    let options = StoreOptions {
        url: config.database().map_err(RunError::Config)?,
        pool_size: u32::from(config.db_pool_size),
        deadline: config.db_timeout,
    };
    let (set_phase, phase) = watch::channel(Phase::Serving);
    let state = state(config, &options, dropped_lines, phase.clone())?;

    // The ports open before the database is there: who asks hears that the service lives but is not ready.
    let servers = listen(config, &state, phase).await?;
    let delay = tokio::select! {
        error = connect(config, &options, &state) => {
            let Err(error) = error;
            return Err(error.into());
        }
        _ = terminate.recv() => config.drain_delay,
        _ = interrupt.recv() => Duration::ZERO,
    };

    tracing::info!(delay = delay.as_secs_f64(), "draining");
    set_phase.send_replace(Phase::Draining);
    let drained = async {
        tokio::time::sleep(delay).await;
        set_phase.send_replace(Phase::Closing);
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

fn state(
    config: &Config,
    options: &StoreOptions,
    dropped_lines: ErrorCounter,
    phase: watch::Receiver<Phase>,
) -> Result<AppState, RunError> {
    let store = Arc::new(OnceLock::new());
    let metrics = Metrics::new(Arc::clone(&store), options.pool_size, dropped_lines);
    let cache = match config.cache().map_err(RunError::Config)? {
        Some(options) => Some(
            Cache::start(options, metrics.cache.clone())
                .map_err(|error| RunError::Config(format!("REDIS_URL: {error}")))?,
        ),
        None => None,
    };
    Ok(AppState::new(Shared {
        store,
        cache,
        metrics,
        faults: FaultSwitch::default(),
        phase,
        body_timeout: config.body_timeout,
    }))
}

/// Opens the ports and serves them.
async fn listen(
    config: &Config,
    state: &AppState,
    phase: watch::Receiver<Phase>,
) -> Result<JoinSet<()>, BindError> {
    let limits = Limits {
        header_timeout: config.header_timeout,
        write_timeout: config.write_timeout,
        max_connections: config.max_connections as usize,
    };
    let api = api::router(state.clone());
    let operations = api::operations(state.clone(), config.faults);
    let listener = server::bind(config.listen_address, config.port, "PORT").await?;
    log_port("listening", &listener);
    let mut servers = JoinSet::new();
    if config.one_port() {
        servers.spawn(server::serve(listener, api.merge(operations), limits, phase));
    } else {
        let metrics = server::bind(config.listen_address, config.metrics_port, "METRICS_PORT").await?;
        log_port("listening for metrics", &metrics);
        servers.spawn(server::serve(listener, api, limits, phase.clone()));
        servers.spawn(server::serve(metrics, operations, limits, phase));
    }
    Ok(servers)
}

/// Reaches the database; comes back only if that fails for good.
async fn connect(
    config: &Config,
    options: &StoreOptions,
    state: &AppState,
) -> Result<Infallible, ConnectError> {
    let store = Store::open(
        options,
        config.db_connect_attempts,
        config.db_connect_delay,
        state.metrics.database.clone(),
    )
    .await?;
    let _ = state.store.set(store);
    std::future::pending().await
}

fn log_port(message: &str, listener: &TcpListener) {
    match listener.local_addr() {
        Ok(address) => tracing::info!(port = address.port(), address = %address.ip(), "{message}"),
        Err(error) => tracing::warn!(%error, "{message}"),
    }
}
