//! The HTTP API: its routes, and what each does.

mod body;
mod health;
mod operations;
mod problem;
mod tasks;

use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use axum::{Json, Router, middleware};
use serde_json::json;

use crate::observe::observe;
use crate::state::AppState;

pub use self::operations::router as operations;
pub use self::problem::Problem;

pub const ROOT: &str = "/";
pub const TASKS: &str = "/tasks";
pub const TASK: &str = "/tasks/{id}";
/// The routes that fail on purpose when they are asked to.
pub const TASK_ROUTES: [&str; 2] = [TASKS, TASK];
pub const HEALTHZ: &str = "/healthz";
pub const READYZ: &str = "/readyz";
pub const OPENAPI: &str = "/openapi.json";

/// What the API offers, for programs and people.
pub const OPENAPI_DOCUMENT: &str = include_str!("openapi.json");

/// A method of a route that the service offers, with the codes it is known to answer: its series exist, at zero, from
/// the start, so that the first failure is an increase from 0 and not a series that was never there.
#[derive(Debug, Clone, Copy)]
pub struct Endpoint {
    pub method: &'static str,
    pub route: &'static str,
    pub codes: &'static [u16],
}

const fn endpoint(method: &'static str, route: &'static str, codes: &'static [u16]) -> Endpoint {
    Endpoint { method, route, codes }
}

/// Everything that the API offers, with the codes it answers.
pub const ENDPOINTS: [Endpoint; 8] = [
    endpoint("GET", ROOT, &[200]),
    endpoint("GET", TASKS, &[200, 400, 500, 503]),
    endpoint("POST", TASKS, &[201, 400, 408, 413, 500, 503]),
    endpoint("PUT", TASK, &[200, 400, 404, 408, 413, 500, 503]),
    endpoint("DELETE", TASK, &[200, 404, 500, 503]),
    endpoint("GET", HEALTHZ, &[200]),
    endpoint("GET", READYZ, &[200, 503]),
    endpoint("GET", OPENAPI, &[200]),
];

/// The route of this pattern, if the service offers it: what metrics may bear as a label.
pub fn route(pattern: &str) -> Option<&'static str> {
    ENDPOINTS
        .iter()
        .map(|endpoint| endpoint.route)
        .find(|route| *route == pattern)
}

pub fn router(state: AppState) -> Router {
    Router::new()
        .route(ROOT, get(root))
        .route(TASKS, get(tasks::list).post(tasks::add))
        .route(TASK, put(tasks::update).delete(tasks::delete))
        .route(HEALTHZ, get(health::alive))
        .route(READYZ, get(health::ready))
        .route(OPENAPI, get(openapi))
        .fallback(async || Problem::NoSuchPath)
        .method_not_allowed_fallback(async || Problem::MethodNotAllowed)
        .layer(middleware::from_fn_with_state(state.clone(), observe))
        .with_state(state)
}

async fn root() -> Response {
    message("The task service: the list is at /tasks, the description at /openapi.json")
}

async fn openapi() -> Response {
    (
        [(axum::http::header::CONTENT_TYPE, "application/json")],
        OPENAPI_DOCUMENT,
    )
        .into_response()
}

fn message(text: &str) -> Response {
    Json(json!({ "message": text })).into_response()
}
