//! What an operator must survive, each fault ending as if it had not been.
//!
//! | fault | where |
//! | --- | --- |
//! | killed before or after every write | `crash.rs` |
//! | a cache that is behind, an object of an earlier life, another by the same name | `stale.rs`, `recreate.rs` |
//! | only the last event arrives; events lost, out of order, a watch too old | `stale.rs` |
//! | every field changed, changed back, removed | `fields/`; what must not change: there and `admission.rs` |
//! | values that make no sense | `schemas.rs`, `invalid.rs`; each of them in `operator/desired/tests/refused.rs` |
//! | an app stored under an older schema | `schemas.rs` |
//! | image, volume or Secret broken, and mended later | `recovery.rs` |
//! | what cannot be changed: a selector, a claim's size | `recovery.rs`, `database.rs` |
//! | 403, 409, 429, 500 and no answer, by kind and verb | `failures.rs` |
//! | an optional API that comes and goes | `schemas.rs` |
//! | an autoscaler owns the count | `scaling.rs` |
//! | a stranger's object in the way; drift | `foreign.rs` |
//! | one host and several apps that ask for it | `hosts.rs` |
//! | data kept, and taken up again; a namespace that ends | `database.rs`, `paused_and_terminating.rs` |
//! | two leaders, one of them cut off or frozen | `leaders.rs`, `scaling.rs` |
//! | rest | `steady_state.rs` |
//! | a pod that is not ready and does not say why | `pod_events.rs` |
//! | an app that has never answered, and one that answers no more | `probed.rs` |
//! | quotas, LimitRanges, and the API server's own words | `refused.rs` |
//! | an API server that is away | `unreachable.rs` |
//! | more apps than may be in hand at once | `concurrency.rs` |
//! | a right that is missing, or not needed | `rights.rs`; every test runs with the chart's own rights |
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

/// What an app of this spec, `tasks`, comes to when nothing goes wrong.
async fn without_faults(spec: Value) -> Result<BTreeMap<String, String>> {
    let ns = TestNamespace::new("without-faults").await?;
    let (_proxy, _operator) = RunningOperator::behind_proxy(&ns).await?;
    ns.apply("tasks", spec).await?;
    ns.applied("tasks").await?;
    settled(&ns).await
}
