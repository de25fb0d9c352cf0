//! Every request of the API is seen here: counted, timed and logged, exactly once.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tower::Layer;
use traces::{Attribute, CURRENT, Span, SpanContext, SpanId, SpanKind, TRACEPARENT};

use crate::api::{self, Problem};
use crate::service::Service;
use crate::telemetry::InFlight;

/// The code under which a request is counted whose client went away before the answer.
const CLIENT_CLOSED: u16 = 499;
/// A longer path is cut in the log.
const MAX_LOGGED_PATH: usize = 200;

/// Puts every route under observation. A layer of its own: `axum::middleware::from_fn` would put each request into four
/// boxes, and this one puts it into one.
#[derive(Debug, Clone)]
pub struct Observe(pub &'static Service);

/// A route under observation.
#[derive(Debug, Clone)]
pub struct Observed<S> {
    route: S,
    service: &'static Service,
}

impl<S> Layer<S> for Observe {
    type Service = Observed<S>;

    fn layer(&self, route: S) -> Observed<S> {
        Observed {
            route,
            service: self.0,
        }
    }
}

impl<S> tower::Service<Request> for Observed<S>
where
    S: tower::Service<Request, Response = Response, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.route.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let seen = Seen::new(self.service, &request);
        Box::pin(observe(seen, self.route.call(request)))
    }
}

async fn observe(
    mut seen: Seen,
    answer: impl Future<Output = Result<Response, Infallible>>,
) -> Result<Response, Infallible> {
    let context = seen.context;
    let answer = async {
        if seen.may_fail() && seen.service.faults.get().befall().await {
            return Ok(Problem::FailedOnPurpose.into_response());
        }
        answer.await
    };
    let mut response = CURRENT.scope(context, answer).await?;
    seen.status = Some(response.status());

    let headers = response.headers_mut();
    if let Some(value) = context.header() {
        headers.insert(TRACEPARENT, value);
    }
    if seen.service.is_draining() {
        // Clients with a connection pool must come back on a new connection, to another replica.
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response)
}

/// A request from its head to its answer, or to the moment its client hangs up.
struct Seen {
    service: &'static Service,
    started: Instant,
    method: Method,
    path: String,
    route: Option<&'static str>,
    context: SpanContext,
    caller: Option<SpanId>,
    status: Option<StatusCode>,
    _in_flight: InFlight,
}

impl Seen {
    fn new(service: &'static Service, request: &Request) -> Self {
        let in_flight = service.metrics.requests.start();
        let caller = SpanContext::of_caller(request.headers());
        let context = service.traces.begin(caller.as_ref());
        let route = request.extensions().get::<MatchedPath>();
        let path = request.uri().path();
        let cut = path
            .char_indices()
            .nth(MAX_LOGGED_PATH)
            .map_or(path.len(), |(index, _)| index);
        Self {
            service,
            started: Instant::now(),
            method: request.method().clone(),
            path: path[..cut].to_owned(),
            route: route.and_then(|route| service.metrics.requests.route(route.as_str())),
            context,
            caller: caller.map(|caller| caller.span_id),
            status: None,
            _in_flight: in_flight,
        }
    }

    fn may_fail(&self) -> bool {
        self.route.is_some_and(|route| api::TASK_ROUTES.contains(&route))
    }
}

impl Drop for Seen {
    fn drop(&mut self) {
        let duration = self.started.elapsed();
        let gone = StatusCode::from_u16(CLIENT_CLOSED).unwrap_or(StatusCode::BAD_REQUEST);
        let status = self.status.unwrap_or(gone);
        let method = self.method.as_str();
        self.service
            .metrics
            .requests
            .record(self.route, &self.method, status, duration);
        tracing::info!(
            message = [method, " ", &self.path, " called"].concat(),
            method,
            path = self.path,
            status = status.as_u16(),
            duration = duration.as_secs_f64(),
            trace_id = self.context.trace_id.digits().as_str(),
            span_id = self.context.span_id.digits().as_str(),
        );
        if self.context.sampled {
            let route = self.route.unwrap_or_default();
            self.service.traces.record(&Span {
                context: self.context,
                parent: self.caller,
                kind: SpanKind::Server,
                name: [method, " ", route].concat().trim_end(),
                duration,
                attributes: &[
                    ("http.request.method", Attribute::Text(method)),
                    ("http.route", Attribute::Text(route)),
                    ("url.path", Attribute::Text(&self.path)),
                    ("http.response.status_code", Attribute::Number(status.as_u16())),
                ],
                failed: status.is_server_error(),
            });
        }
    }
}
