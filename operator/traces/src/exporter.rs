//! Spans, sent to a collector in OTLP over HTTP, as Protocol Buffers.
//!
//! A finished span is written into one shared buffer, which a task sends every second: the same way as the log lines go,
//! and as cheap. OpenTelemetry's SDK would cost more than the service itself.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use tokio::sync::Notify;

use crate::context::{SpanContext, SpanId, TraceId};
use crate::otlp::Destination;
use crate::protobuf;
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
    count: u64,
    /// One after the other, each as a field of the message that they are sent in.
    spans: Vec<u8>,
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

#[derive(Debug, Clone, Copy)]
pub enum Attribute<'a> {
    Text(&'a str),
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
        if batch.spans.len() >= FULL {
            drop(batch);
            exporter.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        span.write(&mut batch.spans, ended);
        batch.count += 1;
        if batch.spans.len() >= BATCH {
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

impl Batch {
    /// Leaves room for as much again, so that a busy service does not copy its spans from a smaller buffer to a larger one.
    fn take(&mut self) -> Self {
        let next = Self {
            count: 0,
            spans: Vec::with_capacity(self.spans.len()),
        };
        std::mem::replace(self, next)
    }
}

impl Exporter {
    fn batch(&self) -> MutexGuard<'_, Batch> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn export(&self, reachable: &mut bool) {
        let Batch { count, spans } = self.batch().take();
        if count == 0 {
            return;
        }
        match self.destination.send(spans.into()).await {
            Ok(()) => {
                *reachable = true;
                self.exported.fetch_add(count, Ordering::Relaxed);
            }
            Err(error) => {
                self.dropped.fetch_add(count, Ordering::Relaxed);
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

impl Span<'_> {
    /// As a field of OTLP's `ScopeSpans`.
    fn write(&self, out: &mut Vec<u8>, ended: Duration) {
        const SPANS: u32 = 2;
        const STATUS_ERROR: u64 = 2;
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        protobuf::message(out, SPANS, |out| {
            protobuf::bytes(out, 1, &self.context.trace_id.0.to_be_bytes());
            protobuf::bytes(out, 2, &self.context.span_id.0.to_be_bytes());
            if let Some(parent) = self.parent {
                protobuf::bytes(out, 4, &parent.0.to_be_bytes());
            }
            protobuf::bytes(out, 5, self.name.as_bytes());
            protobuf::number(out, 6, self.kind as u64);
            protobuf::fixed64(out, 7, nanos(ended.saturating_sub(self.duration)));
            protobuf::fixed64(out, 8, nanos(ended));
            for (key, value) in self.attributes {
                value.write(out, 9, key);
            }
            if self.failed {
                protobuf::message(out, 15, |out| protobuf::number(out, 3, STATUS_ERROR));
            }
        });
    }
}

impl Attribute<'_> {
    /// As a field of key and value.
    pub(crate) fn write(self, out: &mut Vec<u8>, field: u32, key: &str) {
        protobuf::message(out, field, |out| {
            protobuf::bytes(out, 1, key.as_bytes());
            protobuf::message(out, 2, |out| match self {
                Self::Text(text) => protobuf::bytes(out, 1, text.as_bytes()),
                Self::Number(number) => protobuf::number(out, 3, number.into()),
            });
        });
    }
}
