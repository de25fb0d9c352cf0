//! `/metrics`, `/healthz`, `/readyz`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;

/// How long the loop may be silent before the process is taken for stuck.
const STUCK_AFTER: Duration = Duration::from_mins(1);

/// What the probes ask about.
#[derive(Debug)]
pub struct Health {
    started: Instant,
    /// Milliseconds after `started` at which the loop last turned.
    last_turn: AtomicU64,
    ready: AtomicBool,
}

impl Health {
    pub fn new() -> Self {
        Self {
            started: Instant::now(),
            last_turn: AtomicU64::new(0),
            ready: AtomicBool::new(false),
        }
    }

    /// The loop turns.
    pub fn turn(&self) {
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_turn.store(now, Ordering::Relaxed);
    }

    pub fn set_ready(&self) {
        self.ready.store(true, Ordering::Relaxed);
    }

    fn is_alive(&self) -> bool {
        let last = Duration::from_millis(self.last_turn.load(Ordering::Relaxed));
        self.started.elapsed().saturating_sub(last) < STUCK_AFTER
    }
}

type Shared = (Arc<Metrics>, Arc<Health>);

/// Serves until it is told to stop.
pub async fn serve(
    listener: TcpListener,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
    stop: CancellationToken,
) {
    let router = Router::new()
        .route("/metrics", get(show_metrics))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .with_state((metrics, health));
    let served = axum::serve(listener, router)
        .with_graceful_shutdown(stop.cancelled_owned())
        .await;
    if let Err(error) = served {
        tracing::error!(%error, "the metrics and health endpoint has ended");
    }
}

/// Opens the port before anything else is done, so that one that is taken is told at once.
pub async fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(address).await
}

async fn show_metrics(State((metrics, _)): State<Shared>) -> Response {
    match metrics.text() {
        Ok(text) => (
            [(
                header::CONTENT_TYPE,
                "application/openmetrics-text; version=1.0.0; charset=utf-8",
            )],
            text,
        )
            .into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn healthz(State((_, health)): State<Shared>) -> Response {
    if health.is_alive() {
        "ok".into_response()
    } else {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            "the loop has not turned for a minute",
        )
            .into_response()
    }
}

async fn readyz(State((_, health)): State<Shared>) -> Response {
    if health.ready.load(Ordering::Relaxed) {
        "ok".into_response()
    } else {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            "the API server has not answered yet",
        )
            .into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_that_is_stuck_is_noticed_and_one_that_turns_is_not() {
        let now = Instant::now();
        // A machine that was started just now has no earlier time: then there is nothing to be late for.
        let Some(started) = now.checked_sub(2 * STUCK_AFTER) else {
            return;
        };
        let health = Health {
            started,
            ..Health::new()
        };
        assert!(!health.is_alive());
        health.turn();
        assert!(health.is_alive());
    }
}
