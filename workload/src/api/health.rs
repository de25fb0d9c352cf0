//! Whether the process lives, and whether it should be sent requests.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::Problem;
use super::answer::message;
use crate::service::Service;

/// A probe that takes longer than this says no: whoever probes waits a second, most often.
const PROBE_TIMEOUT: Duration = Duration::from_millis(900);

pub(super) async fn alive() -> Response {
    message(StatusCode::OK, "alive")
}

pub(super) async fn ready(State(service): State<&'static Service>) -> Result<Response, Problem> {
    if service.is_draining() {
        return Err(Problem::Draining);
    }
    match tokio::time::timeout(PROBE_TIMEOUT, service.store()?.probe()).await {
        Ok(answer) => answer?,
        Err(_) => return Err(Problem::DatabaseUnavailable),
    }
    Ok(message(StatusCode::OK, "ready"))
}
