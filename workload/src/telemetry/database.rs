//! What the database is asked, how long it takes and how often it fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use traces::{Attribute, CURRENT, Span, SpanKind, Traces};

use super::histogram::Histogram;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    List,
    Add,
    Update,
    Delete,
    Probe,
}

const OPERATIONS: [&str; 5] = ["list", "add", "update", "delete", "probe"];

/// What is seen of the database: figures for all operations, and a span for each that belongs to a recorded request.
#[derive(Debug, Clone)]
pub struct DatabaseTelemetry {
    operations: Arc<[Series; OPERATIONS.len()]>,
    traces: Traces,
}

#[derive(Debug, Default)]
struct Series {
    errors: AtomicU64,
    duration: Histogram,
}

impl DatabaseTelemetry {
    pub fn new(traces: Traces) -> Self {
        Self {
            operations: Arc::default(),
            traces,
        }
    }

    /// An operation that was asked of the database.
    pub fn record(&self, operation: Operation, duration: Duration, failed: bool) {
        let series = &self.operations[operation as usize];
        series.duration.observe(duration);
        series.errors.fetch_add(u64::from(failed), Ordering::Relaxed);
        self.trace(operation, duration, failed);
    }

    /// A request's part in an operation.
    pub fn trace(&self, operation: Operation, duration: Duration, failed: bool) {
        let _ = CURRENT.try_with(|request| {
            self.traces.record(&Span {
                context: self.traces.begin(Some(request)),
                parent: Some(request.span_id),
                kind: SpanKind::Client,
                name: OPERATIONS[operation as usize],
                duration,
                attributes: &[("db.collection.name", Attribute::Text("tasks"))],
                failed,
            });
        });
    }
}

impl Collector for DatabaseTelemetry {
    fn encode(&self, mut encoder: DescriptorEncoder) -> std::fmt::Result {
        let help = "Time that a database operation took, the wait for a connection included, in seconds";
        let mut family =
            encoder.encode_descriptor("db_operation_duration_seconds", help, None, MetricType::Histogram)?;
        for (operation, series) in OPERATIONS.iter().zip(&*self.operations) {
            series
                .duration
                .encode(family.encode_family(&[("operation", *operation)])?)?;
        }
        let help = "Database operations that failed";
        let mut family = encoder.encode_descriptor("db_errors", help, None, MetricType::Counter)?;
        for (operation, series) in OPERATIONS.iter().zip(&*self.operations) {
            let errors = series.errors.load(Ordering::Relaxed);
            family
                .encode_family(&[("operation", *operation)])?
                .encode_counter::<NoLabelSet, _, u64>(&errors, None)?;
        }
        Ok(())
    }
}
