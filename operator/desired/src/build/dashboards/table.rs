//! A table: a row for each set of labels, a column for each query.

use serde_json::json;

use super::model::{
    ChartKind, Matcher, Options, Override, Property, SortBy, Threshold, Transformation, Unit,
};
use super::panel::Draft;

/// What one query shows of each row.
#[derive(Clone, Debug)]
pub(super) struct Column {
    title: &'static str,
    expr: String,
    unit: Unit,
    /// Colours from these values on, upwards; the first has none, and is that of the least values.
    steps: Vec<Threshold>,
}

impl Column {
    pub(super) fn new(title: &'static str, unit: Unit, expr: impl Into<String>) -> Self {
        Self {
            title,
            expr: expr.into(),
            unit,
            steps: Vec::new(),
        }
    }

    pub(super) fn coloured(mut self, least: &'static str, steps: &[(f64, &'static str)]) -> Self {
        self.steps = super::panel::steps(least, steps);
        self
    }

    fn shown_as(&self) -> Override {
        let property = |id, value| Property { id, value };
        let mut properties = vec![property("unit", json!(self.unit))];
        if !self.steps.is_empty() {
            properties.push(property(
                "thresholds",
                json!({"mode": "absolute", "steps": self.steps}),
            ));
            properties.push(property("custom.cellOptions", json!({"type": "color-text"})));
        }
        Override {
            matcher: Matcher {
                id: "byName",
                options: self.title.to_owned(),
            },
            properties,
        }
    }
}

impl Draft {
    /// A table with the labels (and their headings) before the columns; the least of the first column comes first. Every
    /// column's query has these labels and no others.
    pub(super) fn table(
        title: impl Into<String>,
        labels: &[(&'static str, &'static str)],
        columns: Vec<Column>,
    ) -> Self {
        let least_first = columns.first().map(|column| SortBy {
            display_name: column.title.to_owned(),
            desc: false,
        });
        let options = Options::Table {
            show_header: true,
            cell_height: "sm",
            sort_by: least_first.into_iter().collect(),
        };
        let overrides = columns.iter().map(Column::shown_as).collect();
        let titles: Vec<&str> = columns.iter().map(|column| column.title).collect();
        let mut draft = columns.into_iter().fold(
            Self::new(ChartKind::Table, title.into(), Unit::Count, options),
            |draft, column| draft.query(column.title, column.expr),
        );
        // Grafana names the value of a query in a table by the query's letter.
        let values = draft
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
        draft.chart.transformations = vec![
            Transformation::Merge {},
            Transformation::Organize {
                exclude_by_name: [("Time".to_owned(), true)].into(),
                index_by_name: names
                    .iter()
                    .enumerate()
                    .map(|(at, (name, _))| (name.clone(), at))
                    .collect(),
                rename_by_name: names
                    .into_iter()
                    .map(|(name, title)| (name, title.to_owned()))
                    .collect(),
            },
        ];
        draft.chart.field_config.overrides = overrides;
        draft
    }
}
