//! The operator's settings, by flag or by environment.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use clap::{Args, ValueEnum};
use observedapp_desired::Settings;

use crate::prometheus::{Access, PrometheusSettings};
use crate::traces::TRACES_HELP;

/// The operator's own settings.
#[derive(Args, Clone, Debug)]
#[command(after_help = TRACES_HELP)]
pub struct RunOptions {
    /// The namespaces whose apps this operator runs, separated by commas; without it all.
    #[arg(
        long,
        env = "OBSERVEDAPP_NAMESPACES",
        value_delimiter = ',',
        value_name = "NAMESPACE"
    )]
    pub namespaces: Vec<String>,

    /// Where Prometheus, Thanos or Mimir answers; without it, it is found from the cluster's Prometheus objects.
    #[arg(long, env = "OBSERVEDAPP_PROMETHEUS_URL", value_name = "URL")]
    pub prometheus_url: Option<String>,

    /// The namespaces whose Prometheus objects are trusted, separated by commas: they say how monitors and rules are
    /// labelled, are asked for all figures, and may reach the metrics ports. Without it, that of the oldest Prometheus
    /// which selects the operator's own ServiceMonitor.
    #[arg(
        long,
        env = "OBSERVEDAPP_PROMETHEUS_NAMESPACES",
        value_delimiter = ',',
        value_name = "NAMESPACE"
    )]
    pub prometheus_namespaces: Vec<String>,

    /// The operator's own ServiceMonitor, in its own namespace: what selects it is trusted where no namespaces are named.
    #[arg(long, env = "OBSERVEDAPP_SERVICE_MONITOR", value_name = "NAME")]
    pub service_monitor: Option<String>,

    /// A file with the bearer token for Prometheus; it is read again when it changes. It is sent to --prometheus-url, or
    /// by HTTPS.
    #[arg(long, env = "OBSERVEDAPP_PROMETHEUS_TOKEN_FILE", value_name = "FILE")]
    pub prometheus_token_file: Option<std::path::PathBuf>,

    /// A file with the certificate authorities, in PEM, that Prometheus is trusted by; without it the system's.
    #[arg(long, env = "OBSERVEDAPP_PROMETHEUS_CA_FILE", value_name = "FILE")]
    pub prometheus_ca_file: Option<std::path::PathBuf>,

    /// A header for every request to Prometheus, such as `X-Scope-OrgID=shop`; may be given several times. It is sent
    /// where the token is.
    #[arg(long, env = "OBSERVEDAPP_PROMETHEUS_HEADERS", value_delimiter = ',', value_parser = key_value, value_name = "NAME=VALUE")]
    pub prometheus_headers: Vec<(String, String)>,

    /// Labels for ServiceMonitors, Probes and PrometheusRules; without it they are taken from the selectors of the
    /// trusted Prometheus objects.
    #[arg(long, env = "OBSERVEDAPP_MONITOR_LABELS", value_delimiter = ',', value_parser = key_value, value_name = "KEY=VALUE")]
    pub monitor_labels: Vec<(String, String)>,

    /// `host:port` of a blackbox exporter; without it no Probes are made.
    #[arg(long, env = "OBSERVEDAPP_PROBER_URL", value_name = "HOST:PORT")]
    pub prober_url: Option<String>,

    /// Repository of the Postgres image; the tag is the version.
    #[arg(long, env = "OBSERVEDAPP_POSTGRES_IMAGE", value_name = "REPOSITORY", default_value_t = Settings::default().postgres_image)]
    pub postgres_image: String,

    /// Repository of the Redis image; the tag is the version.
    #[arg(long, env = "OBSERVEDAPP_REDIS_IMAGE", value_name = "REPOSITORY", default_value_t = Settings::default().redis_image)]
    pub redis_image: String,

    /// The Postgres exporter's image, with its tag.
    #[arg(long, env = "OBSERVEDAPP_POSTGRES_EXPORTER_IMAGE", value_name = "IMAGE", default_value_t = Settings::default().postgres_exporter_image)]
    pub postgres_exporter_image: String,

    /// The Redis exporter's image, with its tag.
    #[arg(long, env = "OBSERVEDAPP_REDIS_EXPORTER_IMAGE", value_name = "IMAGE", default_value_t = Settings::default().redis_exporter_image)]
    pub redis_exporter_image: String,

    /// Where Grafana answers, for the links in alerts.
    #[arg(long, env = "OBSERVEDAPP_GRAFANA_URL", value_name = "URL")]
    pub grafana_url: Option<String>,

    /// The folder that holds the runbook pages, for the links in alerts.
    #[arg(long, env = "OBSERVEDAPP_RUNBOOK_URL", value_name = "URL", default_value_t = Settings::default().runbook_url)]
    pub runbook_url: String,

    /// How many apps are reconciled at the same time.
    #[arg(long, env = "OBSERVEDAPP_CONCURRENCY", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    pub concurrency: u16,

    /// Work only while holding a Lease, so that a second replica can stand by.
    #[arg(long, env = "OBSERVEDAPP_LEADER_ELECT")]
    pub leader_elect: bool,

    /// The name of the Lease: replicas that stand in for each other have the same, and no others.
    #[arg(
        long,
        env = "OBSERVEDAPP_LEADER_ELECT_NAME",
        value_name = "NAME",
        default_value = "observedapp"
    )]
    pub leader_elect_name: String,

    /// The operator's own namespace: that of its Lease and of its ServiceMonitor.
    #[arg(
        long,
        env = "POD_NAMESPACE",
        value_name = "NAMESPACE",
        default_value = "default"
    )]
    pub leader_elect_namespace: String,

    /// The name under which this replica holds the Lease and reports Events.
    #[arg(long, env = "POD_NAME", value_name = "NAME", default_value_t = default_identity())]
    pub identity: String,

    /// How log lines are written.
    #[arg(long, env = "OBSERVEDAPP_LOG_FORMAT", value_enum, default_value_t = LogFormat::Json)]
    pub log_format: LogFormat,

    /// Where /metrics, /healthz and /readyz are served.
    #[arg(
        long,
        env = "OBSERVEDAPP_LISTEN",
        value_name = "ADDRESS:PORT",
        default_value = "0.0.0.0:8080"
    )]
    pub listen: SocketAddr,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

