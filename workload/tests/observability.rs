//! What the service says about itself is what really happened.
#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss
)]

#[path = "support/collector.rs"]
mod collector;
mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use collector::collector;
use reqwest::{Method, StatusCode};
use rustls::pki_types::PrivateKeyDer;
use serde_json::{Value, json};
use support::Service;
use support::service::{Answer, eventually};
use tokio_rustls::TlsAcceptor;

const CALLER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// As OpenTelemetry's library logs it.
const EXPORT_FAILED: &str = "BatchSpanProcessor.ExportError";

/// What grew between two readings, without the probes that the test itself made.
fn growth(
    before: &BTreeMap<String, f64>,
    after: &BTreeMap<String, f64>,
    family: &str,
) -> BTreeMap<String, f64> {
    let difference =
        |(name, value): (&String, &f64)| (name.clone(), value - before.get(name).unwrap_or(&0.0));
    after
        .iter()
        .filter(|(name, _)| name.starts_with(family))
        .map(difference)
        .filter(|(_, grown)| *grown != 0.0)
        .collect()
}

#[tokio::test]
async fn every_request_is_counted_once_on_its_route() {
    let service = Service::on_sqlite_in_memory().await;
    let before = service.metrics().await;

    let id = service.add("a").await.id();
    let adds = futures::future::join_all((0..40).map(|_| service.add("b")));
    let lists = futures::future::join_all((0..60).map(|_| service.get("/tasks?limit=3")));
    tokio::join!(adds, lists);
    service.update(id, "c").await;
    service.delete(id).await;
    service.delete(id).await;
    service.add("").await;
    service.get("/tasks?limit=0").await;
    service.get("/nowhere").await;
    Answer::of(service.request(Method::PATCH, "/tasks/7")).await;
    service.get("/healthz").await;

    let after = service.metrics().await;
    let expected = [
        (
            r#"http_requests_total{method="DELETE",route="/tasks/{id}",code="200"}"#,
            1,
        ),
        (
            r#"http_requests_total{method="DELETE",route="/tasks/{id}",code="404"}"#,
            1,
        ),
        (
            r#"http_requests_total{method="GET",route="/healthz",code="200"}"#,
            1,
        ),
        (
            r#"http_requests_total{method="GET",route="/tasks",code="200"}"#,
            60,
        ),
        (
            r#"http_requests_total{method="GET",route="/tasks",code="400"}"#,
            1,
        ),
        (
            r#"http_requests_total{method="GET",route="unmatched",code="404"}"#,
            1,
        ),
        (
            r#"http_requests_total{method="PATCH",route="/tasks/{id}",code="405"}"#,
            1,
        ),
        (
            r#"http_requests_total{method="POST",route="/tasks",code="201"}"#,
            41,
        ),
        (
            r#"http_requests_total{method="POST",route="/tasks",code="400"}"#,
            1,
        ),
        (
            r#"http_requests_total{method="PUT",route="/tasks/{id}",code="200"}"#,
            1,
        ),
    ];
    let expected = expected.map(|(name, count)| (name.to_owned(), f64::from(count)));
    assert_eq!(
        growth(&before, &after, "http_requests_total"),
        BTreeMap::from(expected)
    );

    // The older names count the same.
    let grown = |name: &str| after[name] - before[name];
    assert_eq!(grown("app_requests_total"), 109.0);
    assert_eq!(
        grown(r#"request_count_total{method="GET",endpoint="/tasks"}"#),
        61.0
    );
    assert_eq!(
        grown(r#"request_count_total{method="POST",endpoint="/tasks"}"#),
        42.0
    );
    assert_eq!(
        grown(r#"error_count_total{method="POST",endpoint="/tasks"}"#),
        1.0
    );
    assert_eq!(
        grown(r#"error_count_total{method="DELETE",endpoint="/tasks/{id}"}"#),
        1.0
    );
    for (family, label) in [
        ("http_request_duration_seconds", "route"),
        ("request_processing_seconds", "endpoint"),
    ] {
        let series = format!(r#"method="POST",{label}="/tasks"}}"#);
        assert_eq!(grown(&format!("{family}_count{{{series}")), 42.0);
        assert_eq!(grown(&format!(r#"{family}_bucket{{le="+Inf",{series}"#)), 42.0);
        assert!(grown(&format!("{family}_sum{{{series}")) > 0.0);
    }
    assert_eq!(after["http_requests_in_flight"], 0.0);
    assert!(after["process_resident_memory_bytes"] > 1e6 && after["memory_usage_bytes"] > 1e6);
    assert!((0.0..=100.0).contains(&after["cpu_usage_percent"]));
}

#[tokio::test]
async fn known_series_are_there_before_the_first_request() {
    let service = Service::start(&[("DATABASE_URL", "sqlite::memory:")]);
    let metrics = service.metrics().await;
    for name in [
        r#"http_requests_total{method="GET",route="/tasks",code="200"}"#,
        r#"http_requests_total{method="GET",route="/tasks",code="500"}"#,
        r#"http_requests_total{method="POST",route="/tasks",code="503"}"#,
        r#"http_request_duration_seconds_bucket{le="0.3",method="DELETE",route="/tasks/{id}"}"#,
        r#"http_request_duration_seconds_count{method="PUT",route="/tasks/{id}"}"#,
        r#"request_count_total{method="GET",endpoint="/tasks"}"#,
        r#"error_count_total{method="PUT",endpoint="/tasks/{id}"}"#,
        r#"request_processing_seconds_sum{method="GET",endpoint="/tasks"}"#,
        "app_requests_total",
        "http_requests_in_flight",
        "cache_hits_total",
        "cache_misses_total",
        "cache_errors_total",
        r#"db_errors_total{operation="list"}"#,
    ] {
        assert_eq!(metrics.get(name), Some(&0.0), "{name}");
    }
}

#[tokio::test]
async fn no_client_can_add_series_without_end() {
    let service = Service::on_sqlite_in_memory().await;
    let hostile = async |number: u32| {
        service.get(&format!("/secret-{number}")).await;
        service.delete(i64::from(number)).await;
        let method = Method::from_bytes(format!("EVIL{number}").as_bytes()).unwrap();
        Answer::of(service.request(method, "/tasks")).await;
    };
    hostile(0).await;
    let before = service.metrics().await;
    for number in 1..100 {
        hostile(number).await;
    }
    let after = service.metrics().await;
    assert_eq!(
        before.keys().collect::<Vec<_>>(),
        after.keys().collect::<Vec<_>>()
    );
    assert!(
        !after
            .keys()
            .any(|name| name.contains("secret") || name.contains("EVIL"))
    );
    assert_eq!(
        after[r#"http_requests_total{method="other",route="/tasks",code="405"}"#],
        100.0
    );
}

#[tokio::test]
async fn one_port_serves_both_when_both_are_the_same() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let port = support::servers::free_port().to_string();
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_tasks"))
        .env("DATABASE_URL", "sqlite::memory:")
        .envs([("PORT", &port), ("METRICS_PORT", &port)])
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let ask = async |path: &str| reqwest::get(format!("http://127.0.0.1:{port}{path}")).await.ok();
    let metrics = eventually("the metrics", async || ask("/metrics").await?.text().await.ok()).await;
    assert!(metrics.contains("http_requests_total"));
    assert_eq!(ask("/healthz").await.unwrap().status(), StatusCode::OK);
    let _ = child.kill();
    let _ = child.wait();
}

#[tokio::test]
async fn each_request_is_one_log_line() {
    let service = Service::on_sqlite_in_memory().await;
    let hostile = "/tasks/%0A{\"level\":\"FATAL\"}";
    service
        .request(Method::PUT, hostile)
        .json(&json!({"task": "a"}))
        .send()
        .await
        .unwrap();
    service
        .request(Method::GET, "/tasks")
        .header("traceparent", CALLER)
        .send()
        .await
        .unwrap();
    let line = service.log_line(|line| (line["message"] == "GET /tasks called").then(|| line.clone()));
    assert_eq!(
        (&line["method"], &line["path"], &line["status"]),
        (&json!("GET"), &json!("/tasks"), &json!(200))
    );
    assert_eq!(line["level"], "INFO");
    assert_eq!(line["trace_id"], TRACE);
    assert_eq!(line.get("task"), None);
    assert!(line["duration"].as_f64().unwrap() > 0.0);
    assert!(line["timestamp"].as_str().unwrap().ends_with('Z'));

    let lines = service.log_lines();
    assert!(lines.iter().all(Value::is_object), "{lines:#?}");
    let lists = lines.iter().filter(|line| line["path"] == "/tasks").count();
    assert_eq!(lists, 1);
    assert!(lines.iter().all(|line| line["level"] != "FATAL"));
}

#[tokio::test]
async fn the_level_of_a_log_line_says_whose_fault_it_was() {
    let service = Service::ready(&[("DATABASE_URL", "sqlite::memory:"), ("FAULTS", "on")]).await;
    service.add("Buy milk").await;
    service.add("").await;
    let faults = service
        .client
        .put(format!("{}/faults", service.metrics_url))
        .json(&json!({"error_ratio": 1.0}));
    faults.send().await.unwrap();
    service.add("Buy bread").await;
    let level = |status: u16| {
        service.log_line(|line| {
            let this = line["message"] == "POST /tasks called" && line["status"] == status;
            this.then(|| (line["level"].clone(), line.get("task").cloned()))
        })
    };
    assert_eq!(level(201), (json!("INFO"), Some(json!("Buy milk"))));
    assert_eq!(level(400), (json!("WARN"), None));
    assert_eq!(level(500), (json!("ERROR"), None));
}

#[tokio::test]
async fn a_bucket_of_the_latency_names_a_trace() {
    let service = Service::on_sqlite_in_memory().await;
    let request = service
        .request(Method::GET, "/tasks")
        .header("traceparent", CALLER);
    request.send().await.unwrap();
    let text = service
        .client
        .get(format!("{}/metrics", service.metrics_url))
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    let exemplar = format!("# {{trace_id=\"{TRACE}\"}} ");
    let buckets: Vec<&str> = text.lines().filter(|line| line.contains(&exemplar)).collect();
    assert_eq!(buckets.len(), 1, "{buckets:#?}");
    assert!(
        buckets[0].starts_with("http_request_duration_seconds_bucket{"),
        "{buckets:#?}"
    );
}

#[tokio::test]
async fn a_trace_is_carried_on() {
    let service = Service::on_sqlite_in_memory().await;
    let traceparent = async |caller: Option<&str>| {
        let request = service.request(Method::GET, "/tasks");
        let request = caller
            .into_iter()
            .fold(request, |request, caller| request.header("traceparent", caller));
        Answer::of(request).await.header("traceparent").to_owned()
    };
    let carried = traceparent(Some(CALLER)).await;
    assert!(carried.starts_with(&format!("00-{TRACE}-")), "{carried}");
    assert!(carried.ends_with("-01") && carried != CALLER, "{carried}");
    let (one, other) = (traceparent(None).await, traceparent(Some("nonsense")).await);
    assert!(one.len() == CALLER.len() && other.len() == CALLER.len() && one != other);
}

#[tokio::test]
async fn spans_reach_the_collector() {
    let (port, mut messages) = collector(None).await;
    let endpoint = format!("http://127.0.0.1:{port}");
    let service = Service::ready(&[
        ("DATABASE_URL", "sqlite::memory:"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint),
        ("OTEL_SERVICE_NAME", "shop"),
        ("OTEL_TRACES_SAMPLER", "parentbased_always_off"),
    ])
    .await;
    service.get("/tasks").await;
    let add = service
        .request(Method::POST, "/tasks")
        .json(&json!({"task": "a"}))
        .header("traceparent", CALLER);
    add.send().await.unwrap();

    let message = messages.recv().await.unwrap();
    let resource = &message["resourceSpans"][0];
    assert!(
        resource["resource"]["attributes"]
            .as_array()
            .unwrap()
            .contains(&json!({"key": "service.name", "value": {"stringValue": "shop"}})),
        "{resource}"
    );
    let spans = resource["scopeSpans"][0]["spans"].as_array().unwrap();
    assert_eq!(spans.len(), 2, "only the caller's trace is recorded: {spans:#?}");
    let span = |name: &str| spans.iter().find(|span| span["name"] == name).unwrap();
    let (server, database) = (span("POST /tasks"), span("add"));
    assert_eq!(
        (&server["traceId"], &database["traceId"]),
        (&json!(TRACE), &json!(TRACE))
    );
    assert_eq!(server["parentSpanId"], "00f067aa0ba902b7");
    assert_eq!(database["parentSpanId"], server["spanId"]);
    assert!(
        server["attributes"]
            .as_array()
            .unwrap()
            .contains(&json!({"key": "http.response.status_code", "value": {"intValue": "201"}}))
    );
    let nanos = |field: &str| server[field].as_str().unwrap().parse::<u64>().unwrap();
    assert!(nanos("startTimeUnixNano") < nanos("endTimeUnixNano"));
}

#[tokio::test]
async fn a_collector_that_is_not_there_is_no_trouble() {
    let nowhere = format!("http://127.0.0.1:{}", support::servers::free_port());
    let service = Service::ready(&[
        ("DATABASE_URL", "sqlite::memory:"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &nowhere),
    ])
    .await;
    service.get("/tasks").await.expect(200, &json!([]));
    service.log_line(|line| (line["name"] == EXPORT_FAILED).then_some(()));
    service.get("/tasks").await.expect(200, &json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_under_tls_is_known_by_its_certificate() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let certificate = folder.path().join("collector.pem");
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let (port, mut messages) = collector(Some(TlsAcceptor::from(Arc::new(tls)))).await;
    let endpoint = format!("https://localhost:{port}");
    let settings = [
        ("DATABASE_URL", "sqlite::memory:"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint),
    ];

    let stranger = Service::ready(&settings).await;
    stranger.get("/tasks").await;
    stranger.log_line(|line| (line["name"] == EXPORT_FAILED).then_some(()));
    assert!(
        messages.try_recv().is_err(),
        "a collector without a trusted certificate received everything"
    );

    let trusted = ("OTEL_EXPORTER_OTLP_CERTIFICATE", certificate.to_str().unwrap());
    let friend = Service::ready(&[&settings[..], &[trusted]].concat()).await;
    friend.get("/tasks").await;
    let message = messages.recv().await.unwrap();
    assert!(
        message["resourceSpans"][0]["scopeSpans"][0]["spans"].is_array(),
        "{message}"
    );
}
