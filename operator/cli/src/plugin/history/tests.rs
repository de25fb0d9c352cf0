#![allow(clippy::unwrap_used)]
use std::fs;
use std::path::Path;

use serde_json::json;

use super::super::screen::tests::{app, compare};
use super::*;

fn rendered(history: &History, width: usize) -> String {
    let now = "2026-11-21T12:30:00Z".parse().unwrap();
    draw(history, now, Terminal { width, colour: false })
}

fn replica_set(revision: &str, image: &str, ready: i32) -> ReplicaSet {
    serde_json::from_value(json!({
        "metadata": {
            "name": format!("tasks-{revision}"), "creationTimestamp": "2026-11-20T12:30:00Z",
            "annotations": {"deployment.kubernetes.io/revision": revision},
        },
        "spec": {"selector": {}, "template": {"spec": {"containers": [
            {"name": "sidecar", "image": "proxy:1"}, {"name": "tasks", "image": image},
        ]}}},
        "status": {"replicas": ready, "readyReplicas": ready},
    }))
    .unwrap()
}

#[test]
fn histories_are_as_committed() {
    let history = History::of(&app("rolled-back"), &[]);
    compare("history", &rendered(&history, 100));
    compare("history-wide", &rendered(&history, 160));
    compare("history-narrow", &rendered(&history, 60));
    for width in [100, 160] {
        let text = rendered(&history, width);
        assert!(text.lines().all(|line| line.chars().count() <= width), "{text}");
    }
}

#[test]
fn the_readme_shows_a_history_as_it_is() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = fs::read_to_string(root.join("../../README.md")).unwrap();
    let history = fs::read_to_string(root.join("tests/screens/history.txt")).unwrap();
    assert!(
        readme.contains(&history),
        "put tests/screens/history.txt into README.md"
    );
}

#[test]
fn without_records_the_deployment_s_replica_sets_are_listed() {
    let sets = [replica_set("10", "tasks:2", 2), replica_set("9", "tasks:1", 0)];
    let text = rendered(&History::of(&app("healthy"), &sets), 100);
    assert_eq!(
        text,
        "\
REVISION   IMAGE     PODS   AGE
9          tasks:1   0      24h
10         tasks:2   2      24h

the ReplicaSets that the Deployment keeps; with spec.rollout.guard each release is recorded, with a
verdict and its cost
"
    );
}

#[test]
fn nothing_that_ran_is_no_table() {
    assert_eq!(rendered(&History::of(&app("not-looked-at"), &[]), 100), "");
}
