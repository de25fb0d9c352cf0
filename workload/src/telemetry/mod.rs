//! What the service says about itself: metrics, logs, traces.

pub mod context;
mod database;
mod histogram;
mod link;
mod logs;
mod metrics;
mod otlp;
mod process;
mod requests;
mod sampler;
mod sink;
mod traces;

pub use self::database::{DatabaseTelemetry, Operation};
pub use self::logs::init as init_logs;
pub use self::metrics::{CacheMetrics, Metrics};
pub use self::otlp::TraceConfig;
pub use self::requests::{Endpoint, InFlight, RequestMetrics};
pub use self::sink::LogSink;
pub use self::traces::{Attribute, Span, SpanKind, Traces};
