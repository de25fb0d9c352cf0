//! The end of an instance costs no request.
#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss
)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde_json::json;
use support::Service;
use support::service::{Answer, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[tokio::test]
async fn sigterm_under_load_loses_no_request() {
    let mut old = Service::ready(&[("DATABASE_URL", "sqlite::memory:"), ("DRAIN_DELAY", "1s")]).await;
    let new = Service::on_sqlite_in_memory().await;

    // What a load balancer does: new connections go to instances that are ready; whoever has a
    // connection uses it until it is closed.
    let old_is_ready = Arc::new(AtomicBool::new(true));
    let over = Arc::new(AtomicBool::new(false));
    let served_by_old = Arc::new(AtomicU64::new(0));
    let clients: Vec<_> = (0..20)
        .map(|_| {
            let (old_is_ready, over, served_by_old) =
                (old_is_ready.clone(), over.clone(), served_by_old.clone());
            let (old, new) = (old.url.clone(), new.url.clone());
            tokio::spawn(async move {
                let client = reqwest::Client::new();
                while !over.load(Ordering::Relaxed) {
                    let on_old = old_is_ready.load(Ordering::Relaxed);
                    let url = if on_old { &old } else { &new };
                    let add = client.post(format!("{url}/tasks")).json(&json!({"task": "a"}));
                    let answer = add.send().await.expect("a request was lost");
                    assert_eq!(answer.status(), 201);
                    answer.bytes().await.expect("an answer was cut off");
                    served_by_old.fetch_add(u64::from(on_old), Ordering::Relaxed);
                }
            })
        })
        .collect();
    eventually("some load", async || {
        (served_by_old.load(Ordering::Relaxed) > 100).then_some(())
    })
    .await;

    old.signal("TERM");
    old.log_line(|line| (line["message"] == "draining").then_some(()));
    old.get("/readyz").await.expect_error(503, "Shutting down");
    // It still serves whoever has not heard of it, and asks them to go.
    let late = old.add("late").await;
    assert_eq!((late.status, late.header("connection")), (201, "close"));
    old_is_ready.store(false, Ordering::Relaxed);

    assert!(
        tokio::task::spawn_blocking(move || old.wait_for_exit().success())
            .await
            .unwrap()
    );
    over.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.expect("a request was lost");
    }
}

#[tokio::test]
async fn a_request_that_has_begun_is_finished() {
    let mut service = Service::ready(&[("DATABASE_URL", "sqlite::memory:"), ("DRAIN_DELAY", "0s")]).await;
    let mut stream = TcpStream::connect(service.url.strip_prefix("http://").unwrap())
        .await
        .unwrap();
    let body = r#"{"task":"a"}"#;
    let head = format!(
        "POST /tasks HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    eventually("the request", async || {
        (service.metrics().await["http_requests_in_flight"] > 0.0).then_some(())
    })
    .await;

    service.signal("TERM");
    service.log_line(|line| (line["message"] == "draining").then_some(()));
    eventually("the port to close", async || {
        TcpStream::connect(service.url.strip_prefix("http://").unwrap())
            .await
            .err()
    })
    .await;
    stream.write_all(body.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 201 Created\r\n"), "{answer}");
    assert!(answer.ends_with(r#"{"message":"Task added"}"#), "{answer}");
    assert!(service.wait_for_exit().success());
    service.log_line(|line| (line["message"] == "stopped").then_some(()));
}

#[tokio::test]
async fn whoever_never_finishes_is_not_waited_for() {
    let settings = [
        ("DATABASE_URL", "sqlite::memory:"),
        ("DRAIN_DELAY", "0s"),
        ("DRAIN_TIMEOUT", "200ms"),
    ];
    let mut service = Service::ready(&settings).await;
    let mut stream = TcpStream::connect(service.url.strip_prefix("http://").unwrap())
        .await
        .unwrap();
    stream
        .write_all(b"POST /tasks HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n")
        .await
        .unwrap();
    eventually("the request", async || {
        (service.metrics().await["http_requests_in_flight"] > 0.0).then_some(())
    })
    .await;
    service.signal("TERM");
    assert!(service.wait_for_exit().success());
    service.log_line(|line| {
        line["message"]
            .as_str()?
            .starts_with("stopped before every request")
            .then_some(())
    });
}

#[tokio::test]
async fn a_person_at_a_terminal_does_not_wait() {
    let mut service = Service::ready(&[("DATABASE_URL", "sqlite::memory:"), ("DRAIN_DELAY", "10m")]).await;
    assert_eq!(
        Answer::of(service.request(reqwest::Method::GET, "/tasks"))
            .await
            .status,
        200
    );
    service.signal("INT");
    assert!(service.wait_for_exit().success());
}
