//! What clients get to read: messages, and problems as `{"error": …}`.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::page::MAX_PAGE;
use crate::store::StoreError;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Why a request cannot be served.
#[derive(Debug)]
pub enum Problem {
    NoTask,
    /// PostgreSQL cannot hold it, so that no database here does.
    NulCharacter,
    NotJson(serde_json::Error),
    BadFaults(String),
    BodyUnreadable,
    BodyTooLarge,
    BodyTooSlow,
    BadPage,
    NoSuchTask,
    NoSuchPath,
    MethodNotAllowed,
    DatabaseUnavailable,
    Draining,
    FailedOnPurpose,
    Internal,
}

impl Problem {
    fn status(&self) -> StatusCode {
        match self {
            Self::NoTask
            | Self::NulCharacter
            | Self::NotJson(_)
            | Self::BadFaults(_)
            | Self::BodyUnreadable
            | Self::BadPage => StatusCode::BAD_REQUEST,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyTooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::NoSuchTask | Self::NoSuchPath => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::DatabaseUnavailable | Self::Draining => StatusCode::SERVICE_UNAVAILABLE,
            Self::FailedOnPurpose | Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn text(&self) -> String {
        match self {
            Self::NoTask => "No task provided".to_owned(),
            Self::NulCharacter => "A task cannot contain the character NUL".to_owned(),
            Self::NotJson(error) => format!("The body is not JSON: {error}"),
            Self::BadFaults(problem) => format!("Not faults: {problem}"),
            Self::BodyUnreadable => "The body broke off".to_owned(),
            Self::BodyTooLarge => format!("The body is larger than {} KiB", super::body::MAX_BODY / 1024),
            Self::BodyTooSlow => "The body did not arrive in time".to_owned(),
            Self::BadPage => format!("after must be a task's id and limit a number from 1 to {MAX_PAGE}"),
            Self::NoSuchTask => "Task not found".to_owned(),
            Self::NoSuchPath => "Not found".to_owned(),
            Self::MethodNotAllowed => "Method not allowed".to_owned(),
            Self::DatabaseUnavailable => "The database is not available; try again later".to_owned(),
            Self::Draining => "Shutting down".to_owned(),
            Self::FailedOnPurpose => "Failed on purpose, as PUT /faults asked".to_owned(),
            Self::Internal => "Internal error".to_owned(),
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) | StoreError::TimedOut(_) | StoreError::Starting => {
                tracing::warn!(%error, "database not available");
                Self::DatabaseUnavailable
            }
            StoreError::Unexpected(_) => {
                tracing::error!(%error, "the database refused a statement");
                Self::Internal
            }
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::json!({ "error": self.text() }).to_string();
        let mut response = json(self.status(), body);
        match self {
            Self::DatabaseUnavailable | Self::Draining => {
                response
                    .headers_mut()
                    .insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            // What is left of such a body is not worth reading.
            Self::BodyTooLarge | Self::BodyTooSlow | Self::BodyUnreadable => {
                response
                    .headers_mut()
                    .insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            _ => {}
        }
        response
    }
}

pub(super) fn message(status: StatusCode, text: &'static str) -> Response {
    json(status, format!(r#"{{"message":"{text}"}}"#))
}

pub fn json(status: StatusCode, body: impl Into<axum::body::Body>) -> Response {
    (status, [(header::CONTENT_TYPE, JSON)], body.into()).into_response()
}
