//! Reading a request's body, within bounds of size and time.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Request, header};
use http_body_util::BodyExt;

use super::Problem;

pub(super) const MAX_BODY: usize = 64 * 1024;

/// A body that is too large is read on up to here: a client that is still sending
/// when the connection closes may never see why.
const MAX_DISCARDED: usize = 8 * 1024 * 1024;

pub(super) async fn read(request: Request<Body>, timeout: Duration) -> Result<Bytes, Problem> {
    let waits_for_leave = request.headers().contains_key(header::EXPECT);
    if waits_for_leave && announced(request.headers()) > MAX_BODY as u64 {
        return Err(Problem::BodyTooLarge);
    }
    tokio::time::timeout(timeout, collect(request.into_body()))
        .await
        .unwrap_or(Err(Problem::BodyTooSlow))
}

fn announced(headers: &HeaderMap) -> u64 {
    let length = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok());
    length.and_then(|length| length.parse().ok()).unwrap_or(0)
}

async fn collect(mut body: Body) -> Result<Bytes, Problem> {
    let mut collected: Vec<u8> = Vec::new();
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
        Err(Problem::BodyTooLarge)
    } else {
        Ok(collected.into())
    }
}
