//! One dashboard over all apps, which the chart brings: who is in trouble, and how the operator itself does.

use observedapp_slo::names;

use super::frame::{TAG, datasource, framed, written};
use super::model::{Dashboard, LabelValues, Link, Listed, PROMETHEUS, Unit, Variable};
use super::panel::{GREEN, Grid, ORANGE, PanelBuilder, RED, YELLOW};
use super::table::Column;

/// The dashboard as Grafana reads it from a file.
pub fn json() -> String {
    let mut json = written(&dashboard());
    json.push('\n');
    json
}

fn dashboard() -> Dashboard {
    let mut grid = Grid::default();
    apps(&mut grid);
    objectives(&mut grid);
    operator(&mut grid);
    Dashboard {
        templating: Listed {
            list: vec![datasource(), namespaces()],
        },
        links: vec![every_app()],
        ..framed(
            "observedapp-fleet".to_owned(),
            "ObservedApp / all apps".to_owned(),
            "Every ObservedApp, those in trouble first, and the operator that runs them.".to_owned(),
            "observedapp-fleet",
            grid,
        )
    }
}

/// Whose apps: the reader's choice.
fn namespaces() -> Variable {
    Variable {
        kind: "query",
        name: "namespace",
        label: "Namespace",
        query: "label_values(observedapp_app_ready, namespace)".to_owned(),
        hide: 0,
        skip_url_sync: false,
        current: None,
        values: Some(LabelValues {
            datasource: PROMETHEUS,
            refresh: 2,
            sort: 1,
            multi: true,
            include_all: true,
            all_value: ".*",
        }),
    }
}

/// A list of the apps' own dashboards.
fn every_app() -> Link {
    Link {
        title: "Apps".to_owned(),
        url: String::new(),
        kind: "dashboards",
        icon: "external link",
        tooltip: "The dashboard of each app".to_owned(),
        tags: vec![TAG.to_owned()],
        as_dropdown: true,
        target_blank: false,
        include_vars: false,
        keep_time: true,
    }
}

const READY: &str = r#"observedapp_app_ready{namespace=~"$namespace"}"#;
const STATES: &str = r#"observedapp_slo_state{namespace=~"$namespace"}"#;
const FIRING: &str = r#"ALERTS{namespace=~"$namespace",app!="",alertstate="firing"}"#;
const CONDITIONS: &str = r#"observedapp_app_condition{namespace=~"$namespace"}"#;