impl RunOptions {
    /// Which Prometheus is asked, and whose objects count.
    pub(crate) fn prometheus(&self) -> PrometheusSettings {
        let url = self.prometheus_url.as_deref();
        PrometheusSettings {
            url: url.map(|url| url.trim_end_matches('/').to_owned()),
            namespaces: self.prometheus_namespaces.iter().cloned().collect(),
            own_monitor: self
                .service_monitor
                .clone()
                .map(|name| (self.leader_elect_namespace.clone(), name)),
            monitor_labels: self.settings().monitor_labels,
            confined: !self.namespaces.is_empty(),
        }
    }

    /// How to get in at Prometheus.
    pub(crate) fn prometheus_access(&self) -> Access {
        Access {
            token_file: self.prometheus_token_file.clone(),
            ca_file: self.prometheus_ca_file.clone(),
            headers: self.prometheus_headers.clone(),
        }
    }

    /// The settings that shape objects.
    pub fn settings(&self) -> Settings {
        Settings {
            postgres_image: self.postgres_image.clone(),
            redis_image: self.redis_image.clone(),
            postgres_exporter_image: self.postgres_exporter_image.clone(),
            redis_exporter_image: self.redis_exporter_image.clone(),
            monitor_labels: (!self.monitor_labels.is_empty())
                .then(|| self.monitor_labels.iter().cloned().collect::<BTreeMap<_, _>>()),
            prober_url: self.prober_url.clone(),
            grafana_url: self.grafana_url.clone(),
            runbook_url: self.runbook_url.clone(),
        }
    }
}

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), value.trim().to_owned())),
        _ => Err(format!("`{text}` is not of the form NAME=VALUE")),
    }
}

/// The host's name is the pod's in a cluster; elsewhere the process id distinguishes two on one host.
fn default_identity() -> String {
    let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "observedapp".to_owned());
    format!("{host}-{}", std::process::id())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use clap::Parser;

    use super::RunOptions;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        options: RunOptions,
    }

    #[test]
    fn labels_and_namespaces_are_lists() {
        let cli = Cli::try_parse_from([
            "run",
            "--namespaces=a,b",
            "--monitor-labels=release=kps,team=shop",
        ])
        .unwrap();
        assert_eq!(cli.options.namespaces, ["a", "b"]);
        let labels = cli.options.settings().monitor_labels.unwrap();
        assert_eq!(labels["release"], "kps");
        assert_eq!(labels["team"], "shop");
    }

    #[test]
    fn a_label_without_a_value_is_refused_with_its_text() {
        let error = Cli::try_parse_from(["run", "--monitor-labels=release"])
            .err()
            .unwrap();
        assert!(
            error
                .to_string()
                .contains("`release` is not of the form NAME=VALUE")
        );
    }
}
