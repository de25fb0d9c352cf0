//! `observedapp import`, as a user runs it.
#![allow(clippy::unwrap_used)]

mod support;

use support::observedapp;

#[test]
fn several_tools_in_one_stream_become_slos() {
    let run = observedapp(
        &["import", "-"],
        r#"
version: prometheus/v1
service: shop
slos:
- name: requests
  objective: 99.9
  sli:
    events:
      error_query: sum(rate(http_requests_total{job="api",code=~"5.."}[{{.window}}]))
      total_query: sum(rate(http_requests_total[{{.window}}]))
---
apiVersion: pyrra.dev/v1alpha1
kind: ServiceLevelObjective
metadata: {name: slow}
spec:
  target: "99"
  window: 4w
  indicator:
    latency:
      success: {metric: 'http_request_duration_seconds_bucket{le="0.3"}'}
      total: {metric: http_request_duration_seconds_count}
---
apiVersion: openslo/v1
kind: SLO
metadata: {name: other}
spec: {objectives: [{target: 0.99}], indicatorRef: elsewhere}
"#,
    );
    let said = run.stderr;
    assert_eq!(run.code, Some(0), "{said}");
    let slos: serde_json::Value = serde_yaml::from_str(&run.stdout).unwrap();
    assert_eq!(
        slos,
        serde_json::json!({"slos": [
            {"name": "requests", "objective": 99.9, "indicator": {"ratio": {
                "errors": "http_requests_total{code=~\"5..\"}", "total": "http_requests_total",
            }}},
            {"name": "slow", "objective": 99.0, "window": "28d", "indicator": {"latency": {"threshold": "300ms"}}},
        ]})
    );
    assert!(
        said.contains("job=\"api\" is left out: the app is scraped as a job of its own name"),
        "{said}"
    );
    assert!(
        said.contains("SLO other: left out: its indicator is in another document"),
        "{said}"
    );
    assert!(
        said.contains("needs spec.metrics.latency: http_request_duration_seconds"),
        "{said}"
    );
}

#[test]
fn what_is_none_of_them_is_said() {
    let run = observedapp(&["import", "-"], "kind: Pod\napiVersion: v1\n");
    let said = run.stderr;
    assert_eq!(run.code, Some(1), "{said}");
    assert!(
        said.contains("document 1 is none that is known") && said.contains("nothing could be imported"),
        "{said}"
    );
}
