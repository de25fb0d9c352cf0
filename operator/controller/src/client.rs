//! The client of the API server: every request is counted, and is a span of the reconcile that it belongs to.

use kube::Client;
use opentelemetry::global::{self, BoxedSpan};
use opentelemetry::trace::{Span as _, SpanKind, Status, TraceContextExt as _, Tracer as _};
use opentelemetry::{Context, KeyValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

use crate::metrics::RequestLabels;
use crate::traces::TRACER;

/// A client whose requests are seen.
pub fn observed_client(
    config: kube::Config,
    requests: Family<RequestLabels, Counter>,
) -> kube::Result<Client> {
    let builder = kube::client::ClientBuilder::try_from(config)?;
    Ok(builder.with_layer(&Layer { requests }).build())
}

#[derive(Clone)]
struct Layer {
    requests: Family<RequestLabels, Counter>,
}

impl<S> tower::Layer<S> for Layer {
    type Service = Service<S>;

    fn layer(&self, inner: S) -> Service<S> {
        Service {
            inner,
            layer: self.clone(),
        }
    }
}

#[derive(Clone)]
struct Service<S> {
    inner: S,
    layer: Layer,
}

impl<S, A, B> tower::Service<http::Request<A>> for Service<S>
where
    S: tower::Service<http::Request<A>, Response = http::Response<B>>,
    S::Future: Send + 'static,
    S::Error: 'static,
    B: 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<A>) -> Self::Future {
        let (verb, kind) = described(request.method(), request.uri());
        let sent = Sent {
            requests: self.layer.requests.clone(),
            verb,
            kind,
            code: None,
            span: None,
        };
        let path = request.uri().path().to_owned();
        let answer = self.inner.call(request);
        Box::pin(async move {
            // The whole of it lives as long as this: what is dropped early counts as unanswered.
            let mut sent = sent;
            // Only here, not above, it is the task of who asked.
            sent.start_span(path);
            let answer = answer.await;
            sent.code = answer.as_ref().ok().map(|response| response.status().as_u16());
            answer
        })
    }
}

/// A request from when it is sent until it is answered, or nobody waits for that any more.
struct Sent {
    requests: Family<RequestLabels, Counter>,
    verb: &'static str,
    kind: String,
    code: Option<u16>,
    span: Option<BoxedSpan>,
}

impl Sent {
    /// Only what a reconcile asks for is a span; a watch has no end.
    fn start_span(&mut self, path: String) {
        let reconcile = Context::current();
        if reconcile.span().span_context().is_sampled() {
            let tracer = global::tracer(TRACER);
            let span = tracer
                .span_builder(format!("{} {}", self.verb, self.kind))
                .with_kind(SpanKind::Client)
                .with_attributes([KeyValue::new("url.path", path)])
                .start_with_context(&tracer, &reconcile);
            self.span = Some(span);
        }
    }
}

impl Drop for Sent {
    fn drop(&mut self) {
        if let Some(span) = &mut self.span {
            if let Some(code) = self.code {
                span.set_attribute(KeyValue::new("http.response.status_code", i64::from(code)));
            }
            // That something is not there is an answer.
            if self.code.is_none_or(|code| code >= 400 && code != 404) {
                span.set_status(Status::error(""));
            }
        }
        let labels = RequestLabels {
            verb: self.verb,
            kind: std::mem::take(&mut self.kind),
            code: self.code.map_or("none".to_owned(), |code| code.to_string()),
        };
        self.requests.get_or_create(&labels).inc();
    }
}

/// The verb as RBAC names it, and the resource, from a request to the API server.
fn described(method: &http::Method, uri: &http::Uri) -> (&'static str, String) {
    let mut parts = uri.path().split('/').filter(|part| !part.is_empty());
    let skip = match parts.next() {
        Some("api") => 1,
        Some("apis") => 2,
        _ => return ("get", "other".to_owned()),
    };
    let mut parts = parts.skip(skip).peekable();
    let mut resource = parts.next().unwrap_or("discovery");
    let mut name = parts.next();
    if resource == "namespaces"
        && name.is_some()
        && let Some(inner) = parts.next()
    {
        resource = inner;
        name = parts.next();
    }
    let verb = match method.as_str() {
        "GET"
            if uri
                .query()
                .is_some_and(|query| query.contains("watch=true") || query.contains("watch=1")) =>
        {
            "watch"
        }
        "GET" if name.is_none() && resource != "discovery" => "list",
        "GET" => "get",
        "POST" => "create",
        "PUT" => "update",
        "PATCH" => "patch",
        "DELETE" => "delete",
        _ => "other",
    };
    let kind = match parts.next() {
        Some(subresource) => format!("{resource}/{subresource}"),
        None => resource.to_owned(),
    };
    (verb, kind)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn of(method: &str, uri: &str) -> (&'static str, String) {
        described(&method.parse().unwrap(), &uri.parse().unwrap())
    }

    #[test]
    fn requests_are_described_as_rbac_does() {
        assert_eq!(
            of("GET", "/apis/apps/v1/deployments?&limit=500"),
            ("list", "deployments".to_owned())
        );
        assert_eq!(
            of("GET", "/api/v1/services?watch=true"),
            ("watch", "services".to_owned())
        );
        assert_eq!(
            of("PATCH", "/api/v1/namespaces/a/services/b?force=true"),
            ("patch", "services".to_owned())
        );
        assert_eq!(
            of(
                "PATCH",
                "/apis/observedapp.dev/v1alpha1/namespaces/a/observedapps/b/status"
            ),
            ("patch", "observedapps/status".to_owned())
        );
        assert_eq!(
            of("GET", "/apis/monitoring.coreos.com/v1"),
            ("get", "discovery".to_owned())
        );
        assert_eq!(
            of("GET", "/api/v1/namespaces/a"),
            ("get", "namespaces".to_owned())
        );
    }
}
