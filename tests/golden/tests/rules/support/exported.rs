//! Series as the operator's own exporter writes them.

use observedapp_api::ObservedAppStatus;
use observedapp_controller::{AppState, Metrics};
use serde_json::json;

/// An app's state with these conditions, by type and status.
pub(crate) fn state(wanted: i32, ready: i32, conditions: &[(&str, &str)]) -> AppState {
    let conditions: Vec<_> = conditions
        .iter()
        .map(|(type_, status)| {
            json!({
                "type": type_, "status": status, "reason": "Test", "message": "",
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            })
        })
        .collect();
    let status = json!({"readyReplicas": ready, "conditions": conditions});
    let status: ObservedAppStatus = serde_json::from_value(status).unwrap();
    AppState::new(&status, wanted, ready, Vec::new())
}

/// What a scrape of the operator's pod brings of `shop/tasks`: series and value.
pub(crate) fn scraped(pod: &str, state: AppState, failures: u32) -> Vec<(String, f64)> {
    let metrics = Metrics::default();
    let app = observedapp_api::AppRef::new("shop", "tasks");
    metrics.apps.show(&app, Some(state));
    metrics.apps.show_failures(&app, failures);
    let text = metrics.text().unwrap();
    let series: Vec<_> = text
        .lines()
        .filter(|line| line.contains(r#"app="tasks""#))
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            let name = name.strip_suffix('}').unwrap();
            (format!(r#"{name},pod="{pod}"}}"#), value.parse().unwrap())
        })
        .collect();
    assert!(!series.is_empty(), "{text}");
    series
}
