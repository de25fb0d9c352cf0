//! `observedapp import`, as a user runs it.
#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::process::{Command, Output, Stdio};

fn import(input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_observedapp"))
        .args(["import", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn several_tools_in_one_stream_become_slos() {
    let output = import(
        r#"
version: prometheus/v1
service: shop
slos:
- name: requests
  objective: 99.9
  sli:
    events:
      error_query: sum(rate(http_requests_total{code=~"5.."}[{{.window}}]))
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
    let (yaml, said) = (
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    );
    assert!(output.status.success(), "{said}");
    let slos: serde_json::Value = serde_yaml::from_str(&yaml).unwrap();
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
    let output = import("kind: Pod\napiVersion: v1\n");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert!(
        said.contains("document 1 is none that is known") && said.contains("nothing could be imported"),
        "{said}"
    );
}
