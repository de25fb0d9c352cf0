//! All apps, the one with the least budget left first. Pure.

use std::cmp::Ordering;

use kube::ResourceExt;
use observedapp_api::{ObservedApp, SloState, SloStatus};
use serde::Serialize;

use super::report::number;
use super::screen::{style_of, word_of};
use super::terminal::{Page, Style, Terminal, bar, widths};

const BAR: usize = 20;
/// Below this the bars are left out.
const WIDE: usize = 110;

/// One app's line.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Row {
    pub namespace: String,
    pub name: String,
    /// The status of `Ready`, absent before the first reconcile.
    pub ready: Option<String>,
    pub ready_replicas: i32,
    pub wanted_replicas: i32,
    /// The objective with the least budget left.
    #[serde(rename = "worstSLO", skip_serializing_if = "Option::is_none")]
    pub worst_slo: Option<SloStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub firing_alerts: Option<i32>,
}

impl Row {
    pub fn of(app: &ObservedApp) -> Self {
        let status = app.status.clone().unwrap_or_default();
        Self {
            namespace: app.namespace().unwrap_or_default(),
            name: app.name_any(),
            ready: status
                .conditions
                .iter()
                .find(|condition| condition.type_ == "Ready")
                .map(|condition| condition.status.clone()),
            ready_replicas: status.ready_replicas,
            // Between which numbers an autoscaler chooses is no number; what it has chosen is.
            wanted_replicas: if app.spec.autoscaling.is_some() {
                status.replicas
            } else {
                app.spec.replicas
            },
            worst_slo: status.worst_slo,
            firing_alerts: status.firing_alerts,
        }
    }

    fn budget(&self) -> Option<f64> {
        number(self.worst_slo.as_ref()?.budget_remaining.as_deref())
    }

    fn burn(&self) -> f64 {
        number(self.worst_slo.as_ref().and_then(|slo| slo.burn_rate.as_deref())).unwrap_or(0.0)
    }
}

/// Every app, the one with the least budget left first, of two equal ones the one that burns faster; then those of
/// whose budget nothing is known.
pub(crate) fn rows<'a>(apps: impl IntoIterator<Item = &'a ObservedApp>) -> Vec<Row> {
    let mut rows: Vec<Row> = apps.into_iter().map(Row::of).collect();
    rows.sort_by(|a, b| {
        let budgets = match (a.budget(), b.budget()) {
            (Some(a), Some(b)) => a.total_cmp(&b),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => Ordering::Equal,
        };
        budgets
            .then(b.burn().total_cmp(&a.burn()))
            .then_with(|| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)))
    });
    rows
}

pub(crate) fn draw(rows: &[Row], terminal: Terminal) -> String {
    let mut page = Page::new(terminal);
    let head = [
        "NAMESPACE",
        "NAME",
        "READY",
        "REPLICAS",
        "SLO",
        "BUDGET",
        "SLI",
        "BURN",
        "SPENT IN",
        "ALERTS",
    ]
    .map(str::to_owned);
    let table: Vec<[String; 10]> = rows.iter().map(cells).collect();
    let widths = widths(&head, &table);
    let bars = terminal.width >= WIDE;
    let line = |page: &mut Page, cells: &[String], inks: [Style; 10], drawing: &str| {
        let mut pieces: Vec<(Style, String)> = Vec::new();
        for (column, cell) in cells.iter().enumerate() {
            if column == BUDGET && bars {
                pieces.push((inks[BUDGET], format!("{drawing:<BAR$}  ")));
            }
            let width = widths.get(column).copied().unwrap_or(0);
            pieces.push((inks[column], format!("{cell:<width$}   ")));
        }
        let pieces: Vec<(Style, &str)> = pieces
            .iter()
            .map(|(style, text)| (*style, text.as_str()))
            .collect();
        page.line(&pieces);
    };
    line(&mut page, &head, [Style::Plain; 10], "");
    for (row, cells) in rows.iter().zip(&table) {
        let drawing = row
            .budget()
            .map(|left| bar(left / 100.0, BAR))
            .unwrap_or_default();
        line(&mut page, cells, inks(row), &drawing);
    }
    page.into_text()
}

/// The column of the budget, which its bar precedes.
const BUDGET: usize = 5;

fn cells(row: &Row) -> [String; 10] {
    let nothing = || "-".to_owned();
    let slo = row.worst_slo.as_ref();
    let text =
        |of: fn(&SloStatus) -> &Option<String>| slo.and_then(|slo| of(slo).clone()).unwrap_or_else(nothing);
    let sli = match slo {
        Some(slo) if slo.state == SloState::NoData => word_of(slo.state).to_owned(),
        _ => text(|slo| &slo.sli),
    };
    [
        row.namespace.clone(),
        row.name.clone(),
        row.ready.clone().unwrap_or_else(nothing),
        format!("{}/{}", row.ready_replicas, row.wanted_replicas),
        slo.map_or_else(nothing, |slo| slo.name.clone()),
        text(|slo| &slo.budget_remaining),
        sli,
        text(|slo| &slo.burn_rate),
        text(|slo| &slo.exhausts_in),
        row.firing_alerts.map_or_else(nothing, |count| count.to_string()),
    ]
}

