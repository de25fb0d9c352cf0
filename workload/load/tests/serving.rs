//! The load generator against the real service: what it counts is what the service counted.
#![allow(clippy::unwrap_used)]

mod support;
#[path = "../../tests/support/mod.rs"]
mod tasks;

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::json;
use support::Run;
use tasks::Service;

const OPERATIONS: [(&str, &str, &str); 4] = [
    ("GET /tasks", "GET", "/tasks"),
    ("POST /tasks", "POST", "/tasks"),
    ("PUT /tasks/{id}", "PUT", "/tasks/{id}"),
    ("DELETE /tasks/{id}", "DELETE", "/tasks/{id}"),
];

/// How often the service answered a route, whatever the answer, and how often with a code of 5xx.
fn served(metrics: &BTreeMap<String, f64>, method: &str, route: &str) -> (f64, f64) {
    let start = format!(r#"http_requests_total{{method="{method}",route="{route}",code=""#);
    let codes = || {
        metrics
            .iter()
            .filter_map(|(series, count)| Some((series.strip_prefix(&start)?, count)))
    };
    (
        codes().map(|(_, count)| count).sum(),
        codes()
            .filter(|(code, _)| code.starts_with('5'))
            .map(|(_, count)| count)
            .sum(),
    )
}

/// Every request is in the summary once, in the service's metrics once, and alike in the report and the terminal.
async fn agrees(run: &Run, service: &Service) {
    let metrics = service.metrics().await;
    let mut sum = 0;
    for (index, (name, method, route)) in OPERATIONS.iter().enumerate() {
        let figures = &run.summary["operations"][index];
        assert_eq!(figures["name"], *name);
        let (requests, failed) = (
            figures["requests"].as_u64().unwrap(),
            figures["failed"].as_u64().unwrap(),
        );
        sum += requests;
        // Before the users come, one request asks whether anybody is there.
        let asked = u64::from(*name == "GET /tasks");
        assert_eq!(
            served(&metrics, method, route),
            ((requests + asked) as f64, failed as f64),
            "{name}"
        );
        assert!(
            run.report.contains(&format!(
                "<tr><td>{name}</td><td>{requests}</td><td>{failed}</td>"
            )),
            "{name}"
        );
    }
    let (requests, failed) = (run.count("requests"), run.count("failed"));
    assert_eq!(requests, sum);
    let seconds = run.summary["timeline"].as_array().unwrap();
    let of_seconds = |what: &str| {
        seconds
            .iter()
            .map(|second| second[what].as_u64().unwrap())
            .sum::<u64>()
    };
    assert_eq!((of_seconds("requests"), of_seconds("failed")), (requests, failed));
    assert_eq!(seconds.last().unwrap()["users"], run.summary["users"]);
    assert!(
        run.report.contains(&format!("{requests} requests in ")),
        "{}",
        run.report
    );
    assert!(
        run.report.contains(&format!("<strong>{failed} failed (")),
        "{}",
        run.report
    );
    assert!(run.report.matches("<polyline").count() >= 5, "{}", run.report);
    let last = run
        .stdout
        .lines()
        .rev()
        .find(|line| line.starts_with("all "))
        .unwrap();
    let columns: Vec<&str> = last.split_whitespace().collect();
    assert_eq!(columns[1..3], [requests.to_string(), failed.to_string()]);
}

#[tokio::test]
async fn a_good_service_fails_nobody() {
    let service = Service::on_sqlite_in_memory().await;
    let run = Run::against(&service.url, &["--users", "20", "--spawn-rate", "20"]);
    assert_eq!(
        (run.code, run.count("failed")),
        (0, 0),
        "{}{}",
        run.stdout,
        run.stderr
    );
    assert_eq!(run.summary["failures"], json!([]));
    assert_eq!(run.count("users"), 20);
    agrees(&run, &service).await;
    for figures in run.summary["operations"].as_array().unwrap() {
        assert!(figures["requests"].as_u64().unwrap() > 0, "{figures}");
        let at = |percentile: &str| figures[percentile].as_f64().unwrap();
        assert!(
            0.0 < at("p50_ms") && at("p50_ms") <= at("p99_ms") && at("p99_ms") <= at("max_ms"),
            "{figures}"
        );
    }
    let progress = run
        .stdout
        .lines()
        .filter(|line| line.contains(" users  ") && line.contains(" 0 failed  p50 "));
    assert!(progress.count() > 0, "no line about how it goes: {}", run.stdout);
}

#[tokio::test]
async fn the_share_of_failures_decides() {
    let service = Service::ready(&[("DATABASE_URL", "sqlite::memory:"), ("FAULTS", "on")]).await;
    let faults = service
        .client
        .request(Method::PUT, format!("{}/faults", service.metrics_url))
        .json(&json!({"error_ratio": 0.5}));
    assert_eq!(faults.send().await.unwrap().status(), 200);

    let run = Run::against(&service.url, &["--fail-above", "99%"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let failed = run.count("failed");
    assert!(0 < failed && failed < run.count("requests"), "{}", run.summary);
    let share = 100.0 * failed as f64 / run.count("requests") as f64;
    assert!((run.summary["failed_percent"].as_f64().unwrap() - share).abs() < 1e-9);
    assert!(
        run.failures()
            .iter()
            .all(|what| what.starts_with("answered 500 Internal Server Error where "))
    );

    for arguments in [&["--fail-above", "1%"][..], &[]] {
        let run = Run::against(&service.url, arguments);
        assert_eq!(run.code, 1, "{arguments:?}");
        assert!(
            run.stderr.contains(" % of the requests failed; "),
            "{}",
            run.stderr
        );
    }
}
