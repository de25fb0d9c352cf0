//! Metrics, the probe, SLOs and alerts.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where and how Prometheus scrapes the app, and which of its series mean what.
#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct MetricsSpec {
    /// The port that serves the metrics; without it the app's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i32>,
    /// The path that serves the metrics.
    #[schemars(length(min = 1, max = 1024))]
    pub path: String,
    /// How often Prometheus scrapes: from `5s` to `2m`.
    #[schemars(length(min = 1, max = 32))]
    pub interval: String,
    /// How the three below are named where they are not given: `opentelemetry` as in OpenTelemetry's semantic conventions
    /// for HTTP servers; without it as Prometheus' own client libraries do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preset: Option<MetricsPreset>,
    /// The counter of requests: `http_requests_total`, unless a preset names another.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub requests: Option<String>,
    /// Label matchers that make a request of that counter a failed one: `code=~"5.."`, unless a preset names others.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub errors: Option<String>,
    /// The histogram of request durations, in seconds: `http_request_duration_seconds`, unless a preset names another.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub latency: Option<String>,
}

/// A convention by which HTTP metrics are named.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MetricsPreset {
    OpenTelemetry,
}

/// How an app's HTTP metrics are named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetricNames<'a> {
    pub requests: &'a str,
    pub errors: &'a str,
    pub latency: &'a str,
    /// The label that holds the route.
    pub route: &'a str,
}

impl MetricsSpec {
    /// What is given, and for the rest the preset's names.
    pub fn names(&self) -> MetricNames<'_> {
        let preset = match self.preset {
            None => MetricNames {
                requests: "http_requests_total",
                errors: r#"code=~"5..""#,
                latency: "http_request_duration_seconds",
                route: "route",
            },
            // https://opentelemetry.io/docs/specs/semconv/http/http-metrics/, as Prometheus spells it.
            Some(MetricsPreset::OpenTelemetry) => MetricNames {
                requests: "http_server_request_duration_seconds_count",
                errors: r#"http_response_status_code=~"5..""#,
                latency: "http_server_request_duration_seconds",
                route: "http_route",
            },
        };
        MetricNames {
            requests: self.requests.as_deref().unwrap_or(preset.requests),
            errors: self.errors.as_deref().unwrap_or(preset.errors),
            latency: self.latency.as_deref().unwrap_or(preset.latency),
            route: preset.route,
        }
    }
}

impl Default for MetricsSpec {
    fn default() -> Self {
        Self {
            port: None,
            path: "/metrics".to_owned(),
            interval: "15s".to_owned(),
            preset: None,
            requests: None,
            errors: None,
            latency: None,
        }
    }
}

/// A check from outside: through the Ingress's URL if there is one, else the HTTPRoute's, else the Service's.
#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ProbeSpec {
    /// The path to ask for.
    #[schemars(length(min = 1, max = 1024))]
    pub path: String,
    /// How often: from `5s` to `2m`.
    #[schemars(length(min = 1, max = 32))]
    pub interval: String,
}

impl Default for ProbeSpec {
    fn default() -> Self {
        Self {
            path: "/".to_owned(),
            interval: "15s".to_owned(),
        }
    }
}

/// One objective: which share of events must be good over which time.
#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SloSpec {
    /// Its name, a label of every series and alert.
    #[schemars(length(min = 1, max = 40))]
    pub name: String,
    /// What it promises, in a sentence for the person who is woken up.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 1024))]
    pub description: String,
    /// The percentage of good events: 99.9.
    pub objective: f64,
    /// The time over which it holds: 1d to 90d.
    #[serde(default = "thirty_days")]
    #[schemars(length(min = 1, max = 32))]
    pub window: String,
    /// What is counted: exactly one of `availability`, `latency`, `ratio`, `probe`.
    pub indicator: IndicatorSpec,
    /// Its two burn-rate alerts.
    #[serde(default)]
    pub alerting: AlertingSpec,
}

/// What an objective counts: exactly one of its fields is given.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IndicatorSpec {
    /// The share of requests that did not fail, as `metrics.requests` and `metrics.errors` say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub availability: Option<AvailabilityIndicator>,
    /// The share of requests answered within a time, from the histogram `metrics.latency`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency: Option<LatencyIndicator>,
    /// The share of events that did not fail, from any two counters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ratio: Option<RatioIndicator>,
    /// The share of successful checks from outside.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probe: Option<ProbeIndicator>,
}

/// The share of requests that did not fail.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AvailabilityIndicator {
    /// Label matchers that narrow the requests: `route="/tasks"`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 1024))]
    pub matchers: String,
}

/// The share of requests answered within a time.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LatencyIndicator {
    /// The time, which must be a bucket of a classic histogram: `300ms`.
    #[schemars(length(min = 1, max = 32))]
    pub threshold: String,
    /// Label matchers that narrow the requests: `route="/tasks"`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 1024))]
    pub matchers: String,
}

/// The share of events that did not fail.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RatioIndicator {
    /// The counter of failed events, with label matchers: `jobs_failed_total{queue="mail"}`.
    #[schemars(length(min = 1, max = 1024))]
    pub errors: String,
    /// The counter of all events, with label matchers: `jobs_total{queue="mail"}`.
    #[schemars(length(min = 1, max = 1024))]
    pub total: String,
}

/// The share of successful checks from outside; `probe` of the app says how.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeIndicator {}

