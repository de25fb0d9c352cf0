//! The HTTP API: its routes, and what each does.

mod answer;
mod body;
mod health;
mod tasks;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::{get, put};

use crate::service::Service;
use crate::telemetry::Endpoint;

pub use self::answer::{Problem, json};
pub use self::body::read as read_body;

pub const TASKS: &str = "/tasks";
pub const TASK: &str = "/tasks/{id}";
/// The routes that faults befall.
pub const TASK_ROUTES: [&str; 2] = [TASKS, TASK];
pub const HEALTHZ: &str = "/healthz";
pub const READYZ: &str = "/readyz";
pub const OPENAPI: &str = "/openapi.json";

/// What the API offers, for programs and people.
pub const OPENAPI_DOCUMENT: &str = include_str!("openapi.json");

/// Everything that the API offers, with the codes it answers.
pub const ENDPOINTS: [Endpoint; 7] = [
    Endpoint {
        method: "GET",
        route: TASKS,
        codes: &[200, 400, 500, 503],
    },
    Endpoint {
        method: "POST",
        route: TASKS,
        codes: &[201, 400, 408, 413, 500, 503],
    },
    Endpoint {
        method: "PUT",
        route: TASK,
        codes: &[200, 400, 404, 408, 413, 500, 503],
    },
    Endpoint {
        method: "DELETE",
        route: TASK,
        codes: &[200, 404, 500, 503],
    },
    Endpoint {
        method: "GET",
        route: HEALTHZ,
        codes: &[200],
    },
    Endpoint {
        method: "GET",
        route: READYZ,
        codes: &[200, 503],
    },
    Endpoint {
        method: "GET",
        route: OPENAPI,
        codes: &[200],
    },
];

pub fn router(service: &'static Service) -> Router {
    Router::new()
        .route(TASKS, get(tasks::list).post(tasks::add))
        .route(TASK, put(tasks::update).delete(tasks::delete))
        .route(HEALTHZ, get(health::alive))
        .route(READYZ, get(health::ready))
        .route(OPENAPI, get(async || json(StatusCode::OK, OPENAPI_DOCUMENT)))
        .fallback(async || Problem::NoSuchPath)
        .method_not_allowed_fallback(async || Problem::MethodNotAllowed)
        .with_state(service)
}
