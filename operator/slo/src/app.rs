//! What the rules must know of the app they are about.

use crate::duration::PromDuration;
use crate::names::RELEASE_BEGAN;
use crate::promql::{Matcher, Matchers, MetricName};

/// An app whose series carry `namespace` and `job`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct App {
    pub namespace: String,
    pub name: String,
    /// What the app exposes, where it is scraped.
    pub metrics: Option<Metrics>,
    /// The black-box check, where there is one.
    pub probe: Option<Probe>,
    pub links: Links,
}

/// The app's own request metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metrics {
    pub requests: MetricName,
    /// What makes a request a failed one.
    pub errors: Matchers,
    /// A histogram's name, without `_bucket`.
    pub latency: MetricName,
    pub histogram: Histogram,
    pub interval: PromDuration,
}

/// How the latency histogram is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Histogram {
    /// Series with `le`.
    Classic,
    /// One series a histogram, buckets inside.
    Native,
    /// Each replica's classic form where it has the threshold's bucket, else its native one: nobody has to say
    /// which, and an app may change.
    #[default]
    Either,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    pub interval: PromDuration,
}

/// What an alert's reader needs beside its figures.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Links {
    /// The folder of the runbook pages; `NAME.md` is added for the alert's name.
    pub runbooks: Option<String>,
    pub dashboard: Option<String>,
    /// Whether the alerts of objectives name a release that began within the last day: the operator exports when.
    pub releases: bool,
}

impl App {
    pub(crate) fn namespace_matcher(&self) -> Matcher {
        Matcher::equal("namespace", &self.namespace)
    }

    /// Says which release began within the last day, and how long ago; nothing where none did, or where Prometheus has
    /// no metrics of the operator.
    pub(crate) fn newest_release(&self) -> String {
        if !self.links.releases {
            return String::new();
        }
        let began = format!(
            r#"{RELEASE_BEGAN}{{namespace="{}",app="{}"}}"#,
            self.namespace, self.name
        );
        format!(
            "{{{{ with query `time() - {began} < 86400` }}}}{{{{ with first . }}}} \
             Release {{{{ .Labels.release }}}} began {{{{ .Value | humanizeDuration }}}} ago.{{{{ end }}}}{{{{ end }}}}"
        )
    }

    /// Selects the series of the app's own job.
    pub(crate) fn job(&self) -> Vec<Matcher> {
        self.job_with_suffix("")
    }

    pub(crate) fn probe_job(&self) -> Vec<Matcher> {
        self.job_with_suffix("-probe")
    }

    pub(crate) fn database_job(&self) -> Vec<Matcher> {
        self.job_with_suffix("-db")
    }

    fn job_with_suffix(&self, suffix: &str) -> Vec<Matcher> {
        vec![
            self.namespace_matcher(),
            Matcher::equal("job", &format!("{}{suffix}", self.name)),
        ]
    }

    /// Selects the app's container in cAdvisor's series: a container of another app may bear the same name.
    pub(crate) fn container(&self) -> Vec<Matcher> {
        vec![
            self.namespace_matcher(),
            Matcher::matches("pod", deployment_pods(&self.name)),
            Matcher::equal("container", &self.name),
        ]
    }

    /// Selects what the operator exports about the app.
    pub(crate) fn exported(&self) -> Vec<Matcher> {
        vec![self.namespace_matcher(), Matcher::equal("app", &self.name)]
    }
}

/// A regex for the pods of a Deployment of this name: a ReplicaSet's hash and five characters follow it. A Deployment
/// whose name only begins the same has pods with one more dash.
pub fn deployment_pods(name: &str) -> String {
    format!("{name}-[a-z0-9]+-[a-z0-9]{{5}}")
}
