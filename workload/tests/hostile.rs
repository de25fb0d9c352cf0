//! Clients that are slow, malformed or bent on harm cost the others nothing.
#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss
)]

mod support;

use std::time::Duration;

use serde_json::json;
use support::Service;
use support::service::{PATIENCE, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn connect(service: &Service) -> TcpStream {
    TcpStream::connect(service.url.strip_prefix("http://").unwrap())
        .await
        .unwrap()
}

/// Sends bytes and reads until the service closes the connection.
async fn exchange(service: &Service, bytes: &[u8]) -> String {
    let mut stream = connect(service).await;
    let _ = stream.write_all(bytes).await;
    read_to_end(&mut stream).await
}

async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
    let _ = read.expect("the service keeps the connection open");
    String::from_utf8_lossy(&answer).into_owned()
}

/// Sends one byte after the other, slowly, until the service has had enough.
async fn drip(service: &Service, head: &str) -> String {
    let (mut read, mut write) = connect(service).await.into_split();
    write.write_all(head.as_bytes()).await.unwrap();
    let dripping = tokio::spawn(async move {
        while write.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let mut answer = Vec::new();
    let end = tokio::time::timeout(PATIENCE, read.read_to_end(&mut answer)).await;
    let _ = end.expect("the service reads on for ever");
    dripping.abort();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn slow_senders_are_given_up() {
    let settings = [
        ("DATABASE_URL", "sqlite::memory:"),
        ("HEADER_TIMEOUT", "300ms"),
        ("BODY_TIMEOUT", "300ms"),
    ];
    let service = Service::ready(&settings).await;
    drip(&service, "GET /tasks HTTP/1.1\r\nhost: a\r\nslow: ").await;
    let answer = drip(
        &service,
        "POST /tasks HTTP/1.1\r\nhost: a\r\ncontent-length: 60000\r\n\r\n",
    )
    .await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(
        answer.contains(r#"{"error":"The body did not arrive in time"}"#),
        "{answer}"
    );
    // One that says nothing at all is given up, too.
    assert_eq!(exchange(&service, b"").await, "");
    service.get("/tasks").await.expect(200, &json!([]));
}

#[tokio::test]
async fn many_slow_connections_do_not_keep_others_out() {
    let service = Service::on_sqlite_in_memory().await;
    let mut slow = Vec::new();
    for _ in 0..500 {
        let mut stream = connect(&service).await;
        stream
            .write_all(b"POST /tasks HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n{")
            .await
            .unwrap();
        slow.push(stream);
    }
    service
        .add("a")
        .await
        .expect(201, &json!({"message": "Task added"}));
    assert_eq!(service.get("/tasks").await.status, 200);
}

#[tokio::test]
async fn malformed_requests_are_refused() {
    let service = Service::on_sqlite_in_memory().await;
    let huge_header = format!(
        "GET /tasks HTTP/1.1\r\nhost: a\r\nbig: {}\r\n\r\n",
        "x".repeat(1024 * 1024)
    );
    let many_headers = format!(
        "GET /tasks HTTP/1.1\r\nhost: a\r\n{}\r\n",
        "a: b\r\n".repeat(10_000)
    );
    let long_path = format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "x".repeat(200_000));
    for bytes in [
        b"\0\0\0\0\r\n\r\n".as_slice(),
        b"GET\r\n\r\n",
        b"GET /tasks HTTP/9.9\r\n\r\n",
        b"GET /tasks HTTP/1.1\r\nbad header\r\n\r\n",
        b"POST /tasks HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n",
        b"POST /tasks HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"POST /tasks HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        huge_header.as_bytes(),
        many_headers.as_bytes(),
        long_path.as_bytes(),
    ] {
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(60)]).into_owned();
        let answer = exchange(&service, bytes).await;
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 4"),
            "{shown:?} was answered {answer:?}"
        );
    }
    // Smuggling: with both, the length must not be believed.
    let both = b"POST /tasks HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /tasks HTTP/1.1\r\nhost: a\r\n\r\n";
    let answer = exchange(&service, both).await;
    assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
    service.get("/tasks").await.expect(200, &json!([]));
}

