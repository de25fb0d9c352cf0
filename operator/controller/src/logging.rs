//! Log lines: JSON for machines, text for people; `RUST_LOG` chooses what is logged.

use tracing_subscriber::{EnvFilter, fmt};

use crate::LogFormat;

/// Sets the process's logging up. A second call, or one after another logger was set up, changes nothing.
pub fn init_logging(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let subscriber = fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let _ = match format {
        LogFormat::Json => subscriber.json().flatten_event(true).try_init(),
        LogFormat::Text => subscriber.try_init(),
    };
}
