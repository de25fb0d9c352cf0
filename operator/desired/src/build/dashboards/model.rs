//! Grafana's dashboard model, as far as ours use it: `@grafana/schema` has the whole.

use std::collections::BTreeMap;

use observedapp_slo::PromDuration;
use serde::Serialize;

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
    pub options: Options,
    pub targets: Vec<Target>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub transformations: Vec<Transformation>,
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
    pub overrides: Vec<Override>,
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
    pub thresholds: Thresholds,
    pub custom: Custom,
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

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Thresholds {
    pub mode: &'static str,
    pub steps: Vec<Threshold>,
}

/// From `value` on (from the least one, if there is none) the colour is this.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Threshold {
    pub value: Option<f64>,
    pub color: &'static str,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Custom {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line_width: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fill_opacity: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub show_points: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thresholds_style: Option<Mode>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Mode {
    pub mode: &'static str,
}

/// What is different for some of a panel's series.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Override {
    pub matcher: Matcher,
    pub properties: Vec<Property>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Matcher {
    pub id: &'static str,
    pub options: String,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Property {
    pub id: &'static str,
    pub value: serde_json::Value,
}

/// How a kind of panel shows what it is given.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub(super) enum Options {
    Timeseries {
        legend: Legend,
        tooltip: Tooltip,
    },
    #[serde(rename_all = "camelCase")]
    Stat {
        color_mode: &'static str,
        graph_mode: &'static str,
        justify_mode: &'static str,
        orientation: &'static str,
        text_mode: &'static str,
        reduce_options: Reduce,
    },
    #[serde(rename_all = "camelCase")]
    Heatmap {
        calculate: bool,
        cell_gap: u32,
        color: HeatmapColor,
        filter_values: HeatmapFilter,
        legend: HeatmapLegend,
        rows_frame: HeatmapRows,
        show_value: &'static str,
        tooltip: HeatmapTooltip,
        y_axis: HeatmapAxis,
    },
    #[serde(rename_all = "camelCase")]
    Table {
        show_header: bool,
        cell_height: &'static str,
        sort_by: Vec<SortBy>,
    },
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Legend {
    pub calcs: Vec<&'static str>,
    pub display_mode: &'static str,
    pub placement: &'static str,
    #[serde(rename = "showLegend")]
    pub show: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Tooltip {
    pub mode: &'static str,
    pub sort: &'static str,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Reduce {
    pub calcs: Vec<&'static str>,
    pub fields: &'static str,
    pub values: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct HeatmapColor {
    pub mode: &'static str,
    pub scheme: &'static str,
    pub steps: u32,
    pub exponent: f64,
    pub fill: &'static str,
    pub reverse: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct HeatmapFilter {
    pub le: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct HeatmapLegend {
    pub show: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct HeatmapRows {
    pub layout: &'static str,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct HeatmapTooltip {
    pub mode: &'static str,
    pub show_color_scale: bool,
    pub y_histogram: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct HeatmapAxis {
    pub axis_placement: &'static str,
    pub unit: Unit,
    pub reverse: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SortBy {
    pub display_name: String,
    pub desc: bool,
}

/// What is done to the answers before they are shown.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "id", content = "options", rename_all = "camelCase")]
pub(super) enum Transformation {
    /// One row for each set of labels, with the values of all queries in it.
    Merge {},
    #[serde(rename_all = "camelCase")]
    Organize {
        exclude_by_name: BTreeMap<String, bool>,
        index_by_name: BTreeMap<String, usize>,
        rename_by_name: BTreeMap<String, String>,
    },
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
