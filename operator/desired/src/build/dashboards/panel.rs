//! Panels as the rows describe them, and the grid they are laid out on.

use observedapp_slo::PromDuration;

use super::model::{
    Chart, ChartKind, Custom, FieldConfig, FieldDefaults, GridPosition, HeatmapAxis, HeatmapColor,
    HeatmapFilter, HeatmapLegend, HeatmapRows, HeatmapTooltip, Legend, Matcher, Mode, Options, Override,
    PROMETHEUS, Panel, Property, Reduce, Row, Target, Threshold, Thresholds, Tooltip, Unit,
};

/// The width of Grafana's grid.
const COLUMNS: u32 = 24;
pub(super) const GREEN: &str = "green";
pub(super) const YELLOW: &str = "yellow";
pub(super) const ORANGE: &str = "orange";
pub(super) const RED: &str = "red";

/// A panel that has no place yet.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub(super) chart: Chart,
}

impl Draft {
    pub(super) fn lines(title: impl Into<String>, unit: Unit) -> Self {
        let options = Options::Timeseries {
            legend: Legend {
                calcs: Vec::new(),
                display_mode: "list",
                placement: "bottom",
                show: true,
            },
            tooltip: Tooltip {
                mode: "multi",
                sort: "desc",
            },
        };
        let mut draft = Self::new(ChartKind::Timeseries, title.into(), unit, options);
        draft.chart.field_config.defaults.custom = Custom {
            line_width: Some(1),
            fill_opacity: Some(10),
            show_points: Some("never"),
            thresholds_style: None,
        };
        draft
    }

    pub(super) fn stat(title: impl Into<String>, unit: Unit) -> Self {
        let options = Options::Stat {
            color_mode: "value",
            graph_mode: "none",
            justify_mode: "auto",
            orientation: "auto",
            text_mode: "auto",
            reduce_options: Reduce {
                calcs: vec!["lastNotNull"],
                fields: "",
                values: false,
            },
        };
        Self::new(ChartKind::Stat, title.into(), unit, options)
    }

    pub(super) fn heatmap(title: impl Into<String>, unit: Unit) -> Self {
        let options = Options::Heatmap {
            calculate: false,
            cell_gap: 1,
            color: HeatmapColor {
                mode: "scheme",
                scheme: "Oranges",
                steps: 64,
                exponent: 0.5,
                fill: "dark-orange",
                reverse: false,
            },
            filter_values: HeatmapFilter { le: 1e-9 },
            legend: HeatmapLegend { show: true },
            rows_frame: HeatmapRows { layout: "auto" },
            show_value: "never",
            tooltip: HeatmapTooltip {
                mode: "single",
                show_color_scale: true,
                y_histogram: false,
            },
            y_axis: HeatmapAxis {
                axis_placement: "left",
                unit,
                reverse: false,
            },
        };
        Self::new(ChartKind::Heatmap, title.into(), unit, options)
    }

    pub(super) fn new(kind: ChartKind, title: String, unit: Unit, options: Options) -> Self {
        Self {
            chart: Chart {
                id: 0,
                kind,
                title,
                description: String::new(),
                datasource: PROMETHEUS,
                grid_pos: GridPosition::default(),
                field_config: FieldConfig {
                    defaults: FieldDefaults {
                        unit,
                        min: None,
                        max: None,
                        decimals: None,
                        thresholds: Thresholds {
                            mode: "absolute",
                            steps: vec![Threshold {
                                value: None,
                                color: GREEN,
                            }],
                        },
                        custom: Custom::default(),
                    },
                    overrides: Vec::new(),
                },
                options,
                targets: Vec::new(),
                transformations: Vec::new(),
                time_from: None,
            },
        }
    }

    /// What the reader should make of it.
    pub(super) fn says(mut self, description: impl Into<String>) -> Self {
        self.chart.description = description.into();
        self
    }

    pub(super) fn query(mut self, legend: &str, expr: impl Into<String>) -> Self {
        let at = u32::try_from(self.chart.targets.len()).unwrap_or_default();
        let ref_id = char::from_u32(u32::from('A') + at).unwrap_or('Z').to_string();
        let instant = matches!(self.chart.kind, ChartKind::Stat | ChartKind::Table);
        self.chart.targets.push(Target {
            ref_id,
            datasource: PROMETHEUS,
            expr: expr.into(),
            legend_format: legend.to_owned(),
            format: match self.chart.kind {
                ChartKind::Heatmap => "heatmap",
                ChartKind::Table => "table",
                ChartKind::Timeseries | ChartKind::Stat => "time_series",
            },
            instant,
            range: !instant,
            interval: None,
        });
        self
    }

