//! The operator's own metrics, and each app's state in them.

mod apps;

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

pub use self::apps::{AppMetrics, AppState};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ResultLabel {
    pub result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ErrorLabel {
    pub error: String,
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
