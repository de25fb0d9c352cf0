//! What the operator says back.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the operator has seen, made and measured.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObservedAppStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Pods that exist.
    #[serde(default)]
    pub replicas: i32,
    /// Pods that answer.
    #[serde(default)]
    pub ready_replicas: i32,
    /// The label selector of the pods, for the scale subresource.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
    /// Where the app is reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The Secret that binds to the app's database, as servicebinding.io has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub binding: Option<BindingStatus>,
    /// One hash over the objects as wanted and as found: equal means nothing to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub applied: Option<String>,
    /// How many of the app's alerts are firing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub firing_alerts: Option<i32>,
    /// The alerts that are firing, at most 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub alerts: Vec<AlertStatus>,
    /// The objective with the least budget left.
    #[serde(rename = "worstSLO", skip_serializing_if = "Option::is_none")]
    pub worst_slo: Option<SloStatus>,
    /// One entry per objective.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub slos: Vec<SloStatus>,
    /// What is true of the app, and where not, why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// The Secret that binds to the app's database.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BindingStatus {
    /// Its name.
    pub name: String,
}

/// An alert that is firing.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertStatus {
    /// The alert's name.
    pub name: String,
    /// The objective it belongs to, if it belongs to one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slo: Option<String>,
    /// `critical` or `warning`, unless the app's owner chose another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity: Option<String>,
    /// Since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
}

/// How an objective stands. Values are made for people.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SloStatus {
    /// The objective's name.
    pub name: String,
    /// What is promised: `99.9%`.
    #[serde(default)]
    pub objective: String,
    /// Over which time: `30d`.
    #[serde(default)]
    pub window: String,
    /// How much of the window is known: `12%`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window_coverage: Option<String>,
    /// The share of good events over the window: `99.95%`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sli: Option<String>,
    /// How much of the error budget is left: `61%`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget_remaining: Option<String>,
    /// How many times faster than sustainable the budget burns: `1.4x`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub burn_rate: Option<String>,
    /// When the budget is spent if it goes on like this: `5h`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exhausts_in: Option<String>,
    /// How it stands.
    #[serde(default)]
    pub state: SloState,
    /// When these values were read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_at: Option<Time>,
}

/// How an objective stands; no traffic is `NoData`, never 100 %.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SloState {
    Met,
    AtRisk,
    Violated,
    #[default]
    NoData,
}

/// The types of conditions, in the order in which they are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConditionType {
    /// The app serves: `Valid`, `Applied`, `Available` and, where they apply, `DatabaseReady`, `CacheReady` and `Exposed`
    /// are True. What is only observed never lowers it.
    Ready,
    /// The spec makes sense beyond what admission can check; else the reason names the field.
    Valid,
    /// Every object is as wanted; else the first that is not, and why.
    Applied,
    /// The wanted replicas of the newest revision answer; else what the pods say, with the remedy.
    Available,
    /// The database accepts connections; of an external one the Secret has the key, and no more is known.
    DatabaseReady,
    /// The cache accepts connections; of an external one the Secret has the key, and no more is known.
    CacheReady,
    /// The host is the app's, the Ingress has its class, the load balancer its address.
    Exposed,
    /// Prometheus has this app's targets and scrapes them; else why not.
    Monitored,
    /// Prometheus has loaded these very rules and evaluates them.
    RulesLoaded,
    /// Prometheus keeps data for as long as the longest window; else both figures and the setting.
    HistoryKept,
    /// The dashboard is delivered.
    DashboardsReady,
    /// No SLO has spent its budget; without any data it is Unknown.
    SLOsMet,
    /// With autoscaling: the autoscaler has its metrics and is not held at its maximum.
    Scaled,
    /// A change is under way; absent otherwise. For tools that follow kstatus.
    Reconciling,
    /// Only a change of the spec can help; absent otherwise. For tools that follow kstatus.
    Stalled,
}

impl ConditionType {
    pub const ALL: [Self; 15] = [
        Self::Ready,
        Self::Valid,
        Self::Applied,
        Self::Available,
        Self::DatabaseReady,
        Self::CacheReady,
        Self::Exposed,
        Self::Monitored,
        Self::RulesLoaded,
        Self::HistoryKept,
        Self::DashboardsReady,
        Self::SLOsMet,
        Self::Scaled,
        Self::Reconciling,
        Self::Stalled,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "Ready",
            Self::Valid => "Valid",
            Self::Applied => "Applied",
            Self::Available => "Available",
            Self::DatabaseReady => "DatabaseReady",
            Self::CacheReady => "CacheReady",
            Self::Exposed => "Exposed",
            Self::Monitored => "Monitored",
            Self::RulesLoaded => "RulesLoaded",
            Self::HistoryKept => "HistoryKept",
            Self::DashboardsReady => "DashboardsReady",
            Self::SLOsMet => "SLOsMet",
            Self::Scaled => "Scaled",
            Self::Reconciling => "Reconciling",
            Self::Stalled => "Stalled",
        }
    }
}
