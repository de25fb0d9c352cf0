//! Failure on purpose, and only where it was allowed.
#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss
)]

mod support;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::Service;
use support::service::Answer;

async fn set(service: &Service, faults: &Value) -> Answer {
    Answer::of(
        service
            .client
            .put(format!("{}/faults", service.metrics_url))
            .json(faults),
    )
    .await
}

#[tokio::test]
async fn the_tasks_fail_as_asked_and_health_does_not() {
    let service = Service::ready(&[("DATABASE_URL", "sqlite::memory:"), ("FAULTS", "on")]).await;
    set(&service, &json!({"error_ratio": 1.0}))
        .await
        .expect(200, &json!({"error_ratio": 1.0, "latency_ms": 0}));
    service.get("/tasks").await.expect_error(500, "Failed on purpose");
    service.add("a").await.expect_error(500, "Failed on purpose");
    service
        .get("/healthz")
        .await
        .expect(200, &json!({"message": "alive"}));
    service
        .get("/readyz")
        .await
        .expect(200, &json!({"message": "ready"}));
    assert_eq!(
        service.metrics().await[r#"http_requests_total{method="GET",route="/tasks",code="500"}"#],
        1.0
    );

    set(&service, &json!({"error_ratio": 0.5})).await;
    let mut failed = 0;
    for _ in 0..200 {
        failed += u32::from(service.get("/tasks").await.status == 500);
    }
    assert!((50..150).contains(&failed), "{failed} of 200 failed");

    set(&service, &json!({"latency_ms": 50})).await;
    let started = Instant::now();
    service.get("/tasks").await.expect(200, &json!([]));
    assert!(started.elapsed() >= Duration::from_millis(50));

    set(&service, &json!({}))
        .await
        .expect(200, &json!({"error_ratio": 0.0, "latency_ms": 0}));
    service.get("/tasks").await.expect(200, &json!([]));
}

#[tokio::test]
async fn only_faults_that_can_be_are_taken() {
    let service = Service::ready(&[("DATABASE_URL", "sqlite::memory:"), ("FAULTS", "on")]).await;
    for (faults, problem) in [
        (
            json!({"error_ratio": 1.1}),
            "error_ratio must lie between 0 and 1",
        ),
        (
            json!({"error_ratio": -0.1}),
            "error_ratio must lie between 0 and 1",
        ),
        (json!({"latency_ms": 60_001}), "latency_ms must be at most 60000"),
        (json!({"latency_ms": -1}), ""),
        (json!({"errors": 1}), ""),
        (json!([]), ""),
    ] {
        set(&service, &faults)
            .await
            .expect_error(400, &format!("Not faults: {problem}"));
    }
}

/// A release that fails because of its environment.
#[tokio::test]
async fn an_environment_can_make_it_fail_from_the_start() {
    let fails = [
        ("DATABASE_URL", "sqlite::memory:"),
        ("FAULT_ERROR_RATIO", "1"),
        ("FAULT_LATENCY_MS", "50"),
    ];
    let service = Service::ready(&[fails.as_slice(), &[("FAULTS", "on")]].concat()).await;
    let started = Instant::now();
    service.get("/tasks").await.expect_error(500, "Failed on purpose");
    assert!(started.elapsed() >= Duration::from_millis(50));
    set(&service, &json!({})).await;
    service.get("/tasks").await.expect(200, &json!([]));

    let not_allowed = Service::ready(&fails).await;
    not_allowed.get("/tasks").await.expect(200, &json!([]));
}

#[tokio::test]
async fn without_leave_there_are_none() {
    let service = Service::on_sqlite_in_memory().await;
    for port in [&service.url, &service.metrics_url] {
        let answer = service
            .client
            .put(format!("{port}/faults"))
            .json(&json!({"error_ratio": 1}))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 404);
    }
    service.get("/tasks").await.expect(200, &json!([]));
}
