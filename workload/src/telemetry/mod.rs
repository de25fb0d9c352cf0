//! What the service says about itself: metrics and logs. Spans are the crate `traces`.

mod database;
mod histogram;
mod json_lines;
mod logs;
mod metrics;
mod process;
mod requests;
mod sink;

pub use self::database::{DatabaseTelemetry, Operation};
pub use self::logs::init as init_logs;
pub use self::metrics::{CacheMetrics, Metrics};
pub use self::requests::{Endpoint, InFlight, RequestMetrics};
pub use self::sink::LogSink;
