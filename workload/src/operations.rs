//! What is for the operators of the service, not for its users; neither counted nor logged.

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};

use crate::api::{self, Problem, json};
use crate::faults::Faults;
use crate::service::Service;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The routes of the metrics port.
pub fn router(service: &'static Service, faults: bool) -> Router {
    let mut router = Router::new().route("/metrics", get(metrics));
    if faults {
        router = router.route("/faults", put(set_faults).get(show_faults));
    }
    router.with_state(service)
}

async fn metrics(State(service): State<&'static Service>) -> Response {
    match service.metrics.encode() {
        Some(text) => (StatusCode::OK, [(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        None => Problem::Internal.into_response(),
    }
}

async fn set_faults(
    State(service): State<&'static Service>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let body = api::read_body(request, service.body_timeout).await?;
    service
        .faults
        .set(Faults::parse(&body).map_err(Problem::BadFaults)?);
    Ok(show(service.faults.get()))
}

async fn show_faults(State(service): State<&'static Service>) -> Response {
    show(service.faults.get())
}

fn show(faults: Faults) -> Response {
    json(StatusCode::OK, serde_json::json!(faults).to_string())
}