fn in_namespaces(record: &str) -> String {
    format!(r#"{record}{{namespace=~"$namespace"}}"#)
}

fn apps(grid: &mut Grid) {
    grid.row("Apps");
    let stat = |title: &str, says: &str, expr: String, colour: &'static str| {
        PanelBuilder::stat(title, Unit::Count)
            .says(says)
            .thresholds(GREEN, &[(1.0, colour)])
            .query(title, expr)
    };
    let in_state = |state: &str| {
        let of = STATES.replace('}', &format!(r#",state="{state}"}}"#));
        format!("sum({of}) or vector(0)")
    };
    grid.line(
        4,
        vec![
            stat(
                "Apps",
                "How many the operator runs.",
                format!("count({READY})"),
                GREEN,
            ),
            stat(
                "Not ready",
                "Apps that do not serve; their conditions say why.",
                format!("count({READY} == 0) or vector(0)"),
                RED,
            ),
            stat(
                "Objectives violated",
                "The budget is spent.",
                in_state("Violated"),
                RED,
            ),
            stat(
                "Objectives at risk",
                "The budget burns faster than is sustainable, or an alert of the objective fires.",
                in_state("AtRisk"),
                ORANGE,
            ),
            stat(
                "Objectives without data",
                "Nobody used these apps, or nobody measured it.",
                in_state("NoData"),
                YELLOW,
            ),
            stat(
                "Alerts firing",
                "Pages, tickets and symptoms of all apps.",
                format!("count({FIRING}) or vector(0)"),
                RED,
            ),
        ],
    );
    grid.line(10, vec![table()]);
    grid.line(
        8,
        vec![
            PanelBuilder::lines("Conditions that are not True", Unit::Count)
                .says("How many apps lack what the condition promises, or cannot tell.")
                .from(0.0)
                .query(
                    "{{condition}}",
                    format!(
                        "count by (condition) ({CONDITIONS}) - (count by (condition) ({}) or count by (condition) \
                         ({CONDITIONS}) * 0)",
                        CONDITIONS.replace('}', r#",status="true"}"#)
                    ),
                ),
            PanelBuilder::lines("Replicas", Unit::Count)
                .says("Of all apps together.")
                .from(0.0)
                .query(
                    "{{state}}",
                    format!("sum by (state) ({})", in_namespaces(names::APP_REPLICAS)),
                ),
        ],
    );
}

/// Every app on a line, the one with the least budget first.
fn table() -> PanelBuilder {
    let by_app = |aggregate: &str, of: &str| format!("{aggregate} by (namespace, app) ({of})");
    let replicas = in_namespaces(names::APP_REPLICAS).replace('}', r#",state="ready"}"#);
    PanelBuilder::table(
        "Apps by budget left",
        &[("namespace", "Namespace"), ("app", "App")],
        vec![
            Column::new(
                "Budget left",
                Unit::Ratio,
                by_app("min", &in_namespaces(names::BUDGET_REMAINING)),
            )
            .coloured(RED, &[(0.0, ORANGE), (0.25, YELLOW), (0.5, GREEN)]),
            Column::new(
                "Burn rate",
                Unit::Times,
                by_app("max", &in_namespaces(names::BURN_RATE)),
            )
            .coloured(GREEN, &[(1.0, ORANGE), (14.4, RED)]),
            Column::new(
                "Alerts",
                Unit::Count,
                format!("{} or {} * 0", by_app("count", FIRING), by_app("max", READY)),
            )
            .coloured(GREEN, &[(1.0, RED)]),
            Column::new("Ready", Unit::Count, by_app("max", READY)).coloured(RED, &[(1.0, GREEN)]),
            Column::new("Ready replicas", Unit::Count, by_app("max", &replicas)),
        ],
    )
    .says(
        "Of each app the objective that stands worst. Apps without objectives have no budget, and come last.",
    )
}

fn objectives(grid: &mut Grid) {
    grid.row("Objectives");
    let of_ten = "{{namespace}}/{{app}}: {{slo}}";
    grid.line(
        8,
        vec![
            PanelBuilder::lines("Objectives by state", Unit::Count)
                .says("Met, at risk, violated, or without data.")
                .from(0.0)
                .query("{{state}}", format!("sum by (state) ({STATES})")),
            PanelBuilder::lines("Least budget left", Unit::Ratio)
                .says("The ten objectives with the least budget. Below 0 the promise is broken.")
                .to(1.0)
                .thresholds(RED, &[(0.0, GREEN)])
                .threshold_lines()
                .query(
                    of_ten,
                    format!("bottomk(10, {})", in_namespaces(names::BUDGET_REMAINING)),
                ),
            PanelBuilder::lines("Fastest burn", Unit::Times)
                .says("The ten budgets that burn fastest, over an hour: 1 is sustainable, from 14.4 on somebody is paged.")
                .from(0.0)
                .thresholds(GREEN, &[(1.0, ORANGE), (14.4, RED)])
                .threshold_lines()
                .query(of_ten, format!("topk(10, {})", in_namespaces(names::BURN_RATE))),
        ],
    );
}

fn operator(grid: &mut Grid) {
    grid.row("The operator");
    let rate_by =
        |label: &str, counter: &str| format!("sum by ({label}) (rate({counter}[$__rate_interval]))");
    let quantile = |quantile: &str| {
        let buckets = rate_by("le", "observedapp_reconcile_duration_seconds_bucket");
        format!("histogram_quantile({quantile}, {buckets})")
    };
    grid.line(
        7,
        vec![
            PanelBuilder::stat("Leaders", Unit::Count)
                .says("1, but for the seconds in which another replica takes over.")
                .thresholds(RED, &[(1.0, GREEN), (2.0, RED)])
                .query("leaders", "sum(observedapp_leader)"),
            PanelBuilder::lines("Reconciles", Unit::OperationsPerSecond)
                .says("How often apps were looked at, by how it ended.")
                .from(0.0)
                .query("{{result}}", rate_by("result", "observedapp_reconciles_total")),
            PanelBuilder::lines("Duration of a reconcile", Unit::Seconds)
                .says("Half, and 99 of 100, were done within this time.")
                .from(0.0)
                .query("p50", quantile("0.5"))
                .query("p99", quantile("0.99")),
        ],
    );
    grid.line(
        7,
        vec![
            PanelBuilder::lines("Failures", Unit::OperationsPerSecond)
                .says("By class. The operator's log names the objects.")
                .from(0.0)
                .query(
                    "{{error}}",
                    format!(
                        r#"{} or label_replace(vector(0), "error", "none", "", "")"#,
                        rate_by("error", "observedapp_errors_total")
                    ),
                ),
            PanelBuilder::lines("Apps that wait", Unit::Count)
                .says("Apps that are due and wait for their turn.")
                .from(0.0)
                .query("waiting", "sum(observedapp_queue_depth)"),
            PanelBuilder::lines("Requests to the API server", Unit::RequestsPerSecond)
                .says("By verb and answer.")
                .from(0.0)
                .query(
                    "{{verb}} {{code}}",
                    rate_by("verb, code", "observedapp_api_requests_total"),
                ),
            PanelBuilder::lines("Questions to Prometheus", Unit::OperationsPerSecond)
                .says("Rounds, one for all apps together, by how they ended.")
                .from(0.0)
                .query(
                    "{{result}}",
                    rate_by("result", "observedapp_prometheus_polls_total"),
                ),
        ],
    );
}
