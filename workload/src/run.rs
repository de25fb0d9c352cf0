//! The service from its start to its orderly end.

use std::convert::Infallible;
use std::sync::{Arc, OnceLock};

use axum::Router;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::api;
use crate::cache::Cache;
use crate::config::Config;
use crate::drain::Phase;
use crate::faults::FaultSwitch;
use crate::observe::Observe;
use crate::operations;
use crate::server::{self, BindError, Limits};
use crate::service::Service;
use crate::store::{ConnectError, Store, StoreOptions};
use crate::telemetry::{LogSink, Metrics};

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
pub async fn run(config: &Config, logs: LogSink) -> Result<(), RunError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(RunError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(RunError::Signals)?;
    let options = StoreOptions {
        url: config.database().map_err(RunError::Config)?,
        pool_size: usize::from(config.db_pool_size),
        deadline: config.db_timeout,
    };

    let traces = config
        .traces
        .start("tasks", env!("CARGO_PKG_VERSION"))
        .map_err(RunError::Config)?;
    let cache = config.cache().map_err(RunError::Config)?;

    let store = Arc::new(OnceLock::new());
    let metrics = Metrics::new(
        &api::ENDPOINTS,
        Arc::clone(&store),
        options.pool_size,
        logs,
        traces.clone(),
    );
    let (set_phase, phase) = watch::channel(Phase::Serving);
    // For as long as the process: each request would count its users up and down, and all cores do that at one place.
    let service: &'static Service = Box::leak(Box::new(Service {
        store,
        cache: cache.map(|options| Cache::start(options, metrics.cache.clone())),
        metrics,
        traces,
        faults: FaultSwitch::default(),
        phase: phase.clone(),
        body_timeout: config.body_timeout,
    }));

    // The ports open before the database is there: who asks is told that the service lives but is not ready.
    let limits = Limits {
        header_timeout: config.header_timeout,
        max_connections: config.max_connections as usize,
    };
    let api = observed(service);
    let operations = operations::router(service, config.faults);
    let listener = server::bind(config.listen_address, config.port, "PORT").await?;
    log_port("listening", &listener);
    let mut servers = tokio::task::JoinSet::new();
    if config.one_port() {
        servers.spawn(server::serve(listener, api.merge(operations), limits, phase));
    } else {
        let metrics = server::bind(config.listen_address, config.metrics_port, "METRICS_PORT").await?;
        log_port("listening for metrics", &metrics);
        servers.spawn(server::serve(listener, api, limits, phase.clone()));
        servers.spawn(server::serve(metrics, operations, limits, phase));
    }

    let delay = tokio::select! {
        error = connect(config, &options, service) => {
            let Err(error) = error;
            return Err(error.into());
        }
        _ = terminate.recv() => config.drain_delay,
        _ = interrupt.recv() => std::time::Duration::ZERO,
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
    service.traces.flush().await;
    if drained {
        tracing::info!("stopped");
    } else {
        tracing::warn!("stopped before every request was finished; DRAIN_TIMEOUT gives them more time");
    }
    Ok(())
}

/// Reaches the database; comes back only if that fails for good.
async fn connect(
    config: &Config,
    options: &StoreOptions,
    service: &Service,
) -> Result<Infallible, ConnectError> {
    let telemetry = service.metrics.database.clone();
    let store = Store::open(
        options,
        config.db_connect_attempts,
        config.db_connect_delay,
        telemetry,
    )
    .await?;
    let _ = service.store.set(store);
    std::future::pending().await
}

fn observed(service: &'static Service) -> Router {
    api::router(service).layer(Observe(service))
}

fn log_port(message: &str, listener: &tokio::net::TcpListener) {
    match listener.local_addr() {
        Ok(address) => tracing::info!(port = address.port(), address = %address.ip(), "{message}"),
        Err(error) => tracing::warn!(%error, "{message}"),
    }
}
