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
    /// How many of the app's alerts are firing; one that fires for several pods counts several times. Absent while it is
    /// not known.
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
    /// The release that the spec asks for, where releases are recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<ReleaseStatus>,
    /// The newest releases, the newest last, at most 10.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 12))]
    pub releases: Vec<ReleaseStatus>,
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

/// A release: what ran, when, and what came of it.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseStatus {
    /// Counts the releases of the app.
    pub number: i64,
    /// The image that it runs.
    #[serde(default)]
    pub image: String,
    /// `Held`, `Baking`, `RollingOut`, `Watching`, `Stable`, `RolledBack`, `NeverReady`, `Superseded` or `Unjudged`.
    #[serde(default)]
    pub phase: String,
    /// When the spec asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub began: Option<Time>,
    /// Since when it is in this phase.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// How its pods compare with those of the release before, while one of it is tried: one entry per objective.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["slo"]))]
    pub comparison: Vec<ComparisonStatus>,
    /// What was found of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<String>,
    /// By how much the budget of the objective that lost most shrank while it was new: `0.4%`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget_cost: Option<String>,
}

/// What the pods of a new release and of the one before it counted of one objective in the same minutes.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComparisonStatus {
    /// The objective's name.
    pub slo: String,
    /// The share of events that failed in the new pods: `0.2% of 310`.
    #[serde(default)]
    pub new: String,
    /// The same of the old ones.
    #[serde(default)]
    pub old: String,
    /// How far it is shown that the new pods fail more than the old ones and more than the objective allows. At `100%` the
    /// release is taken back.
    #[serde(default)]
    pub evidence: String,
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
    /// Since when the oldest of its series is active.
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
    /// The share of good events, in as much of the window as is known: `99.95%`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sli: Option<String>,
    /// How much of the whole window's error budget is left: `61%`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget_remaining: Option<String>,
    /// How many times faster than sustainable the budget burned in the last hour: `1.4x`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub burn_rate: Option<String>,
    /// When the budget is spent if it goes on like this: `5h`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exhausts_in: Option<String>,
    /// How it stands: `Violated` when its budget is spent; else `AtRisk` while its budget burns faster than is sustainable
    /// or one of its alerts fires; else `NoData` while nothing is known, as without traffic, which is never 100 %; else
    /// `Met`.
    #[serde(default)]
    pub state: SloState,
    /// When what is shown was first true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_at: Option<Time>,
}

/// Over what each figure of an [`SloStatus`] counts, for messages and screens.
pub const FIGURES: &str = "the SLI counts what is known of the window, the budget is that of the whole window, the burn rate is that of the last hour";

/// How an objective stands, in one word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SloState {
    Met,
    AtRisk,
    Violated,
    #[default]
    NoData,
}
