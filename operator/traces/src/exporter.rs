//! Spans, sent to a collector in OTLP over HTTP, as JSON.
//!
//! A finished span is written as JSON into one shared buffer, which a task sends every second: the
//! same way as the log lines go, and as cheap. OpenTelemetry's SDK would cost more than the service itself.

use std::fmt::Display;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use serde::{Serialize, Serializer};
use tokio::sync::Notify;

use crate::context::{SpanContext, SpanId, TraceId};
use crate::otlp::Destination;
use crate::sampler::Sampler;

const INTERVAL: Duration = Duration::from_secs(1);
/// A batch of this size is sent without waiting for the interval's end.
const BATCH: usize = 1024 * 1024;
/// When this much waits, the collector does not keep up, and spans are dropped.
const FULL: usize = 4 * BATCH;
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// Where spans go. Without a collector a trace is still carried on, but nothing is recorded.
#[derive(Debug, Clone, Default)]
pub struct Traces(Option<Arc<Exporter>>);

#[derive(Debug)]
struct Exporter {
    destination: Destination,
    sampler: Sampler,
    waiting: Mutex<Batch>,
    large: Notify,
    exported: AtomicU64,
    dropped: AtomicU64,
}

#[derive(Debug, Default)]
struct Batch {
    spans: u64,
    json: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
pub enum SpanKind {
    Internal = 1,
    Server = 2,
    Client = 3,
}

/// A finished piece of work.
#[derive(Debug, Clone, Copy)]
pub struct Span<'a> {
    pub context: SpanContext,
    pub parent: Option<SpanId>,
    pub kind: SpanKind,
    pub name: &'a str,
    pub duration: Duration,
    pub attributes: &'a [(&'a str, Attribute<'a>)],
    pub failed: bool,
}

#[derive(Debug, Clone, Copy, Serialize)]
pub enum Attribute<'a> {
    #[serde(rename = "stringValue")]
    Text(&'a str),
    #[serde(rename = "intValue")]
    Number(u16),
}

impl Traces {
    /// Sends spans to `destination` from now on.
    pub(super) fn start(destination: Destination, sampler: Sampler) -> Self {
        let exporter = Arc::new(Exporter {
            destination,
            sampler,
            waiting: Mutex::default(),
            large: Notify::new(),
            exported: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        });
        let sender = Arc::clone(&exporter);
        tokio::spawn(async move {
            let mut reachable = true;
            loop {
                let _ = tokio::time::timeout(INTERVAL, sender.large.notified()).await;
                sender.export(&mut reachable).await;
            }
        });
        Self(Some(exporter))
    }

    /// The context of a new span: the caller's trace carried on, or a new one.
    pub fn begin(&self, caller: Option<&SpanContext>) -> SpanContext {
        let trace_id = caller.map_or_else(TraceId::random, |caller| caller.trace_id);
        let sampled = match &self.0 {
            Some(exporter) => exporter.sampler.samples(trace_id, caller),
            None => caller.is_some_and(|caller| caller.sampled),
        };
        SpanContext {
            trace_id,
            span_id: SpanId::random(),
            sampled,
        }
    }

    /// Records a span that ended just now, if its trace is recorded.
    pub fn record(&self, span: &Span) {
        let Some(exporter) = self.0.as_ref().filter(|_| span.context.sampled) else {
            return;
        };
        let ended = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut batch = exporter.batch();
        if batch.json.len() >= FULL {
            drop(batch);
            exporter.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        if batch.spans > 0 {
            batch.json.push(b',');
        }
        // Strings and numbers always have a JSON form and a Vec takes every write.
        let written = serde_json::to_writer(&mut batch.json, &span.otlp(ended));
        debug_assert!(written.is_ok());
        batch.spans += 1;
        if batch.json.len() >= BATCH {
            exporter.large.notify_one();
        }
    }

    /// Sends what still waits, at the end of the process.
    pub async fn flush(&self) {
        if let Some(exporter) = &self.0 {
            let _ = tokio::time::timeout(FLUSH_TIMEOUT, exporter.export(&mut true)).await;
        }
    }
}

impl Exporter {
    fn batch(&self) -> MutexGuard<'_, Batch> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn export(&self, reachable: &mut bool) {
        let batch = std::mem::take(&mut *self.batch());
        if batch.spans == 0 {
            return;
        }
        match self.destination.send(&batch.json).await {
            Ok(()) => {
                *reachable = true;
                self.exported.fetch_add(batch.spans, Ordering::Relaxed);
            }
            Err(error) => {
                self.dropped.fetch_add(batch.spans, Ordering::Relaxed);
                if std::mem::replace(reachable, false) {
                    tracing::warn!(error, collector = %self.destination, "cannot export traces; dropping them until it works");
                }
            }
        }
    }
}

impl Collector for Traces {
    fn encode(&self, mut encoder: DescriptorEncoder) -> std::fmt::Result {
        let Some(exporter) = &self.0 else { return Ok(()) };
        for (name, help, count) in [
            (
                "trace_spans_exported",
                "Spans that the collector has taken",
                &exporter.exported,
            ),
            (
                "trace_spans_dropped",
                "Spans that the collector could not be given",
                &exporter.dropped,
            ),
        ] {
            encoder
                .encode_descriptor(name, help, None, MetricType::Counter)?
                .encode_counter::<NoLabelSet, _, u64>(&count.load(Ordering::Relaxed), None)?;
        }
        Ok(())
    }
}

/// Written straight into the batch: a busy service records tens of thousands of them a second.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OtlpSpan<'a> {
    trace_id: Text<TraceId>,
    span_id: Text<SpanId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_span_id: Option<Text<SpanId>>,
    name: &'a str,
    kind: u8,
    start_time_unix_nano: Text<u128>,
    end_time_unix_nano: Text<u128>,
    attributes: Attributes<'a>,
    status: Status,
}

/// Anything that is shown as text, as a JSON string.
struct Text<T>(T);

struct Attributes<'a>(&'a [(&'a str, Attribute<'a>)]);

#[derive(Serialize)]
pub(super) struct KeyValue<'a> {
    pub(super) key: &'a str,
    pub(super) value: Attribute<'a>,
}

#[derive(Serialize)]
struct Status {
    code: u8,
}

impl<T: Display> Serialize for Text<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl Serialize for Attributes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|(key, value)| KeyValue { key, value: *value }))
    }
}

impl Span<'_> {
    fn otlp(&self, ended: Duration) -> OtlpSpan<'_> {
        const ERROR: u8 = 2;
        OtlpSpan {
            trace_id: Text(self.context.trace_id),
            span_id: Text(self.context.span_id),
            parent_span_id: self.parent.map(Text),
            name: self.name,
            kind: self.kind as u8,
            start_time_unix_nano: Text(ended.saturating_sub(self.duration).as_nanos()),
            end_time_unix_nano: Text(ended.as_nanos()),
            attributes: Attributes(self.attributes),
            status: Status {
                code: if self.failed { ERROR } else { 0 },
            },
        }
    }
}
