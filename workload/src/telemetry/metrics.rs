//! All metrics of the service, and their text form.

use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime};

use axum::http::Method;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::exemplar::HistogramWithExemplars;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use tracing_appender::non_blocking::ErrorCounter;

use super::process::ProcessCollector;
use crate::api::{ENDPOINTS, Endpoint};
use crate::store::{OPERATIONS, Store};

/// Upper bounds in seconds. 0.3 is there because the threshold of a latency SLO must be a bound.
const BOUNDS: [f64; 14] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.5, 5.0, 10.0,
];
/// Requests for anything that is no route: a path of a client's choice must not become a label.
const UNMATCHED: &str = "unmatched";
/// A method that HTTP does not define is a client's choice, too.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CodeLabels {
    method: &'static str,
    route: &'static str,
    code: u16,
}

type Labels<const COUNT: usize> = [(&'static str, &'static str); COUNT];
/// The exemplar of a bucket: the trace of a request that fell into it.
type Exemplar = [(&'static str, String); 1];

pub(crate) struct Metrics {
    pub(crate) in_flight: Gauge,
    pub(crate) cache_hits: Counter,
    pub(crate) cache_misses: Counter,
    pub(crate) cache_errors: Counter,
    requests: Family<CodeLabels, Counter>,
    latency: Family<Labels<2>, HistogramWithExemplars<Exemplar>>,
    // The same figures under the names of the earlier Flask services, whose dashboards and alerts work unchanged.
    legacy_requests: Family<Labels<2>, Counter>,
    legacy_errors: Family<Labels<2>, Counter>,
    legacy_latency: Family<Labels<2>, Histogram>,
    legacy_all: Counter,
    database_latency: Family<Labels<1>, Histogram>,
    database_errors: Family<Labels<1>, Counter>,
    connections: Family<Labels<1>, Gauge<f64, AtomicU64>>,
    dropped: Gauge<f64, AtomicU64>,
    dropped_lines: ErrorCounter,
    registry: Registry,
}

impl Metrics {
    pub(crate) fn new(pool_size: u16, dropped_lines: ErrorCounter) -> Self {
        let histogram = || Histogram::new(BOUNDS);
        let mut metrics = Self {
            in_flight: Gauge::default(),
            cache_hits: Counter::default(),
            cache_misses: Counter::default(),
            cache_errors: Counter::default(),
            requests: Family::default(),
            latency: Family::new_with_constructor(|| HistogramWithExemplars::new(BOUNDS.into_iter())),
            legacy_requests: Family::default(),
            legacy_errors: Family::default(),
            legacy_latency: Family::new_with_constructor(histogram),
            legacy_all: Counter::default(),
            database_latency: Family::new_with_constructor(histogram),
            database_errors: Family::default(),
            connections: Family::default(),
            dropped: Gauge::default(),
            dropped_lines,
            registry: Registry::default(),
        };
        metrics.register(pool_size);
        metrics.begin_at_zero();
        metrics
    }

    fn register(&mut self, pool_size: u16) {
        let to = &mut self.registry;
        to.register_collector(Box::new(ProcessCollector::new()));
        to.register("http_requests", "Requests answered", self.requests.clone());
        let help = "Time from a request's head to its answer, in seconds";
        to.register("http_request_duration_seconds", help, self.latency.clone());
        to.register("request_processing_seconds", help, self.legacy_latency.clone());
        to.register("http_requests_in_flight", "Requests now", self.in_flight.clone());
        to.register("request_count", "Requests answered", self.legacy_requests.clone());
        to.register("app_requests", "Requests answered", self.legacy_all.clone());
        to.register("error_count", "Answers from 400 up", self.legacy_errors.clone());
        let help = "Time of a database operation, the wait for a connection included";
        let latency = self.database_latency.clone();
        to.register("db_operation_duration_seconds", help, latency);
        to.register("db_errors", "Failed operations", self.database_errors.clone());
        to.register("db_pool_connections", "Connections", self.connections.clone());
        let most = ConstGauge::new(i64::from(pool_size));
        to.register("db_pool_max_connections", "Connections at most", most);
        to.register("cache_hits", "Lists from the cache", self.cache_hits.clone());
        to.register("cache_misses", "Lists not cached", self.cache_misses.clone());
        to.register("cache_errors", "Failures of the cache", self.cache_errors.clone());
        to.register("log_lines_dropped", "Log lines nobody read", self.dropped.clone());
    }

    /// A counter that appears with its first event hides that event from `rate`, which needs two samples.
    fn begin_at_zero(&self) {
        let unmatched: Endpoint = ("GET", UNMATCHED, &[404]);
        for (method, route, codes) in ENDPOINTS.into_iter().chain([unmatched]) {
            for &code in codes {
                drop(self.requests.get_or_create(&CodeLabels { method, route, code }));
            }
            let labels = [("method", method), ("route", route)];
            drop(self.latency.get_or_create(&labels));
            let labels = [("method", method), ("endpoint", route)];
            drop(self.legacy_requests.get_or_create(&labels));
            drop(self.legacy_errors.get_or_create(&labels));
            drop(self.legacy_latency.get_or_create(&labels));
        }
        for operation in OPERATIONS {
            drop(self.database_latency.get_or_create(&[("operation", operation)]));
            drop(self.database_errors.get_or_create(&[("operation", operation)]));
        }
    }

    /// Counts a finished request; `trace_id` becomes the exemplar of the bucket that it falls into.
    pub(crate) fn record_request(
        &self,
        route: Option<&'static str>,
        method: &Method,
        code: u16,
        duration: Duration,
        trace_id: &str,
    ) {
        let route = route.unwrap_or(UNMATCHED);
        let method = METHODS.into_iter().find(|known| *known == method.as_str());
        let method = method.unwrap_or("other");
        let seconds = duration.as_secs_f64();
        let trace = [("trace_id", trace_id.to_owned())];
        self.requests
            .get_or_create(&CodeLabels { method, route, code })
            .inc();
        self.latency
            .get_or_create(&[("method", method), ("route", route)])
            .observe(seconds, Some(trace), Some(SystemTime::now()));

        let endpoint = [("method", method), ("endpoint", route)];
        self.legacy_requests.get_or_create(&endpoint).inc();
        self.legacy_latency.get_or_create(&endpoint).observe(seconds);
        if code >= 400 {
            self.legacy_errors.get_or_create(&endpoint).inc();
        }
        self.legacy_all.inc();
    }

    /// Counts what the database was asked.
    pub(crate) fn record_operation(&self, operation: &'static str, duration: Duration, failed: bool) {
        let label = [("operation", operation)];
        self.database_latency
            .get_or_create(&label)
            .observe(duration.as_secs_f64());
        if failed {
            self.database_errors.get_or_create(&label).inc();
        }
    }

    /// In the OpenMetrics text format, with what is read when it is asked for.
    pub(crate) fn encode(&self, store: Option<&Store>) -> Result<String, std::fmt::Error> {
        let (open, idle) = store.map_or((0.0, 0.0), Store::connections);
        for (state, count) in [("used", (open - idle).max(0.0)), ("idle", idle)] {
            self.connections.get_or_create(&[("state", state)]).set(count);
        }
        self.dropped.set(self.dropped_lines.dropped_lines() as f64);
        let mut text = String::new();
        text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}
