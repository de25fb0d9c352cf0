//! Grafana's dashboard model, as far as ours use it: `@grafana/schema` has the whole. What occurs in one kind of panel
//! only is plain JSON beside what makes that panel.

use observedapp_slo::PromDuration;
use serde::Serialize;
use serde_json::Value;

/// A dashboard, in the JSON that Grafana reads from files.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Dashboard {
    pub uid: String,
    pub title: String,
    pub description: String,
    pub tags: Vec<String>,
    pub schema_version: u32,
    pub editable: bool,
    /// 1: a crosshair over all panels at once.
    pub graph_tooltip: u8,
    pub refresh: String,
    pub time: TimeRange,
    pub timezone: String,
    pub templating: Listed<Variable>,
    pub annotations: Listed<Annotation>,
    pub links: Vec<Link>,
    pub panels: Vec<Panel>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct TimeRange {
    pub from: String,
    pub to: String,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Listed<T> {
    pub list: Vec<T>,
}

/// A variable: a choice of the reader's, or a constant that keeps queries free of names.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Variable {
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub name: &'static str,
    pub label: &'static str,
    pub query: String,
    /// 0: shown; 2: not.
    pub hide: u8,
    pub skip_url_sync: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current: Option<Choice>,
    #[serde(flatten)]
    pub values: Option<LabelValues>,
}

/// What a variable takes its choices from: the values of a label, of which the reader may take several or all.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LabelValues {
    pub datasource: Datasource,
    /// 2: asked for again whenever the time range moves.
    pub refresh: u8,
    /// 1: by name.
    pub sort: u8,
    pub multi: bool,
    pub include_all: bool,
    pub all_value: &'static str,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Choice {
    pub text: String,
    pub value: String,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Annotation {
    pub name: String,
    pub datasource: Datasource,
    pub enable: bool,
    pub hide: bool,
    pub icon_color: String,
    pub expr: String,
    pub step: String,
    pub title_format: String,
    pub text_format: String,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_excessive_bools, reason = "they are Grafana's fields")]
pub(super) struct Link {
    pub title: String,
    pub url: String,
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub icon: &'static str,
    pub tooltip: String,
    pub tags: Vec<String>,
    pub as_dropdown: bool,
    pub target_blank: bool,
    pub include_vars: bool,
    pub keep_time: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Datasource {
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub uid: &'static str,
}

/// The Prometheus that the reader has chosen.
pub(super) const PROMETHEUS: Datasource = Datasource {
    kind: "prometheus",
    uid: "${datasource}",
};

/// A panel, or the heading of a row of them.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub(super) enum Panel {
    Row(Row),
    Chart(Box<Chart>),
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Row {
    pub id: u32,
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub title: String,
    pub collapsed: bool,
    pub grid_pos: GridPosition,
    pub panels: [(); 0],
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Chart {
    pub id: u32,
    #[serde(rename = "type")]
    pub kind: ChartKind,
    pub title: String,
    pub description: String,
    pub datasource: Datasource,
    pub grid_pos: GridPosition,
    pub field_config: FieldConfig,
    /// How this kind of panel shows what it is given.
    pub options: Value,
    pub targets: Vec<Target>,
    /// What is done to the answers before they are shown.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub transformations: Vec<Value>,
    /// A time range of its own, as far back as this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_from: Option<PromDuration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum ChartKind {
    Timeseries,
    Stat,
    Heatmap,
    Table,
}

/// On a grid of 24 columns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct GridPosition {
    pub x: u32,
    pub y: u32,
    pub w: u32,
    pub h: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct FieldConfig {
    pub defaults: FieldDefaults,
    /// What is different for some of a panel's series.
    pub overrides: Vec<Value>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct FieldDefaults {
    pub unit: Unit,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decimals: Option<u32>,
    pub thresholds: Value,
    /// What only this kind of panel has.
    pub custom: Value,
}

/// What a value is measured in, by Grafana's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) enum Unit {
    #[serde(rename = "percentunit")]
    Ratio,
    #[serde(rename = "reqps")]
    RequestsPerSecond,
    #[serde(rename = "ops")]
    OperationsPerSecond,
    #[serde(rename = "s")]
    Seconds,
    #[serde(rename = "bytes")]
    Bytes,
    #[serde(rename = "binBps")]
    BytesPerSecond,
    #[serde(rename = "short")]
    Count,
    #[serde(rename = "suffix: cores")]
    Cores,
    #[serde(rename = "suffix:×")]
    Times,
}

/// One query of a panel.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Target {
    pub ref_id: String,
    pub datasource: Datasource,
    pub expr: String,
    pub legend_format: String,
    pub format: &'static str,
    pub instant: bool,
    pub range: bool,
    /// The least step, from which Grafana makes `$__rate_interval`; without one the data source's own setting holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<String>,
}
