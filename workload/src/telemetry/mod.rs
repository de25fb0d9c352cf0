//! What the service says about itself: log lines, spans and metrics.

mod metrics;
mod process;
mod traces;

use std::time::Duration;

use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

pub(crate) use self::metrics::Metrics;
use crate::config::Config;

/// A request must never wait for whoever reads the log: further lines are dropped and counted.
const MOST_BUFFERED_LINES: usize = 16 * 1024;
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);

/// Logs and spans, from the start of the process to its end.
#[derive(Debug)]
pub struct Telemetry {
    provider: SdkTracerProvider,
    /// Counts the log lines that nobody read in time.
    pub dropped_lines: ErrorCounter,
    /// Writes what is buffered when it is dropped.
    _log_writer: WorkerGuard,
}

impl Telemetry {
    pub fn init(config: &Config) -> anyhow::Result<Self> {
        let (writer, log_writer) = NonBlockingBuilder::default()
            .buffered_lines_limit(MOST_BUFFERED_LINES)
            .finish(std::io::stdout());
        let dropped_lines = writer.error_counter();
        let lines = fmt::layer()
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .with_target(false)
            .with_writer(writer);
        let provider = traces::provider()?;
        let spans = tracing_opentelemetry::layer()
            .with_tracer(provider.tracer("tasks"))
            .with_location(false)
            .with_threads(false)
            // The service's own spans, and none of the libraries'.
            .with_filter(Targets::new().with_target("tasks", LevelFilter::INFO));
        tracing_subscriber::registry()
            .with(lines.with_filter(config.log_level.clone()))
            .with(spans)
            .try_init()?;
        Ok(Self {
            provider,
            dropped_lines,
            _log_writer: log_writer,
        })
    }

    /// Sends the spans that are left.
    pub fn shutdown(self) {
        if let Err(error) = self.provider.shutdown_with_timeout(SHUTDOWN_TIMEOUT) {
            tracing::warn!(%error, "the last spans were not exported");
        }
    }
}
