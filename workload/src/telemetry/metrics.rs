//! All metrics of the service, and their text form.

use std::sync::{Arc, OnceLock};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use traces::Traces;

use super::process::ProcessMetrics;
use super::{DatabaseTelemetry, Endpoint, LogSink, RequestMetrics};
use crate::store::{PoolStatus, Store};

#[derive(Debug)]
pub struct Metrics {
    pub requests: Arc<RequestMetrics>,
    pub database: DatabaseTelemetry,
    pub cache: CacheMetrics,
    registry: Registry,
}

#[derive(Debug, Clone, Default)]
pub struct CacheMetrics {
    pub hits: Counter,
    pub misses: Counter,
    pub errors: Counter,
}

impl Metrics {
    pub fn new(
        endpoints: &[Endpoint],
        store: Arc<OnceLock<Store>>,
        pool_size: usize,
        logs: LogSink,
        traces: Traces,
    ) -> Self {
        let requests = Arc::new(RequestMetrics::new(endpoints));
        let database = DatabaseTelemetry::new(traces.clone());
        let cache = CacheMetrics::default();

        let mut registry = Registry::default();
        registry.register_collector(Box::new(Arc::clone(&requests)));
        registry.register_collector(Box::new(database.clone()));
        registry.register_collector(Box::new(PoolMetrics { store, pool_size }));
        registry.register("cache_hits", "Lists served from the cache", cache.hits.clone());
        registry.register(
            "cache_misses",
            "Lists that the cache did not hold",
            cache.misses.clone(),
        );
        let help = "Cache operations that failed or took too long; each costs no more than a miss";
        registry.register("cache_errors", help, cache.errors.clone());
        registry.register_collector(Box::new(ProcessMetrics::new()));
        registry.register_collector(Box::new(LogMetrics(logs)));
        registry.register_collector(Box::new(traces));
        Self {
            requests,
            database,
            cache,
            registry,
        }
    }

    /// In the OpenMetrics text format, or None if a collector cannot write itself.
    pub fn encode(&self) -> Option<String> {
        let mut text = String::with_capacity(32 * 1024);
        text::encode(&mut text, &self.registry).ok()?;
        Some(text)
    }
}

#[derive(Debug)]
struct PoolMetrics {
    store: Arc<OnceLock<Store>>,
    pool_size: usize,
}

impl Collector for PoolMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder) -> std::fmt::Result {
        let unconnected = PoolStatus {
            max: self.pool_size,
            used: 0,
            idle: 0,
            waiting: 0,
        };
        let status = self.store.get().map_or(unconnected, Store::pool_status);
        let help = "Connections to the database, by state";
        let mut family = encoder.encode_descriptor("db_pool_connections", help, None, MetricType::Gauge)?;
        for (state, count) in [("used", status.used), ("idle", status.idle)] {
            family
                .encode_family(&[("state", state)])?
                .encode_gauge(&(count as f64))?;
        }
        let help = "Connections to the database that may be open at once";
        encoder
            .encode_descriptor("db_pool_max_connections", help, None, MetricType::Gauge)?
            .encode_gauge(&(status.max as f64))?;
        let help = "Statements that wait for a connection to the database";
        encoder
            .encode_descriptor("db_pool_waiting", help, None, MetricType::Gauge)?
            .encode_gauge(&(status.waiting as f64))
    }
}

#[derive(Debug)]
struct LogMetrics(LogSink);

impl Collector for LogMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder) -> std::fmt::Result {
        let help = "Log lines dropped because they could not be written fast enough";
        encoder
            .encode_descriptor("log_lines_dropped", help, None, MetricType::Counter)?
            .encode_counter::<prometheus_client::encoding::NoLabelSet, _, u64>(&self.0.dropped(), None)
    }
}
