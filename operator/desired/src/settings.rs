//! What the operator was started with, as far as it shapes objects.

use std::collections::BTreeMap;

/// The operator's own settings that end up in objects; the same for every app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Repository of the Postgres image; the tag is the version.
    pub postgres_image: String,
    /// Repository of the Redis image; the tag is the version.
    pub redis_image: String,
    /// The Postgres exporter's image, with its tag.
    pub postgres_exporter_image: String,
    /// The Redis exporter's image, with its tag.
    pub redis_exporter_image: String,
    /// Labels for monitors, probes and rules, where they are not to be taken from Prometheus' selectors.
    pub monitor_labels: Option<BTreeMap<String, String>>,
    /// `host:port` of a blackbox exporter; without it no Probe is made.
    pub prober_url: Option<String>,
    /// Where Grafana answers, for the links in alerts.
    pub grafana_url: Option<String>,
    /// The folder that holds the runbook pages, for the links in alerts.
    pub runbook_url: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            postgres_image: "docker.io/library/postgres".to_owned(),
            redis_image: "docker.io/library/redis".to_owned(),
            postgres_exporter_image: "quay.io/prometheuscommunity/postgres-exporter:v0.17.1".to_owned(),
            redis_exporter_image: "docker.io/oliver006/redis_exporter:v1.82.0".to_owned(),
            monitor_labels: None,
            prober_url: None,
            grafana_url: None,
            runbook_url: "https://github.com/observedapp/observedapp/blob/main/manifests/runbooks".to_owned(),
        }
    }
}
