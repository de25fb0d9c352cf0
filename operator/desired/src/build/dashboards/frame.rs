//! What both dashboards have in common.

use super::model::{Dashboard, Listed, TimeRange, Variable};
use super::panel::Grid;

/// What every app's dashboard is tagged with.
pub(super) const TAG: &str = "observedapp";
/// The version of the dashboard model; Grafana brings an older one up to date.
const SCHEMA_VERSION: u32 = 39;

pub(super) fn written(dashboard: &Dashboard) -> String {
    serde_json::to_string(dashboard).expect("strings, numbers and lists can always be written as JSON")
}

/// What every dashboard of ours has in common, around its panels.
pub(super) fn framed(uid: String, title: String, description: String, tag: &str, grid: Grid) -> Dashboard {
    Dashboard {
        uid,
        title,
        description,
        tags: vec![tag.to_owned()],
        schema_version: SCHEMA_VERSION,
        editable: false,
        graph_tooltip: 1,
        refresh: "30s".to_owned(),
        time: TimeRange {
            from: "now-6h".to_owned(),
            to: "now".to_owned(),
        },
        timezone: "browser".to_owned(),
        templating: Listed { list: Vec::new() },
        annotations: Listed { list: Vec::new() },
        links: Vec::new(),
        panels: grid.into_panels(),
    }
}

/// Which Prometheus: there may be several.
pub(super) fn datasource() -> Variable {
    Variable {
        kind: "datasource",
        name: "datasource",
        label: "Data source",
        query: "prometheus".to_owned(),
        hide: 0,
        skip_url_sync: false,
        current: None,
        values: None,
    }
}
