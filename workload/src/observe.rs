//! Every request of the API passes through here: counted, timed, logged and traced, exactly once.

use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use opentelemetry::trace::{Status, TraceContextExt};
use opentelemetry_http::{HeaderExtractor, HeaderInjector};
use tracing::{Instrument, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::api::{self, Problem};
use crate::state::AppState;

/// The code under which a request is counted whose client went away before the answer.
const CLIENT_CLOSED: u16 = 499;
const TRACESTATE: &str = "tracestate";
/// A longer path is cut in the log.
const LONGEST_LOGGED_PATH: usize = 200;

/// A handler puts it into its response: the request's log line then names the task.
#[derive(Debug, Clone)]
pub struct AddedTask(pub String);

pub async fn observe(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let mut record = RequestRecord::new(state.clone(), &request);
    let may_fail = record
        .route
        .is_some_and(|route| api::TASK_ROUTES.contains(&route));
    let span = record.span.clone();
    let answer = async {
        if may_fail && state.faults.get().delay_and_decide().await {
            return Problem::FailedOnPurpose.into_response();
        }
        next.run(request).await
    };
    let mut response = answer.instrument(span).await;
    record.answered(&response);

    opentelemetry::global::get_text_map_propagator(|propagator| {
        propagator.inject_context(
            &record.span.context(),
            &mut HeaderInjector(response.headers_mut()),
        );
    });
    if response
        .headers()
        .get(TRACESTATE)
        .is_some_and(HeaderValue::is_empty)
    {
        response.headers_mut().remove(TRACESTATE);
    }
    if state.is_draining() {
        // Clients with a connection pool must come back on a new connection, to another replica.
        response
            .headers_mut()
            .insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// A request from its head to its answer. Its end is recorded when it is dropped, so that a request whose client hangs
/// up, which axum simply drops, is recorded as well.
struct RequestRecord {
    state: AppState,
    started: Instant,
    method: Method,
    path: String,
    route: Option<&'static str>,
    span: Span,
    trace_id: String,
    status: StatusCode,
    added: Option<AddedTask>,
}

impl RequestRecord {
    fn new(state: AppState, request: &Request) -> Self {
        state.metrics.in_flight.inc();
        let method = request.method().clone();
        let path: String = request.uri().path().chars().take(LONGEST_LOGGED_PATH).collect();
        let route = request
            .extensions()
            .get::<MatchedPath>()
            .and_then(|matched| api::route(matched.as_str()));
        let span = tracing::info_span!(
            "request",
            otel.name = format!("{method} {}", route.unwrap_or_default()).trim_end(),
            otel.kind = "server",
            http.request.method = method.as_str(),
            http.route = route,
            url.path = path,
            http.response.status_code = tracing::field::Empty,
        );
        // The caller's trace goes on here; without one, a new trace begins.
        let caller = opentelemetry::global::get_text_map_propagator(|propagator| {
            propagator.extract(&HeaderExtractor(request.headers()))
        });
        let _ = span.set_parent(caller);
        let trace_id = span.context().span().span_context().trace_id().to_string();
        Self {
            state,
            started: Instant::now(),
            method,
            path,
            route,
            span,
            trace_id,
            status: StatusCode::from_u16(CLIENT_CLOSED).unwrap_or(StatusCode::BAD_REQUEST),
            added: None,
        }
    }

    fn answered(&mut self, response: &Response) {
        self.status = response.status();
        self.added = response.extensions().get::<AddedTask>().cloned();
    }
}

impl Drop for RequestRecord {
    fn drop(&mut self) {
        let duration = self.started.elapsed();
        let code = self.status.as_u16();
        let metrics = &self.state.metrics;
        metrics.in_flight.dec();
        metrics.record_request(self.route, &self.method, code, duration, &self.trace_id);

        self.span.record("http.response.status_code", i64::from(code));
        if self.status.is_server_error() {
            self.span.set_status(Status::error(""));
        }
        // The level of an event is fixed where it is written, hence a macro.
        macro_rules! log {
            ($level:ident) => {
                tracing::$level!(
                    message = format!("{} {} called", self.method, self.path),
                    method = self.method.as_str(),
                    path = self.path,
                    status = code,
                    duration = duration.as_secs_f64(),
                    task = self.added.as_ref().map(|added| added.0.as_str()),
                    trace_id = self.trace_id,
                )
            };
        }
        match code {
            500.. => log!(error),
            400.. => log!(warn),
            _ => log!(info),
        }
    }
}
