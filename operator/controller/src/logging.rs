//! Log lines: JSON for machines, text for people; `RUST_LOG` chooses what is logged.

use tracing_subscriber::{EnvFilter, fmt};

use crate::LogFormat;

/// Sets the process's logging up. A second call, or one after another logger was set up, changes nothing.
pub fn init_logging(format: LogFormat) {
    let asked = std::env::var(EnvFilter::DEFAULT_ENV).ok();
    let filter = asked
        .as_deref()
        .and_then(|asked| EnvFilter::try_new(filter(asked)).ok())
        .unwrap_or_else(|| EnvFilter::new(filter("info")));
    let subscriber = fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let _ = match format {
        LogFormat::Json => subscriber.json().flatten_event(true).try_init(),
        LogFormat::Text => subscriber.try_init(),
    };
}

/// What is asked for, less what only repeats it: the client logs that a request failed, but not which; we do, with what
/// it was about and what to do.
fn filter(asked: &str) -> String {
    if asked.contains("kube_client") {
        asked.to_owned()
    } else {
        format!("{asked},kube_client::client::builder=off")
    }
}

#[cfg(test)]
mod tests {
    use super::filter;

    #[test]
    fn the_client_is_heard_only_when_asked_for() {
        assert_eq!(filter("info"), "info,kube_client::client::builder=off");
        assert_eq!(filter("warn,kube_client=debug"), "warn,kube_client=debug");
    }
}
