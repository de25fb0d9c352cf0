//! A collector of traces for the service to export to.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio_rustls::TlsAcceptor;

/// Takes OTLP over HTTP, under TLS if asked; gives its port and the messages it gets.
pub async fn collector(tls: Option<TlsAcceptor>) -> (u16, UnboundedReceiver<Value>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (send, messages) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let body = match &tls {
                None => take_message(stream).await,
                Some(tls) => match tls.accept(stream).await {
                    Ok(stream) => take_message(stream).await,
                    // The client did not like the certificate.
                    Err(_) => continue,
                },
            };
            if send.send(body).is_err() {
                return;
            }
        }
    });
    (port, messages)
}

async fn take_message(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> Value {
    let mut text = Vec::new();
    let body = loop {
        assert_ne!(stream.read_buf(&mut text).await.unwrap(), 0);
        let Some(head) = text.windows(4).position(|window| window == b"\r\n\r\n") else {
            continue;
        };
        let header = String::from_utf8(text[..head].to_vec()).unwrap().to_lowercase();
        assert!(header.starts_with("post /v1/traces http/1.1"), "{header}");
        assert!(
            header.contains("content-type: application/x-protobuf"),
            "{header}"
        );
        let length = header
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .unwrap();
        if text.len() >= head + 4 + length.parse::<usize>().unwrap() {
            let message = ExportTraceServiceRequest::decode(&text[head + 4..]).unwrap();
            break serde_json::to_value(message).unwrap();
        }
    };
    stream
        .write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}")
        .await
        .unwrap();
    stream.flush().await.unwrap();
    body
}
