//! All metrics of the service, and their text form.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use axum::http::Method;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::exemplar::HistogramWithExemplars;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use tracing_appender::non_blocking::ErrorCounter;

use super::process::ProcessMetrics;
use crate::api::ENDPOINTS;
use crate::store::{OPERATIONS, Store};

/// Upper bounds in seconds. 0.3 is there because the threshold of a latency SLO must be a bound.
const BOUNDS: [f64; 14] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.5, 5.0, 10.0,
];
/// Requests for anything that is no route: a path of a client's choice must not become a label.
const UNMATCHED: &str = "unmatched";
/// A method that HTTP does not define is a client's choice, too.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
const OTHER_METHOD: &str = "other";

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CodeLabels {
    method: &'static str,
    route: &'static str,
    code: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    method: &'static str,
    route: &'static str,
}

/// As the dashboards of the earlier Flask services name them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EndpointLabels {
    method: &'static str,
    endpoint: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OperationLabels {
    operation: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    state: &'static str,
}

/// The exemplar of a bucket: a request that fell into it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TraceLabels {
    trace_id: String,
}

/// Makes histograms with the bounds above.
#[derive(Debug, Clone, Copy, Default)]
struct Bounds;

impl MetricConstructor<Histogram> for Bounds {
    fn new_metric(&self) -> Histogram {
        Histogram::new(BOUNDS)
    }
}

impl MetricConstructor<HistogramWithExemplars<TraceLabels>> for Bounds {
    fn new_metric(&self) -> HistogramWithExemplars<TraceLabels> {
        HistogramWithExemplars::new(BOUNDS.into_iter())
    }
}

#[derive(Debug)]
pub struct Metrics {
    pub in_flight: Gauge,
    pub database: DatabaseMetrics,
    pub cache: CacheMetrics,
    requests: Family<CodeLabels, Counter>,
    latency: Family<RouteLabels, HistogramWithExemplars<TraceLabels>, Bounds>,
    legacy: LegacyMetrics,
    process: ProcessMetrics,
    connections: Family<StateLabels, Gauge>,
    dropped: Gauge,
    dropped_lines: ErrorCounter,
    store: Arc<OnceLock<Store>>,
    registry: Registry,
}

/// The same figures under the names of the earlier Flask services, whose dashboards and alerts work unchanged.
#[derive(Debug, Clone)]
struct LegacyMetrics {
    requests: Family<EndpointLabels, Counter>,
    errors: Family<EndpointLabels, Counter>,
    latency: Family<EndpointLabels, Histogram, Bounds>,
    all: Counter,
}

#[derive(Debug, Clone, Default)]
pub struct CacheMetrics {
    pub hits: Counter,
    pub misses: Counter,
    pub errors: Counter,
}

/// What the database is asked, how long it takes and how often it fails.
#[derive(Debug, Clone)]
pub struct DatabaseMetrics {
    duration: Family<OperationLabels, Histogram, Bounds>,
    errors: Family<OperationLabels, Counter>,
}

impl Default for LegacyMetrics {
    fn default() -> Self {
        Self {
            requests: Family::default(),
            errors: Family::default(),
            latency: Family::new_with_constructor(Bounds),
            all: Counter::default(),
        }
    }
}

impl Default for DatabaseMetrics {
    fn default() -> Self {
        Self {
            duration: Family::new_with_constructor(Bounds),
            errors: Family::default(),
        }
    }
}

impl DatabaseMetrics {
    pub fn record(&self, operation: &'static str, duration: Duration, failed: bool) {
        let labels = OperationLabels { operation };
        self.duration
            .get_or_create(&labels)
            .observe(duration.as_secs_f64());
        if failed {
            self.errors.get_or_create(&labels).inc();
        }
    }
}

impl Metrics {
    pub fn new(store: Arc<OnceLock<Store>>, pool_size: u32, dropped_lines: ErrorCounter) -> Self {
        let mut metrics = Self {
            in_flight: Gauge::default(),
            database: DatabaseMetrics::default(),
            cache: CacheMetrics::default(),
            requests: Family::default(),
            latency: Family::new_with_constructor(Bounds),
            legacy: LegacyMetrics::default(),
            process: ProcessMetrics::default(),
            connections: Family::default(),
            dropped: Gauge::default(),
            dropped_lines,
            store,
            registry: Registry::default(),
        };
        metrics.register(pool_size);
        metrics.begin_at_zero();
        metrics
    }

