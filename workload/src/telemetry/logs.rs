//! Log lines: JSON for machines, text for people.

use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{Layer, fmt};

use super::LogSink;
use crate::config::LogFormat;

/// Sends every log line of this process to `sink`.
pub fn init(format: LogFormat, level: Targets, sink: LogSink) -> Result<(), TryInitError> {
    let lines = match format {
        LogFormat::Json => fmt::layer()
            .json()
            .flatten_event(true)
            .with_target(false)
            .with_writer(sink)
            .boxed(),
        LogFormat::Text => fmt::layer()
            .with_target(false)
            .with_ansi(false)
            .with_writer(sink)
            .boxed(),
    };
    tracing_subscriber::registry()
        .with(lines.with_filter(level))
        .try_init()
}
