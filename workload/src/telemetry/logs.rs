//! Log lines: JSON for machines, text for people.

use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{Layer, fmt};

use super::LogSink;
use super::json_lines::JsonLines;
use crate::config::LogFormat;

/// Sends every log line of this process to `sink`.
pub fn init(format: LogFormat, level: Targets, sink: LogSink) -> Result<(), TryInitError> {
    let lines = match format {
        LogFormat::Json => JsonLines(sink).boxed(),
        LogFormat::Text => fmt::layer()
            .with_target(false)
            .with_ansi(false)
            .with_writer(sink)
            .boxed(),
    };
    // For all layers, not for this one: that would keep books on every line.
    tracing_subscriber::registry().with(level).with(lines).try_init()
}