/// The two burn-rate alerts of an objective.
#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct AlertingSpec {
    /// The fast one, which wakes a person.
    pub page: SeveritySpec,
    /// The slow one, for working hours.
    pub ticket: SeveritySpec,
    /// Fewer failed events than this within an alert's long window never alert.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub min_failures: i32,
    /// The page that says what to do; without it the operator's own.
    #[serde(rename = "runbookURL", skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    pub runbook_url: Option<String>,
    /// Labels on both alerts.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations on both alerts.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl Default for AlertingSpec {
    fn default() -> Self {
        Self {
            page: SeveritySpec::default(),
            ticket: SeveritySpec::default(),
            min_failures: 5,
            runbook_url: None,
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
        }
    }
}

/// One of an objective's two alerts.
#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SeveritySpec {
    /// Whether it is made.
    pub enabled: bool,
    /// Labels on this alert.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

impl Default for SeveritySpec {
    fn default() -> Self {
        Self {
            enabled: true,
            labels: BTreeMap::new(),
        }
    }
}

/// Symptom alerts beside the objectives; each that applies is on by default.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct AlertsSpec {
    /// A pod uses most of its CPU limit (of one core, if it has none).
    #[serde(rename = "highCPU")]
    pub high_cpu: HighCpuAlert,
    /// A pod uses most of its memory limit.
    pub high_memory: HighMemoryAlert,
    /// Requests fail.
    pub high_error_rate: HighErrorRateAlert,
    /// Fewer pods answer than are wanted.
    pub replicas_unavailable: ReplicasUnavailableAlert,
    /// Prometheus has no series of the app any more.
    pub metrics_absent: MetricsAbsentAlert,
    /// The builtin or CloudNativePG database does not answer.
    pub database_down: DatabaseDownAlert,
    /// The check from outside fails.
    pub probe_failing: ProbeFailingAlert,
    /// Alerting rules of your own; they see only this namespace's series.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["alert"]))]
    pub extra: Vec<ExtraAlert>,
}

/// A symptom alert: whether it is made, after what time, and at most one threshold. A type each, because each has
/// defaults of its own and a user may give any one field of it.
macro_rules! symptom_alert {
    ($(#[$doc:meta])* $name:ident, for $wait:literal $(, $(#[$field_doc:meta])* $field:ident: $type:ty = $value:expr)?) => {
        $(#[$doc])*
        #[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(default, rename_all = "camelCase")]
        pub struct $name {
            /// Whether it is made.
            pub enabled: bool,
            $($(#[$field_doc])* pub $field: $type,)?
            /// For how long.
            #[serde(rename = "for")]
            #[schemars(length(min = 1, max = 32))]
            pub for_: String,
        }

        impl Default for $name {
            fn default() -> Self {
                Self { enabled: true, $($field: $value,)? for_: $wait.to_owned() }
            }
        }
    };
}

symptom_alert!(
    /// A pod uses most of its CPU limit (of one core, if it has none).
    HighCpuAlert, for "5m",
    /// The share of the limit, in percent, above which it alerts.
    #[schemars(range(min = 1, max = 1000))]
    percent: i32 = 80
);
symptom_alert!(
    /// A pod uses most of its memory limit.
    HighMemoryAlert, for "5m",
    /// The share of the limit, in percent, above which it alerts.
    #[schemars(range(min = 1, max = 100))]
    percent: i32 = 90
);
symptom_alert!(
    /// Requests fail.
    HighErrorRateAlert, for "5m",
    /// Failed requests a second above which it alerts.
    #[schemars(range(min = 0.0, max = 1_000_000.0))]
    per_second: f64 = 0.1
);
symptom_alert!(
    /// Fewer pods answer than are wanted.
    ReplicasUnavailableAlert, for "5m"
);
symptom_alert!(
    /// Prometheus has no series of the app any more.
    MetricsAbsentAlert, for "10m"
);
symptom_alert!(
    /// The builtin or CloudNativePG database does not answer.
    DatabaseDownAlert, for "2m"
);
symptom_alert!(
    /// The check from outside fails.
    ProbeFailingAlert, for "2m"
);

/// A Prometheus alerting rule.
#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExtraAlert {
    /// Its name.
    #[schemars(length(min = 1, max = 128))]
    pub alert: String,
    /// The PromQL expression; `namespace` is added to every selector. It reads at most as far back as the app's longest
    /// objective, and at every evaluation at most 518,400 samples of a series (ranges and subqueries multiplied, one
    /// sample each `metrics.interval`); all expressions of an app together read at most 1,000,000, and are at most 64 KiB.
    #[schemars(length(min = 1, max = 4096))]
    pub expr: String,
    /// How long the expression must hold before it alerts.
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    pub for_: Option<String>,
    /// How long it goes on alerting after the expression has ceased to hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    pub keep_firing_for: Option<String>,
    /// Its labels; `namespace`, `app` and `slo` are the operator's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Its annotations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// The Grafana dashboard.
#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct DashboardsSpec {
    /// Whether it is made.
    pub enabled: bool,
    /// The Grafana folder to put it into.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 189))]
    pub folder: Option<String>,
    /// Labels on the ConfigMap beside `grafana_dashboard: "1"`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

impl Default for DashboardsSpec {
    fn default() -> Self {
        Self {
            enabled: true,
            folder: None,
            labels: BTreeMap::new(),
        }
    }
}

fn thirty_days() -> String {
    "30d".to_owned()
}
