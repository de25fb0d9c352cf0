//! What is for the operators of the service, not for its users; neither counted nor logged.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use axum::{Json, Router};

use super::{Problem, body};
use crate::faults::Faults;
use crate::state::AppState;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The routes of the metrics port.
pub fn router(state: AppState, faults: bool) -> Router {
    let mut router = Router::new().route("/metrics", get(metrics));
    if faults {
        router = router.route("/faults", put(set_faults).get(show_faults));
    }
    router.with_state(state)
}

async fn metrics(State(state): State<AppState>) -> Response {
    match state.metrics.encode() {
        Ok(text) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(_) => Problem::Internal.into_response(),
    }
}

async fn set_faults(State(state): State<AppState>, request: Request<Body>) -> Result<Json<Faults>, Problem> {
    let body = body::read(request, state.body_timeout).await?;
    state
        .faults
        .set(Faults::parse(&body).map_err(Problem::BadFaults)?);
    Ok(Json(state.faults.get()))
}

async fn show_faults(State(state): State<AppState>) -> Json<Faults> {
    Json(state.faults.get())
}