#[tokio::test]
async fn huge_bodies_are_neither_kept_nor_taken() {
    let service = Service::on_sqlite_in_memory().await;
    let announced =
        b"POST /tasks HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 99999999999\r\n\r\n";
    let answer = exchange(&service, announced).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");

    // Without end, and without a length.
    let (mut read, mut write) = connect(&service).await.into_split();
    write
        .write_all(b"POST /tasks HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n")
        .await
        .unwrap();
    let endless = tokio::spawn(async move {
        let chunk = [b"10000\r\n".as_slice(), &vec![b'x'; 0x10000], b"\r\n"].concat();
        while write.write_all(&chunk).await.is_ok() {}
    });
    let mut status = [0; 12];
    tokio::time::timeout(PATIENCE, read.read_exact(&mut status))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(&status, b"HTTP/1.1 413");
    tokio::time::timeout(PATIENCE, endless)
        .await
        .expect("the service reads on for ever")
        .unwrap();
    assert!(service.metrics().await["process_resident_memory_bytes"] < 64.0 * 1024.0 * 1024.0);
    service.get("/tasks").await.expect(200, &json!([]));
}

#[tokio::test]
async fn a_connection_more_than_allowed_waits_for_its_turn() {
    let service = Service::ready(&[
        ("DATABASE_URL", "sqlite::memory:"),
        ("MAX_CONNECTIONS", "1"),
        ("HEADER_TIMEOUT", "500ms"),
    ])
    .await;
    let _silent = connect(&service).await;
    // The silent one is given up, and the next one served.
    service
        .client
        .get(format!("{}/tasks", service.url))
        .send()
        .await
        .unwrap();
}

#[tokio::test]
async fn a_reader_who_takes_nothing_is_disconnected() {
    let service = Service::ready(&[
        ("DATABASE_URL", "sqlite::memory:"),
        ("MAX_CONNECTIONS", "1"),
        ("HEADER_TIMEOUT", "500ms"),
        ("WRITE_TIMEOUT", "500ms"),
    ])
    .await;
    for _ in 0..20 {
        service
            .add(&"x".repeat(60_000))
            .await
            .expect(201, &json!({"message": "Task added"}));
    }
    // The kernel takes some of these answers, of more than a megabyte each; the rest waits in the service.
    let mut reader = connect(&service).await;
    let requests = b"GET /tasks HTTP/1.1\r\nhost: a\r\n\r\n".repeat(200);
    reader.write_all(&requests).await.unwrap();
    eventually("the reader's turn", async || {
        let served =
            service.metrics().await[r#"http_requests_total{method="GET",route="/tasks",code="200"}"#];
        (served > 0.0).then_some(())
    })
    .await;
    // There is one connection at a time: a new one is served when the reader is given up.
    let alive = reqwest::get(format!("{}/healthz", service.url)).await.unwrap();
    assert_eq!(alive.status(), 200);
    let taken = read_to_end(&mut reader).await;
    let answers = taken.matches("HTTP/1.1 200 OK").count();
    assert!(
        answers < 200,
        "{answers} answers, {} bytes: the reader was waited for",
        taken.len()
    );
}

#[tokio::test]
async fn a_page_of_long_tasks_is_bounded_and_goes_on() {
    let service = Service::on_sqlite_in_memory().await;
    for _ in 0..20 {
        service
            .add(&"x".repeat(65_000))
            .await
            .expect(201, &json!({"message": "Task added"}));
    }
    let first = service.get("/tasks").await;
    assert_eq!(first.body.as_array().unwrap().len(), 17);
    let link = first.header("link");
    let next = link
        .strip_prefix('<')
        .and_then(|link| link.split_once('>'))
        .unwrap()
        .0;
    assert_eq!(service.get(next).await.body.as_array().unwrap().len(), 3);
}
