//! Every request of the API passes through here: counted, timed, logged and traced, exactly once.

use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{SpanContext, Status, TraceContextExt};
use opentelemetry_http::HeaderExtractor;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::{Instrument, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::api::{self, Problem};
use crate::run::AppState;

/// The code under which a request is counted whose client went away before the answer.
const CLIENT_CLOSED: u16 = 499;
/// A longer path is cut in the log.
const LONGEST_LOGGED_PATH: usize = 200;

/// A handler puts it into its response: the request's log line then names the task.
#[derive(Clone)]
pub(crate) struct AddedTask(pub(crate) String);

pub(crate) async fn observe(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let mut record = RequestRecord::new(state.clone(), &request);
    let is_task = record.route.is_some_and(|route| route.starts_with(api::TASKS));
    let answer = async {
        let faults = *state.faults.borrow();
        if is_task && faults.delay_and_decide().await {
            return Problem::FailedOnPurpose.into_response();
        }
        next.run(request).await
    };
    let mut response = answer.instrument(record.span.clone()).await;
    record.code = response.status().as_u16();
    record.added = response.extensions_mut().remove();
    let headers = response.headers_mut();
    let (trace_id, span_id) = (record.trace.trace_id(), record.trace.span_id());
    let traceparent = format!("00-{trace_id}-{span_id}-{:02x}", record.trace.trace_flags());
    if let Ok(traceparent) = traceparent.parse() {
        headers.insert("traceparent", traceparent);
    }
    if state.draining.is_cancelled() {
        // Clients with a connection pool must come back on a new connection, to another replica.
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
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
    trace: SpanContext,
    code: u16,
    added: Option<AddedTask>,
}

impl RequestRecord {
    fn new(state: AppState, request: &Request) -> Self {
        state.metrics.in_flight.inc();
        let method = request.method().clone();
        let path: String = request.uri().path().chars().take(LONGEST_LOGGED_PATH).collect();
        let matched = request.extensions().get::<MatchedPath>();
        let route = matched.and_then(|matched| api::route(matched.as_str()));
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
        let caller = TraceContextPropagator::new().extract(&HeaderExtractor(request.headers()));
        let _ = span.set_parent(caller);
        let trace = span.context().span().span_context().clone();
        Self {
            state,
            started: Instant::now(),
            method,
            path,
            route,
            span,
            trace,
            code: CLIENT_CLOSED,
            added: None,
        }
    }
}

impl Drop for RequestRecord {
    fn drop(&mut self) {
        let duration = self.started.elapsed();
        let (code, metrics) = (self.code, &self.state.metrics);
        metrics.in_flight.dec();
        let trace_id = self.trace.trace_id().to_string();
        metrics.record_request(self.route, &self.method, code, duration, &trace_id);

        self.span.record("http.response.status_code", i64::from(code));
        if code >= 500 {
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
                    trace_id,
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