    /// A bound that the other series should keep from: dashed, and not filled.
    pub(super) fn bound(self, legend: &str, colour: &str, expr: impl Into<String>) -> Self {
        let mut draft = self.query(legend, expr);
        let property = |id, value| Property { id, value };
        draft.chart.field_config.overrides.push(Override {
            matcher: Matcher {
                id: "byName",
                options: legend.to_owned(),
            },
            properties: vec![
                property(
                    "color",
                    serde_json::json!({"mode": "fixed", "fixedColor": colour}),
                ),
                property("custom.fillOpacity", 0.into()),
                property(
                    "custom.lineStyle",
                    serde_json::json!({"fill": "dash", "dash": [10, 10]}),
                ),
            ],
        });
        draft
    }

    /// Colours from these values on, upwards.
    pub(super) fn thresholds(mut self, least: &'static str, steps: &[(f64, &'static str)]) -> Self {
        self.chart.field_config.defaults.thresholds.steps = self::steps(least, steps);
        self
    }

    /// Draws the thresholds as lines.
    pub(super) fn threshold_lines(mut self) -> Self {
        self.chart.field_config.defaults.custom.thresholds_style = Some(Mode { mode: "dashed" });
        self
    }

    pub(super) fn from(mut self, min: f64) -> Self {
        self.chart.field_config.defaults.min = Some(min);
        self
    }

    pub(super) fn to(mut self, max: f64) -> Self {
        self.chart.field_config.defaults.max = Some(max);
        self
    }

    pub(super) fn decimals(mut self, decimals: u32) -> Self {
        self.chart.field_config.defaults.decimals = Some(decimals);
        self
    }

    /// Queries series that are scraped this often: a rate over less than two scrapes has no value.
    pub(super) fn scraped_every(mut self, interval: PromDuration) -> Self {
        let seconds = interval.millis().div_ceil(1000);
        for target in &mut self.chart.targets {
            target.interval = Some(format!("{seconds}s"));
        }
        self
    }

    pub(super) fn over(mut self, span: PromDuration) -> Self {
        self.chart.time_from = Some(span);
        self
    }
}

/// The colour of the least values, and those from each value on.
pub(super) fn steps(least: &'static str, steps: &[(f64, &'static str)]) -> Vec<Threshold> {
    let above = steps.iter().map(|&(value, color)| (Some(value), color));
    std::iter::once((None, least))
        .chain(above)
        .map(|(value, color)| Threshold { value, color })
        .collect()
}

/// Places panels from left to right and from top to bottom.
#[derive(Debug, Default)]
pub(super) struct Grid {
    panels: Vec<Panel>,
    x: u32,
    y: u32,
    /// The height of the line that is being filled.
    line: u32,
}

impl Grid {
    /// Begins a row under a heading of its own.
    pub(super) fn row(&mut self, title: &str) {
        self.end_line();
        let grid_pos = GridPosition {
            x: 0,
            y: self.y,
            w: COLUMNS,
            h: 1,
        };
        let id = self.next_id();
        self.panels.push(Panel::Row(Row {
            id,
            kind: "row",
            title: title.to_owned(),
            collapsed: false,
            grid_pos,
            panels: [],
        }));
        self.y += 1;
    }

    /// Panels side by side, the line's width shared out evenly.
    pub(super) fn line(&mut self, height: u32, drafts: Vec<Draft>) {
        let count = u32::try_from(drafts.len()).unwrap_or(1).max(1);
        for draft in drafts {
            self.place(COLUMNS / count, height, draft);
        }
        self.end_line();
    }

    pub(super) fn place(&mut self, width: u32, height: u32, draft: Draft) {
        if self.x + width > COLUMNS {
            self.end_line();
        }
        let mut chart = draft.chart;
        chart.id = self.next_id();
        chart.grid_pos = GridPosition {
            x: self.x,
            y: self.y,
            w: width,
            h: height,
        };
        self.panels.push(Panel::Chart(Box::new(chart)));
        self.x += width;
        self.line = self.line.max(height);
    }

    pub(super) fn end_line(&mut self) {
        self.y += self.line;
        self.x = 0;
        self.line = 0;
    }

    pub(super) fn into_panels(self) -> Vec<Panel> {
        self.panels
    }

    fn next_id(&self) -> u32 {
        u32::try_from(self.panels.len()).unwrap_or_default() + 1
    }
}
