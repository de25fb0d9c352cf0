//! A table: a row for each set of labels, a column for each query.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::model::{ChartKind, Unit};
use super::panel::{PanelBuilder, thresholds};

/// What one query shows of each row.
#[derive(Clone, Debug)]
pub(super) struct Column {
    title: &'static str,
    expr: String,
    unit: Unit,
    /// Colours from these values on, upwards.
    thresholds: Option<Value>,
}

impl Column {
    pub(super) fn new(title: &'static str, unit: Unit, expr: impl Into<String>) -> Self {
        Self {
            title,
            expr: expr.into(),
            unit,
            thresholds: None,
        }
    }

    pub(super) fn coloured(mut self, least: &'static str, steps: &[(f64, &'static str)]) -> Self {
        self.thresholds = Some(thresholds(least, steps));
        self
    }

    fn shown_as(&self) -> Value {
        let mut properties = vec![json!({"id": "unit", "value": self.unit})];
        if let Some(thresholds) = &self.thresholds {
            properties.push(json!({"id": "thresholds", "value": thresholds}));
            properties.push(json!({"id": "custom.cellOptions", "value": {"type": "color-text"}}));
        }
        json!({"matcher": {"id": "byName", "options": self.title}, "properties": properties})
    }
}

impl PanelBuilder {
    /// A table with the labels (and their headings) before the columns; the least of the first column comes first. Every
    /// column's query has these labels and no others.
    pub(super) fn table(
        title: impl Into<String>,
        labels: &[(&'static str, &'static str)],
        columns: Vec<Column>,
    ) -> Self {
        let least_first = columns
            .first()
            .map(|column| json!({"displayName": column.title, "desc": false}));
        let options = json!({
            "showHeader": true,
            "cellHeight": "sm",
            "sortBy": least_first.into_iter().collect::<Vec<_>>(),
        });
        let overrides = columns.iter().map(Column::shown_as).collect();
        let titles: Vec<&str> = columns.iter().map(|column| column.title).collect();
        let mut panel = columns.into_iter().fold(
            Self::new(ChartKind::Table, title.into(), Unit::Count, options),
            |panel, column| panel.query(column.title, column.expr),
        );
        // Grafana names the value of a query in a table by the query's letter.
        let values = panel
            .chart
            .targets
            .iter()
            .zip(titles)
            .map(|(target, title)| (format!("Value #{}", target.ref_id), title));
        let names: Vec<(String, &str)> = labels
            .iter()
            .map(|(label, heading)| ((*label).to_owned(), *heading))
            .chain(values)
            .collect();
        let order: BTreeMap<&str, usize> = names
            .iter()
            .enumerate()
            .map(|(at, (name, _))| (name.as_str(), at))
            .collect();
        let headings: BTreeMap<&str, &str> = names
            .iter()
            .map(|(name, title)| (name.as_str(), *title))
            .collect();
        panel.chart.transformations = vec![
            // One row for each set of labels, with the values of all queries in it.
            json!({"id": "merge", "options": {}}),
            json!({
                "id": "organize",
                "options": {"excludeByName": {"Time": true}, "indexByName": order, "renameByName": headings},
            }),
        ];
        panel.chart.field_config.overrides = overrides;
        panel
    }
}