    fn register(&mut self, pool_size: u32) {
        let registry = &mut self.registry;
        self.process.register(registry);
        registry.register(
            "http_requests",
            "Requests answered, by method, route and status code",
            self.requests.clone(),
        );
        let help = "Time from a request's head to its answer, in seconds";
        registry.register("http_request_duration_seconds", help, self.latency.clone());
        registry.register("request_processing_seconds", help, self.legacy.latency.clone());
        registry.register(
            "http_requests_in_flight",
            "Requests being worked on now",
            self.in_flight.clone(),
        );
        registry.register("request_count", "Requests answered", self.legacy.requests.clone());
        registry.register(
            "error_count",
            "Requests answered with a status of 400 or more",
            self.legacy.errors.clone(),
        );
        registry.register("app_requests", "Requests answered", self.legacy.all.clone());
        registry.register(
            "db_operation_duration_seconds",
            "Time that a database operation took, the wait for a connection included, in seconds",
            self.database.duration.clone(),
        );
        registry.register(
            "db_errors",
            "Database operations that failed",
            self.database.errors.clone(),
        );
        registry.register(
            "cache_hits",
            "Lists served from the cache",
            self.cache.hits.clone(),
        );
        registry.register(
            "cache_misses",
            "Lists that the cache did not hold",
            self.cache.misses.clone(),
        );
        registry.register(
            "cache_errors",
            "Cache operations that failed or took too long; each costs no more than a miss",
            self.cache.errors.clone(),
        );
        registry.register(
            "db_pool_connections",
            "Connections to the database, by state",
            self.connections.clone(),
        );
        registry.register(
            "db_pool_max_connections",
            "Connections to the database that may be open at once",
            ConstGauge::new(i64::from(pool_size)),
        );
        registry.register(
            "log_lines_dropped",
            "Log lines that were dropped because nobody read them in time, since the start",
            self.dropped.clone(),
        );
    }

    /// A counter that appears with its first event hides that event from `rate`, which needs two samples.
    fn begin_at_zero(&self) {
        let unmatched = crate::api::Endpoint {
            method: "GET",
            route: UNMATCHED,
            codes: &[404],
        };
        for endpoint in ENDPOINTS.iter().chain([&unmatched]) {
            let (method, route) = (endpoint.method, endpoint.route);
            for &code in endpoint.codes {
                drop(self.requests.get_or_create(&CodeLabels { method, route, code }));
            }
            drop(self.latency.get_or_create(&RouteLabels { method, route }));
            let labels = EndpointLabels {
                method,
                endpoint: route,
            };
            drop(self.legacy.requests.get_or_create(&labels));
            drop(self.legacy.errors.get_or_create(&labels));
            drop(self.legacy.latency.get_or_create(&labels));
        }
        for operation in OPERATIONS {
            let labels = OperationLabels { operation };
            drop(self.database.duration.get_or_create(&labels));
            drop(self.database.errors.get_or_create(&labels));
        }
    }

    /// Counts a finished request; `trace_id` becomes the exemplar of the bucket that it falls into.
    pub fn record_request(
        &self,
        route: Option<&'static str>,
        method: &Method,
        code: u16,
        duration: Duration,
        trace_id: &str,
    ) {
        let route = route.unwrap_or(UNMATCHED);
        let method = METHODS
            .into_iter()
            .find(|known| *known == method.as_str())
            .unwrap_or(OTHER_METHOD);
        let seconds = duration.as_secs_f64();
        self.requests
            .get_or_create(&CodeLabels { method, route, code })
            .inc();
        let trace = TraceLabels {
            trace_id: trace_id.to_owned(),
        };
        self.latency
            .get_or_create(&RouteLabels { method, route })
            .observe(seconds, Some(trace), Some(SystemTime::now()));

        let labels = EndpointLabels {
            method,
            endpoint: route,
        };
        self.legacy.requests.get_or_create(&labels).inc();
        self.legacy.latency.get_or_create(&labels).observe(seconds);
        if code >= 400 {
            self.legacy.errors.get_or_create(&labels).inc();
        }
        self.legacy.all.inc();
    }

    /// In the OpenMetrics text format, with what is read when it is asked for.
    pub fn encode(&self) -> Result<String, std::fmt::Error> {
        self.process.update();
        let (open, idle) = self.store.get().map_or((0, 0), Store::connections);
        for (state, count) in [("used", open - idle), ("idle", idle)] {
            self.connections.get_or_create(&StateLabels { state }).set(count);
        }
        self.dropped
            .set(i64::try_from(self.dropped_lines.dropped_lines()).unwrap_or(i64::MAX));
        let mut text = String::new();
        text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}
