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

/// Targets that only repeat what the operator logs itself, with what it was about and what to do.
const REPEATED: [(&str, &str); 2] = [
    ("kube_client", "kube_client::client::builder=off"),
    ("opentelemetry", "opentelemetry-otlp=off"),
];

/// What is asked for, less what is repeated, unless that was asked for by name.
fn filter(asked: &str) -> String {
    let unnamed = REPEATED.iter().filter(|(name, _)| !asked.contains(name));
    let directives = unnamed.map(|(_, directive)| *directive);
    [asked]
        .into_iter()
        .chain(directives)
        .collect::<Vec<_>>()
        .join(",")
}

#[cfg(test)]
mod tests {
    use super::filter;

    #[test]
    fn libraries_that_repeat_are_heard_only_when_asked_for() {
        assert_eq!(
            filter("info"),
            "info,kube_client::client::builder=off,opentelemetry-otlp=off"
        );
        assert_eq!(
            filter("warn,kube_client=debug"),
            "warn,kube_client=debug,opentelemetry-otlp=off"
        );
    }
}
