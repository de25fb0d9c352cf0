//! The operator's own metrics, and each app's state in them.

use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, PoisonError};

use kube::Client;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ResultLabel {
    pub result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ErrorLabel {
    pub error: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RequestLabels {
    pub verb: &'static str,
    pub kind: String,
    pub code: String,
}

/// Everything that `/metrics` shows.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    pub reconciles: Family<ResultLabel, Counter>,
    pub duration: Histogram,
    pub errors: Family<ErrorLabel, Counter>,
    pub requests: Family<RequestLabels, Counter>,
    pub depth: Gauge,
    pub leader: Gauge,
    pub prometheus_polls: Family<ResultLabel, Counter>,
    pub apps: AppMetrics,
    started: Gauge<f64, AtomicU64>,
}

impl Default for Metrics {
    fn default() -> Self {
        let metrics = Self {
            registry: Registry::default(),
            reconciles: Family::default(),
            duration: Histogram::new(exponential_buckets(0.001, 2.0, 15)),
            errors: Family::default(),
            requests: Family::default(),
            depth: Gauge::default(),
            leader: Gauge::default(),
            prometheus_polls: Family::default(),
            apps: AppMetrics::default(),
            started: Gauge::default(),
        };
        metrics.registered()
    }
}

impl Metrics {
    fn registered(mut self) -> Self {
        let registry = &mut self.registry;
        registry.register(
            "observedapp_reconciles",
            "Reconciles, by how they ended",
            self.reconciles.clone(),
        );
        registry.register(
            "observedapp_reconcile_duration_seconds",
            "How long reconciles took",
            self.duration.clone(),
        );
        registry.register("observedapp_errors", "Failures, by class", self.errors.clone());
        registry.register(
            "observedapp_api_requests",
            "Requests to the API server",
            self.requests.clone(),
        );
        registry.register(
            "observedapp_queue_depth",
            "Apps that wait for their turn",
            self.depth.clone(),
        );
        registry.register(
            "observedapp_leader",
            "Whether this replica leads",
            self.leader.clone(),
        );
        registry.register(
            "observedapp_prometheus_polls",
            "Rounds of questions to Prometheus, by how they ended",
            self.prometheus_polls.clone(),
        );
        registry.register(
            "process_start_time_seconds",
            "When the process started, in seconds since the epoch",
            self.started.clone(),
        );
        self.apps.register(registry);
        self.started
            .set(jiff::Timestamp::now().as_duration().as_secs_f64());
        self
    }

    pub fn text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AppLabels {
    namespace: String,
    app: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ConditionLabels {
    namespace: String,
    app: String,
    condition: String,
    status: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReplicaLabels {
    namespace: String,
    app: String,
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SloLabels {
    namespace: String,
    app: String,
    slo: String,
    state: &'static str,
}

/// One app's state, as it is exported.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AppState {
    pub ready: bool,
    /// Type, and status in lower case.
    pub conditions: Vec<(String, &'static str)>,
    pub wanted: i64,
    pub ready_replicas: i64,
    pub updated: i64,
    pub slos: Vec<(String, &'static str)>,
}

/// Gauges of every app; those of an app that is gone go with it.
#[derive(Debug, Default)]
pub struct AppMetrics {
    ready: Family<AppLabels, Gauge>,
    conditions: Family<ConditionLabels, Gauge>,
    replicas: Family<ReplicaLabels, Gauge>,
    slos: Family<SloLabels, Gauge>,
    shown: Mutex<std::collections::HashMap<(String, String), AppState>>,
}

impl AppMetrics {
    fn register(&self, registry: &mut Registry) {
        registry.register(
            "observedapp_app_ready",
            "Whether the app serves",
            self.ready.clone(),
        );
        registry.register(
            "observedapp_app_condition",
            "1 for the status that each condition of an app has",
            self.conditions.clone(),
        );
        registry.register(
            "observedapp_app_replicas",
            "The app's pods: wanted, ready, updated",
            self.replicas.clone(),
        );
        registry.register(
            "observedapp_slo_state",
            "1 for the state that each objective of an app has",
            self.slos.clone(),
        );
    }

    /// Shows an app's state in place of what was shown before.
    pub fn show(&self, namespace: &str, app: &str, state: Option<AppState>) {
        let key = (namespace.to_owned(), app.to_owned());
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if shown.get(&key) == state.as_ref() {
            return;
        }
        if let Some(old) = shown.remove(&key) {
            self.hide(namespace, app, &old);
        }
        let Some(state) = state else { return };
        let (namespace, app) = key.clone();
        let labels = AppLabels {
            namespace: namespace.clone(),
            app: app.clone(),
        };
        self.ready.get_or_create(&labels).set(state.ready.into());
        for (name, value) in [
            ("wanted", state.wanted),
            ("ready", state.ready_replicas),
            ("updated", state.updated),
        ] {
            self.replicas
                .get_or_create(&replicas(&namespace, &app, name))
                .set(value);
        }
        for (type_, status) in &state.conditions {
            self.conditions
                .get_or_create(&condition(&namespace, &app, type_, status))
                .set(1);
        }
        for (slo, slo_state) in &state.slos {
            self.slos
                .get_or_create(&objective(&namespace, &app, slo, slo_state))
                .set(1);
        }
        shown.insert(key, state);
    }

    /// Shows no app: who does not lead has nothing to say about them.
    pub fn clear(&self) {
        self.ready.clear();
        self.conditions.clear();
        self.replicas.clear();
        self.slos.clear();
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn hide(&self, namespace: &str, app: &str, old: &AppState) {
        self.ready.remove(&AppLabels {
            namespace: namespace.to_owned(),
            app: app.to_owned(),
        });
        for state in ["wanted", "ready", "updated"] {
            self.replicas.remove(&replicas(namespace, app, state));
        }
        for (type_, status) in &old.conditions {
            self.conditions.remove(&condition(namespace, app, type_, status));
        }
        for (slo, state) in &old.slos {
            self.slos.remove(&objective(namespace, app, slo, state));
        }
    }
}

fn replicas(namespace: &str, app: &str, state: &'static str) -> ReplicaLabels {
    ReplicaLabels {
        namespace: namespace.to_owned(),
        app: app.to_owned(),
        state,
    }
}

fn condition(namespace: &str, app: &str, type_: &str, status: &'static str) -> ConditionLabels {
    ConditionLabels {
        namespace: namespace.to_owned(),
        app: app.to_owned(),
        condition: type_.to_owned(),
        status,
    }
}

fn objective(namespace: &str, app: &str, slo: &str, state: &'static str) -> SloLabels {
    SloLabels {
        namespace: namespace.to_owned(),
        app: app.to_owned(),
        slo: slo.to_owned(),
        state,
    }
}

/// A client whose requests are counted.
pub fn counted_client(
    config: kube::Config,
    requests: Family<RequestLabels, Counter>,
) -> kube::Result<Client> {
    let builder = kube::client::ClientBuilder::try_from(config)?;
    Ok(builder.with_layer(&CountLayer { requests }).build())
}

#[derive(Clone)]
struct CountLayer {
    requests: Family<RequestLabels, Counter>,
}

impl<S> tower::Layer<S> for CountLayer {
    type Service = Count<S>;

    fn layer(&self, inner: S) -> Count<S> {
        Count {
            inner,
            requests: self.requests.clone(),
        }
    }
}

#[derive(Clone)]
struct Count<S> {
    inner: S,
    requests: Family<RequestLabels, Counter>,
}

impl<S, A, B> tower::Service<http::Request<A>> for Count<S>
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
        let requests = self.requests.clone();
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await;
            let code = match &answer {
                Ok(response) => response.status().as_u16().to_string(),
                Err(_) => "none".to_owned(),
            };
            requests.get_or_create(&RequestLabels { verb, kind, code }).inc();
            answer
        })
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

    #[test]
    fn an_app_that_is_gone_is_shown_no_more() {
        let metrics = Metrics::default();
        let state = AppState {
            ready: true,
            conditions: vec![("Ready".to_owned(), "true")],
            ..AppState::default()
        };
        metrics.apps.show("shop", "tasks", Some(state));
        let text = metrics.text().unwrap();
        assert!(text.contains(r#"observedapp_app_ready{namespace="shop",app="tasks"} 1"#));
        assert!(text.contains(
            r#"observedapp_app_condition{namespace="shop",app="tasks",condition="Ready",status="true"} 1"#
        ));
        metrics.apps.show("shop", "tasks", None);
        assert!(!metrics.text().unwrap().contains(r#"app="tasks""#));
    }
}
