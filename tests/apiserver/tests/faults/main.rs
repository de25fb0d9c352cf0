//! Faults that the operator recovers from.
//!
//! | fault | where |
//! | --- | --- |
//! | killed before or after every write | `crash.rs` |
//! | a stale cache, a recreated object or app | `stale.rs`, `recreate.rs` |
//! | lost, late and reordered events, an expired watch | `stale.rs` |
//! | every field changed, changed back, removed | `fields/`; immutable fields: there and `admission.rs` |
//! | invalid values | `schemas.rs`, `invalid.rs`; each in `operator/desired/tests/refused.rs` |
//! | an app stored under an older schema | `schemas.rs` |
//! | a missing image, volume or Secret, corrected later | `recovery.rs` |
//! | an immutable field: a selector, a claim's size | `recovery.rs`, `database.rs` |
//! | 403, 409, 429, 500 and no response, by kind and verb | `failures.rs` |
//! | an optional API that is added and removed | `schemas.rs` |
//! | an autoscaler owns `replicas` | `scaling.rs` |
//! | an object of another owner; drift | `foreign.rs` |
//! | a host that several apps claim | `hosts.rs` |
//! | retained and reused data; a terminating namespace | `database.rs`, `paused_and_terminating.rs` |
//! | a leader that loses the API server, or whose writes are late | `leaders.rs`, `scaling.rs` |
//! | no requests at rest | `steady_state.rs` |
//! | a pod that is not ready, with the reason only in Events | `pod_events.rs` |
//! | an app that is not yet or no longer available | `probed.rs` |
//! | quotas, LimitRanges, and the API server's messages | `refused.rs` |
//! | an unreachable API server | `unreachable.rs` |
//! | more apps than are reconciled at once | `concurrency.rs` |
//! | missing and unused rights | `rights.rs`; every test runs with the chart's rights |
#![allow(clippy::unwrap_used)]

mod concurrency;
mod database;
mod failures;
mod foreign;
mod hosts;
mod invalid;
mod leaders;
mod paused_and_terminating;
mod pod_events;
mod probed;
mod recovery;
mod recreate;
mod references;
mod refused;
mod scaling;
mod stale;
mod unreachable;

use std::collections::BTreeMap;

use anyhow::Result;
use apiserver_tests::{RunningOperator, TestNamespace, settled};
use serde_json::{Value, json};

fn small() -> Value {
    json!({"image": "tasks:1", "replicas": 1})
}

/// The snapshot of an app of this spec, `tasks`, without faults.
async fn without_faults(spec: Value) -> Result<BTreeMap<String, String>> {
    let ns = TestNamespace::new("without-faults").await?;
    let (_proxy, _operator) = RunningOperator::behind_proxy(&ns).await?;
    ns.apply("tasks", spec).await?;
    ns.applied("tasks").await?;
    settled(&ns).await
}
