//! Reading a request's body, within bounds of size and time.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::header;
use http_body_util::BodyExt;

use super::Problem;

pub(super) const MAX_BODY: usize = 64 * 1024;

/// A body that is too large is read on up to here: a client that is still sending when the connection closes may never
/// see why.
const MAX_DISCARDED: usize = 8 * 1024 * 1024;

pub(super) async fn read(request: Request, timeout: Duration) -> Result<Bytes, Problem> {
    let (head, body) = request.into_parts();
    let announced = head.headers.get(header::CONTENT_LENGTH);
    let announced: Option<u64> = announced.and_then(|length| length.to_str().ok()?.parse().ok());
    if head.headers.contains_key(header::EXPECT) && announced > Some(MAX_BODY as u64) {
        // The client waits for leave to send it.
        return Err(Problem::BodyTooLarge);
    }
    let body = tokio::time::timeout(timeout, collect(body));
    body.await.unwrap_or(Err(Problem::BodyTooSlow))
}

async fn collect(mut body: Body) -> Result<Bytes, Problem> {
    let mut collected = Vec::new();
    let mut size = 0;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Problem::BodyUnreadable)?.into_data() else {
            continue;
        };
        size += data.len();
        if size <= MAX_BODY {
            collected.extend_from_slice(&data);
        } else if size > MAX_DISCARDED {
            break;
        }
    }
    if size > MAX_BODY {
        return Err(Problem::BodyTooLarge);
    }
    Ok(collected.into())
}
