//! Panels as the rows describe them, and the grid they are laid out on.

use observedapp_slo::PromDuration;
use serde_json::{Value, json};

use super::model::{
    Chart, ChartKind, FieldConfig, FieldDefaults, GridPosition, PROMETHEUS, Panel, Row, Target, Unit,
};

/// The width of Grafana's grid.
const COLUMNS: u32 = 24;
pub(super) const GREEN: &str = "green";
pub(super) const YELLOW: &str = "yellow";
pub(super) const ORANGE: &str = "orange";
pub(super) const RED: &str = "red";

/// A panel that has no place yet.
#[derive(Clone, Debug)]
pub(super) struct PanelBuilder {
    pub(super) chart: Chart,
}

impl PanelBuilder {
    pub(super) fn lines(title: impl Into<String>, unit: Unit) -> Self {
        let options = json!({
            "legend": {"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": true},
            "tooltip": {"mode": "multi", "sort": "desc"},
        });
        let mut panel = Self::new(ChartKind::Timeseries, title.into(), unit, options);
        panel.chart.field_config.defaults.custom =
            json!({"lineWidth": 1, "fillOpacity": 10, "showPoints": "never"});
        panel
    }

    pub(super) fn stat(title: impl Into<String>, unit: Unit) -> Self {
        let options = json!({
            "colorMode": "value",
            "graphMode": "none",
            "justifyMode": "auto",
            "orientation": "auto",
            "textMode": "auto",
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": false},
        });
        Self::new(ChartKind::Stat, title.into(), unit, options)
    }

    pub(super) fn heatmap(title: impl Into<String>, unit: Unit) -> Self {
        let options = json!({
            "calculate": false,
            "cellGap": 1,
            "color": {
                "mode": "scheme", "scheme": "Oranges", "steps": 64, "exponent": 0.5, "fill": "dark-orange",
                "reverse": false,
            },
            "filterValues": {"le": 1e-9},
            "legend": {"show": true},
            "rowsFrame": {"layout": "auto"},
            "showValue": "never",
            "tooltip": {"mode": "single", "showColorScale": true, "yHistogram": false},
            "yAxis": {"axisPlacement": "left", "unit": unit, "reverse": false},
        });
        Self::new(ChartKind::Heatmap, title.into(), unit, options)
    }

    pub(super) fn new(kind: ChartKind, title: String, unit: Unit, options: Value) -> Self {
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
                        thresholds: thresholds(GREEN, &[]),
                        custom: json!({}),
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
        let mut panel = self.query(legend, expr);
        panel.chart.field_config.overrides.push(json!({
            "matcher": {"id": "byName", "options": legend},
            "properties": [
                {"id": "color", "value": {"mode": "fixed", "fixedColor": colour}},
                {"id": "custom.fillOpacity", "value": 0},
                {"id": "custom.lineStyle", "value": {"fill": "dash", "dash": [10, 10]}},
            ],
        }));
        panel
    }

    /// Colours from these values on, upwards.
    pub(super) fn thresholds(mut self, least: &'static str, steps: &[(f64, &'static str)]) -> Self {
        self.chart.field_config.defaults.thresholds = thresholds(least, steps);
        self
    }

    /// Draws the thresholds as lines.
    pub(super) fn threshold_lines(mut self) -> Self {
        self.chart.field_config.defaults.custom["thresholdsStyle"] = json!({"mode": "dashed"});
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
pub(super) fn thresholds(least: &str, steps: &[(f64, &str)]) -> Value {
    let above = steps
        .iter()
        .map(|(value, color)| json!({"value": value, "color": color}));
    let steps: Vec<Value> = std::iter::once(json!({"value": null, "color": least}))
        .chain(above)
        .collect();
    json!({"mode": "absolute", "steps": steps})
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
    pub(super) fn line(&mut self, height: u32, panels: Vec<PanelBuilder>) {
        let count = u32::try_from(panels.len()).unwrap_or(1).max(1);
        for panel in panels {
            self.place(COLUMNS / count, height, panel);
        }
        self.end_line();
    }

    pub(super) fn place(&mut self, width: u32, height: u32, panel: PanelBuilder) {
        if self.x + width > COLUMNS {
            self.end_line();
        }
        let mut chart = panel.chart;
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
