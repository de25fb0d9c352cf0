#![allow(clippy::unwrap_used)]
use super::super::Metrics;
use super::*;

fn state(ready: &str, restarts: &[(&str, i64)]) -> AppState {
    let status = serde_json::from_value(serde_json::json!({
        "readyReplicas": 1,
        "conditions": [{
            "type": "Ready", "status": ready, "reason": "R", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z",
        }],
    }));
    let restarts = restarts.iter().map(|(pod, count)| ((*pod).to_owned(), *count));
    AppState::new(&status.unwrap(), 2, 1, restarts.collect())
}

#[test]
fn an_app_that_is_gone_is_shown_no_more() {
    let metrics = Metrics::default();
    let apps = &metrics.apps;
    let app = AppRef::new("shop", "tasks");
    apps.show(&app, Some(state("True", &[("tasks-1", 3)])));
    apps.show_failures(&app, 4);
    let text = metrics.text().unwrap();
    for series in [
        r#"observedapp_app_ready{namespace="shop",app="tasks"} 1"#,
        r#"observedapp_app_condition{namespace="shop",app="tasks",condition="Ready",status="true"} 1"#,
        r#"observedapp_app_replicas{namespace="shop",app="tasks",state="wanted"} 2"#,
        r#"observedapp_app_restarts{namespace="shop",app="tasks",pod="tasks-1"} 3"#,
        r#"observedapp_app_failed_reconciles{namespace="shop",app="tasks"} 4"#,
    ] {
        assert!(text.contains(series), "{series} is not in\n{text}");
    }
    metrics.apps.show(&app, None);
    assert!(!metrics.text().unwrap().contains(r#"app="tasks""#));
}

#[test]
fn what_has_changed_is_shown_in_place_of_what_was() {
    let metrics = Metrics::default();
    let apps = &metrics.apps;
    let app = AppRef::new("shop", "tasks");
    apps.show(&app, Some(state("True", &[("tasks-1", 3)])));
    apps.show_failures(&app, 1);
    apps.show(&app, Some(state("False", &[("tasks-2", 0)])));
    let text = metrics.text().unwrap();
    assert!(text.contains(r#"condition="Ready",status="false"} 1"#), "{text}");
    assert!(!text.contains(r#"status="true""#), "{text}");
    assert!(text.contains(r#"pod="tasks-2"} 0"#), "{text}");
    assert!(!text.contains("tasks-1"), "{text}");
    assert!(
        text.contains("failed_reconciles{namespace=\"shop\",app=\"tasks\"} 1"),
        "{text}"
    );
}
#[test]
fn the_release_that_is_asked_for_is_shown_with_its_phase() {
    let metrics = Metrics::default();
    let apps = &metrics.apps;
    let app = AppRef::new("shop", "tasks");
    let of = |number: i64, phase: &str| {
        let status = serde_json::json!({"release": {
            "number": number, "image": format!("tasks:{number}"), "phase": phase, "began": "2026-01-01T00:00:00Z",
        }});
        AppState::new(&serde_json::from_value(status).unwrap(), 2, 2, Vec::new())
    };
    apps.show(&app, Some(of(6, "Stable")));
    apps.show(&app, Some(of(7, "Baking")));
    let text = metrics.text().unwrap();
    let shown: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("observedapp_release"))
        .collect();
    assert_eq!(
        shown,
        [
            r#"observedapp_release_info{namespace="shop",app="tasks",release="7",image="tasks:7"} 1"#,
            r#"observedapp_release_began_timestamp_seconds{namespace="shop",app="tasks",release="7"} 1767225600"#,
            r#"observedapp_release_phase{namespace="shop",app="tasks",phase="Baking"} 1"#,
        ]
    );
    apps.show(&app, Some(state("True", &[])));
    assert!(!metrics.text().unwrap().contains("observedapp_release_info{"));
}
