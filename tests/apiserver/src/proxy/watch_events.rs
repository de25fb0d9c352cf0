//! Faults in single watch events.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::response::Response;
use futures::{StreamExt, stream};
use http::StatusCode;
use serde_json::{Value, json};

use super::{Call, Gate, Inner, answer, lock};

/// A watch event.
#[derive(Clone, Debug)]
pub struct Event {
    /// `ADDED`, `MODIFIED`, `DELETED`, `BOOKMARK` or `ERROR`.
    pub type_: String,
    pub name: String,
}

/// What the proxy does with a watch event.
#[derive(Clone, Debug)]
pub enum EventAction {
    Pass,
    /// It is forwarded, and all later events of the same watch, once the gate opens.
    Hold(Gate),
    /// It is not forwarded.
    Drop,
}

pub(super) type Hook = dyn Fn(&Call, &Event) -> EventAction + Send + Sync;

/// The body of a watch, filtered by the hook, until the watches are closed.
pub(super) fn body(inner: Arc<Inner>, call: Call, body: Body) -> Body {
    let lines = stream::unfold(
        (body.into_data_stream(), Vec::new()),
        |(mut data, mut read)| async {
            loop {
                if let Some(end) = read.iter().position(|byte| *byte == b'\n') {
                    let rest = read.split_off(end + 1);
                    return Some((Bytes::from(read), (data, rest)));
                }
                read.extend_from_slice(&data.next().await?.ok()?);
            }
        },
    );
    let mut cuts = inner.cuts.subscribe();
    let cut = async move {
        // It cannot fail: the proxy keeps the sender.
        let _ = cuts.changed().await;
    };
    let passed = lines.filter_map(move |line| {
        let (inner, call) = (Arc::clone(&inner), call.clone());
        async move {
            let hook = lock(&inner.events).clone();
            match hook.map_or(EventAction::Pass, |hook| hook(&call, &event(&line))) {
                EventAction::Pass => Some(line),
                EventAction::Hold(gate) => {
                    gate.passed().await;
                    Some(line)
                }
                EventAction::Drop => None,
            }
        }
    });
    Body::from_stream(passed.take_until(cut).map(Ok::<_, Infallible>))
}

fn event(line: &[u8]) -> Event {
    let value: Value = serde_json::from_slice(line).unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Event {
        type_: text(&value["type"]),
        name: text(&value["object"]["metadata"]["name"]),
    }
}

/// The API server's response to a watch from an expired resource version.
pub(super) fn expired() -> Response {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 410,
        "message": "too old resource version", "reason": "Expired",
    });
    answer(
        StatusCode::OK,
        format!("{}\n", json!({"type": "ERROR", "object": status})),
    )
}
