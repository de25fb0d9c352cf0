//! What is for those who operate the service, not for its users.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use axum::{Json, Router};

use super::{Problem, body, message};
use crate::faults::Faults;
use crate::run::AppState;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A probe that takes longer than this says no: whoever probes waits a second, most often.
const PROBE_TIMEOUT: Duration = Duration::from_millis(900);

/// The routes of the metrics port, which are neither counted nor logged.
pub(crate) fn router(state: AppState, faults: bool) -> Router {
    let mut router = Router::new().route("/metrics", get(metrics));
    if faults {
        router = router.route("/faults", put(set_faults));
    }
    router.with_state(state)
}

/// Whether the process lives; where it does not, Kubernetes restarts it.
pub(super) async fn alive() -> Response {
    message("alive")
}

/// Whether requests may come; until they may, Kubernetes sends none.
pub(super) async fn ready(State(state): State<AppState>) -> Result<Response, Problem> {
    if state.draining.is_cancelled() {
        return Err(Problem::Draining);
    }
    let probe = tokio::time::timeout(PROBE_TIMEOUT, state.store()?.probe());
    probe.await.map_err(|_| Problem::DatabaseUnavailable)??;
    Ok(message("ready"))
}

async fn metrics(State(state): State<AppState>) -> Response {
    match state.metrics.encode(state.store().ok()) {
        Ok(text) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(_) => Problem::Internal.into_response(),
    }
}

async fn set_faults(State(state): State<AppState>, request: Request) -> Result<Json<Faults>, Problem> {
    let body = body::read(request, state.body_timeout).await?;
    let faults = Faults::parse(&body).map_err(Problem::BadFaults)?;
    tracing::warn!(?faults, "faults set");
    state.faults.send_replace(faults);
    Ok(Json(faults))
}
