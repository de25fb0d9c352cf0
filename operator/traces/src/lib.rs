//! Spans, sent to an OpenTelemetry collector, and what carries a trace from one program to the next.
//!
//! OpenTelemetry's SDK would cost the task service more than its own work; here a finished span is some bytes in a
//! buffer, and where no collector is configured nothing at all.

mod context;
mod exporter;
mod link;
mod otlp;
mod protobuf;
mod sampler;

pub use context::{CURRENT, SpanContext, SpanId, TRACEPARENT, TraceId};
pub use exporter::{Attribute, Span, SpanKind, Traces};
pub use otlp::TraceConfig;
