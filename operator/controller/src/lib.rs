//! The controller: observe, validate, build, apply, report. Everything that talks to a cluster or to Prometheus
//! is here; what should exist is decided by the pure crates below it.
//!
//! ```text
//!  watches ──▶ stores (identity, owner, digest of our fields) ──▶ queue ──▶ reconcile ──▶ apply, prune, status
//!     ▲                                                                        │
//!     └──────────────────────────── API server ◀───────────────────────────────┘
//! ```

mod apply;
mod client;
mod context;
mod digest;
mod discovery;
mod error;
mod events;
mod key;
mod leader;
mod logging;
mod measured;
mod metrics;
mod observe;
mod operator;
mod options;
mod pod_events;
mod prometheus;
mod queue;
mod reconcile;
mod references;
mod replica;
mod report;
mod request;
mod run_error;
mod server;
mod status;
mod timing;
mod traces;
mod watch;
mod watches;

pub use leader::LeaseTiming;
pub use logging::init_logging;
pub use metrics::{AppState, ErrorLabel, Metrics, RequestLabels, ResultLabel};
pub use operator::Operator;
pub use options::{LogFormat, RunOptions};
pub use run_error::RunError;
pub use timing::Timing;
pub use traces::Traces;

/// An app as it is watched: one that cannot be read is an object too, and starves no other.
type App = kube::core::DeserializeGuard<observedapp_api::ObservedApp>;

/// The API server's path to the oldest of the cluster's Prometheuses, if there is a Prometheus object.
pub async fn prometheus_path(client: &kube::Client) -> kube::Result<Option<String>> {
    let all = prometheus::list(client, &std::collections::BTreeSet::new()).await?;
    Ok(all.into_iter().next().map(|one| one.proxy_path))
}

/// Runs the operator against the cluster of the environment until SIGTERM or SIGINT.
pub async fn run(options: RunOptions) -> Result<(), RunError> {
    // Both the API server and Prometheus are spoken to with this one. It fails only if one was chosen already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let config = kube::Config::infer()
        .await
        .map_err(|error| RunError::NoCluster(Box::new(error)))?;
    let stop = tokio_util::sync::CancellationToken::new();
    let on_signal = stop.clone();
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        tracing::info!("asked to stop");
        on_signal.cancel();
    });
    Operator::new(options, config).run(stop).await
}
