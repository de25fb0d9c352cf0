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
use crate::reconcile::LIMIT;

/// How long the loop may be silent before the process is taken for stuck.
const STUCK_AFTER: Duration = Duration::from_mins(1);
/// How long apps may wait while no reconcile ends: two reconciles with an API server that hangs.
const STALLED_AFTER: Duration = LIMIT.saturating_mul(2);

/// What the probes ask about.
#[derive(Debug)]
pub struct Health {
    started: Instant,
    /// Milliseconds after `started` of the last heartbeat.
    last_heartbeat: AtomicU64,
    /// Milliseconds after `started` since which apps have waited and no reconcile has ended; 0 if none waits.
    waiting_since: AtomicU64,
    ready: AtomicBool,
}

impl Health {
    pub fn new() -> Self {
        Self {
            started: Instant::now(),
            last_heartbeat: AtomicU64::new(0),
            waiting_since: AtomicU64::new(0),
            ready: AtomicBool::new(false),
        }
    }

    /// The runtime makes progress.
    pub fn heartbeat(&self) {
        self.last_heartbeat.store(self.now(), Ordering::Relaxed);
    }

    /// Apps wait for their turn.
    pub fn queue_stalled(&self) {
        // Since when they do stays as it is.
        let _ = self
            .waiting_since
            .compare_exchange(0, self.now(), Ordering::Relaxed, Ordering::Relaxed);
    }

    /// A reconcile has ended, or no app waits for one.
    pub fn progress(&self) {
        self.waiting_since.store(0, Ordering::Relaxed);
    }

    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub fn set_ready(&self) {
        self.ready.store(true, Ordering::Relaxed);
    }

    /// What only a restart of the process can correct.
    fn trouble(&self) -> Option<&'static str> {
        let since = |moment: &AtomicU64| {
            let moment = Duration::from_millis(moment.load(Ordering::Relaxed));
            self.started.elapsed().saturating_sub(moment)
        };
        if since(&self.last_heartbeat) >= STUCK_AFTER {
            return Some("the runtime has made no progress for a minute");
        }
        let any_waits = self.waiting_since.load(Ordering::Relaxed) > 0;
        (any_waits && since(&self.waiting_since) >= STALLED_AFTER)
            .then_some("apps wait, and for six minutes no reconcile has ended")
    }
}

type Shared = (Arc<Metrics>, Arc<Health>);

/// Serves until it is stopped.
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

/// Opens the port before anything else is done, so that one in use is an error at once.
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
    match health.trouble() {
        None => "ok".into_response(),
        Some(trouble) => (StatusCode::SERVICE_UNAVAILABLE, trouble).into_response(),
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

    /// A process that was started so long ago; none on a machine that was itself started later.
    fn started(ago: Duration) -> Option<Health> {
        let started = Instant::now().checked_sub(ago)?;
        Some(Health {
            started,
            ..Health::new()
        })
    }

    #[test]
    fn a_loop_that_is_stuck_is_noticed_and_one_that_turns_is_not() {
        let Some(health) = started(2 * STUCK_AFTER) else {
            return;
        };
        assert!(health.trouble().is_some());
        health.heartbeat();
        assert_eq!(health.trouble(), None);
    }

    #[test]
    fn apps_that_wait_while_none_is_looked_at_are_noticed() {
        let Some(health) = started(2 * STALLED_AFTER) else {
            return;
        };
        health.heartbeat();
        assert_eq!(health.trouble(), None, "nobody waits");
        health.waiting_since.store(1, Ordering::Relaxed);
        health.queue_stalled();
        let trouble = health.trouble().unwrap_or_default();
        assert!(trouble.contains("no reconcile has ended"), "{trouble:?}");
        health.progress();
        health.queue_stalled();
        assert_eq!(health.trouble(), None, "a reconcile has just ended");
    }
}
