//! The HTTP API: its routes, and what each does.

mod body;
mod operations;
mod problem;
mod tasks;

use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use axum::{Json, Router, middleware};
use serde_json::json;

pub(crate) use self::operations::router as operations;
pub(crate) use self::problem::Problem;
use crate::observe::observe;
use crate::run::AppState;

pub const ROOT: &str = "/";
pub const TASKS: &str = "/tasks";
pub const TASK: &str = "/tasks/{id}";
pub const HEALTHZ: &str = "/healthz";
pub const READYZ: &str = "/readyz";
pub const OPENAPI: &str = "/openapi.json";

/// What the API offers, for programs and people.
pub const OPENAPI_DOCUMENT: &str = include_str!("openapi.json");

/// A method, its route, and the codes it answers.
pub type Endpoint = (&'static str, &'static str, &'static [u16]);

/// Everything that the API offers.
pub const ENDPOINTS: [Endpoint; 8] = [
    ("GET", ROOT, &[200]),
    ("GET", TASKS, &[200, 400, 500, 503]),
    ("POST", TASKS, &[201, 400, 408, 413, 500, 503]),
    ("PUT", TASK, &[200, 400, 404, 408, 413, 500, 503]),
    ("DELETE", TASK, &[200, 404, 500, 503]),
    ("GET", HEALTHZ, &[200]),
    ("GET", READYZ, &[200, 503]),
    ("GET", OPENAPI, &[200]),
];

/// The route of this pattern, if the service offers it: what metrics may bear as a label.
pub(crate) fn route(pattern: &str) -> Option<&'static str> {
    let mut routes = ENDPOINTS.iter().map(|(_, route, _)| *route);
    routes.find(|route| *route == pattern)
}

pub(crate) fn router(state: AppState) -> Router {
    let root = "The task service: the list is at /tasks, the description at /openapi.json";
    Router::new()
        .route(ROOT, get(async move || message(root)))
        .route(TASKS, get(tasks::list).post(tasks::add))
        .route(TASK, put(tasks::update).delete(tasks::delete))
        .route(HEALTHZ, get(operations::alive))
        .route(READYZ, get(operations::ready))
        .route(OPENAPI, get(async || ([tasks::JSON], OPENAPI_DOCUMENT)))
        .fallback(async || Problem::NoSuchPath)
        .method_not_allowed_fallback(async || Problem::MethodNotAllowed)
        .layer(middleware::from_fn_with_state(state.clone(), observe))
        .with_state(state)
}

fn message(text: &str) -> Response {
    Json(json!({ "message": text })).into_response()
}