fn inks(row: &Row) -> [Style; 10] {
    let mut inks = [Style::Plain; 10];
    inks[1] = Style::Strong;
    inks[2] = match row.ready.as_deref() {
        Some("True") => Style::Good,
        Some(_) => Style::Bad,
        None => Style::Faint,
    };
    inks[BUDGET] = row
        .worst_slo
        .as_ref()
        .map_or(Style::Plain, |slo| style_of(slo.state));
    inks[9] = match row.firing_alerts {
        Some(1..) => Style::Bad,
        _ => Style::Plain,
    };
    inks
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn app(name: &str, worst: serde_json::Value) -> ObservedApp {
        serde_json::from_value(json!({
            "apiVersion": "observedapp.dev/v1alpha1", "kind": "ObservedApp",
            "metadata": {"name": name, "namespace": "shop"},
            "spec": {"image": "tasks:1"},
            "status": {
                "readyReplicas": 1, "firingAlerts": i32::from(name == "spent"), "worstSLO": worst,
                "conditions": [{"type": "Ready", "status": "True", "reason": "Ready", "message": "",
                    "lastTransitionTime": "2026-11-21T12:00:00Z"}],
            },
        }))
        .unwrap()
    }

    fn apps() -> Vec<ObservedApp> {
        let slo = |budget: &str, burn: &str, state: &str| {
            json!({"name": "availability", "objective": "99.9%", "window": "30d", "sli": "99.95%",
                "budgetRemaining": budget, "burnRate": burn, "state": state})
        };
        let young = serde_json::from_value(json!({
            "apiVersion": "observedapp.dev/v1alpha1", "kind": "ObservedApp",
            "metadata": {"name": "young", "namespace": "shop"}, "spec": {"image": "tasks:1"},
        }));
        vec![
            young.unwrap(),
            app("calm", slo("9%", "0.1x", "Met")),
            app("whole", slo("100%", "0.0x", "Met")),
            app(
                "quiet",
                json!({"name": "latency", "objective": "99%", "window": "7d", "state": "NoData"}),
            ),
            app("spent", slo("-20%", "3.0x", "Violated")),
            app("hurried", slo("9%", "2.0x", "AtRisk")),
        ]
    }

    #[test]
    fn the_least_budget_comes_first_and_what_is_unknown_last() {
        let apps = apps();
        let names: Vec<String> = rows(&apps).into_iter().map(|row| row.name).collect();
        assert_eq!(names, ["spent", "hurried", "calm", "whole", "quiet", "young"]);
    }

    #[test]
    fn columns_line_up_and_bars_need_room() {
        let apps = apps();
        let terminal = |width| Terminal { width, colour: false };
        let narrow = draw(&rows(&apps), terminal(80));
        assert_eq!(
            narrow,
            "\
NAMESPACE   NAME      READY   REPLICAS   SLO            BUDGET   SLI      BURN   SPENT IN   ALERTS
shop        spent     True    1/2        availability   -20%     99.95%   3.0x   -          1
shop        hurried   True    1/2        availability   9%       99.95%   2.0x   -          0
shop        calm      True    1/2        availability   9%       99.95%   0.1x   -          0
shop        whole     True    1/2        availability   100%     99.95%   0.0x   -          0
shop        quiet     True    1/2        latency        -        NoData   -      -          0
shop        young     -       0/2        -              -        -        -      -          -
"
        );
        let wide = draw(&rows(&apps), terminal(120));
        assert!(
            wide.contains("availability   ░░░░░░░░░░░░░░░░░░░░  -20%     99.95%"),
            "{wide}"
        );
        assert!(
            wide.contains("availability   ██░░░░░░░░░░░░░░░░░░  9%       99.95%"),
            "{wide}"
        );
    }

    #[test]
    fn the_columns_of_kubectl_get_say_the_same() {
        let crd = observedapp_api::crd();
        let columns = crd.spec.versions[0].additional_printer_columns.clone().unwrap();
        let app = app(
            "spent",
            json!({"name": "availability", "objective": "99.9%", "window": "30d", "sli": "99.95%",
                "budgetRemaining": "-20%", "burnRate": "3.0x", "state": "Violated"}),
        );
        let value = serde_json::to_value(&app).unwrap();
        let shown = cells(&Row::of(&app));
        for (name, cell) in [("Budget", BUDGET), ("SLI", 6), ("Burn", 7), ("Alerts", 9)] {
            let column = columns
                .iter()
                .find(|column| column.name.eq_ignore_ascii_case(name))
                .unwrap();
            let expected = value.pointer(&column.json_path.replace('.', "/")).unwrap();
            let expected = expected
                .as_str()
                .map_or_else(|| expected.to_string(), str::to_owned);
            assert_eq!(shown[cell], expected, "{name}");
        }
    }
}
