//! Why a request is not served, as `{"error": …}`.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::body::MAX_BODY;
use crate::store::{MAX_PAGE, StoreError};

#[derive(Debug, thiserror::Error)]
pub(crate) enum Problem {
    #[error("No task provided")]
    NoTask,
    /// PostgreSQL cannot hold it, so that no database here does.
    #[error("A task cannot contain the character NUL")]
    NulCharacter,
    #[error("The body is not JSON: {0}")]
    NotJson(serde_json::Error),
    #[error("Not faults: {0}")]
    BadFaults(String),
    #[error("The body broke off")]
    BodyUnreadable,
    #[error("The body is larger than {} KiB", MAX_BODY / 1024)]
    BodyTooLarge,
    #[error("The body did not arrive in time")]
    BodyTooSlow,
    #[error("after must be a task's id and limit a number from 1 to {MAX_PAGE}")]
    BadPage,
    #[error("Task not found")]
    NoSuchTask,
    #[error("Not found")]
    NoSuchPath,
    #[error("Method not allowed")]
    MethodNotAllowed,
    #[error("The database is not available; try again later")]
    DatabaseUnavailable,
    #[error("Shutting down")]
    Draining,
    #[error("Failed on purpose, because FAULTS is on")]
    FailedOnPurpose,
    #[error("Internal error")]
    Internal,
}

impl Problem {
    fn status(&self) -> StatusCode {
        match self {
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyTooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::NoSuchTask | Self::NoSuchPath => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::DatabaseUnavailable | Self::Draining => StatusCode::SERVICE_UNAVAILABLE,
            Self::FailedOnPurpose | Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        if let StoreError::Unexpected(error) = error {
            tracing::error!(%error, "the database refused a statement");
            return Self::Internal;
        }
        tracing::warn!(%error, "database not available");
        Self::DatabaseUnavailable
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status(), Json(json!({ "error": self.to_string() }))).into_response();
        let (name, value) = match self {
            Self::DatabaseUnavailable | Self::Draining => (header::RETRY_AFTER, "1"),
            // What is left of such a body is not worth reading.
            Self::BodyTooLarge | Self::BodyTooSlow | Self::BodyUnreadable => (header::CONNECTION, "close"),
            _ => return response,
        };
        let value = HeaderValue::from_static(value);
        response.headers_mut().insert(name, value);
        response
    }
}
