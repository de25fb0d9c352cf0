//! Whether the process lives, and whether it should be sent requests.

use std::time::Duration;

use axum::extract::State;
use axum::response::Response;

use super::{Problem, message};
use crate::state::AppState;

/// A probe that takes longer than this says no: whoever probes waits a second, most often.
const PROBE_TIMEOUT: Duration = Duration::from_millis(900);

pub(super) async fn alive() -> Response {
    message("alive")
}

pub(super) async fn ready(State(state): State<AppState>) -> Result<Response, Problem> {
    if state.is_draining() {
        return Err(Problem::Draining);
    }
    match tokio::time::timeout(PROBE_TIMEOUT, state.store()?.probe()).await {
        Ok(answer) => answer?,
        Err(_) => return Err(Problem::DatabaseUnavailable),
    }
    Ok(message("ready"))
}
