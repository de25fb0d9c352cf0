//! Everything on a real node. One program, so that what waits for Prometheus waits side by side.

#![allow(clippy::unwrap_used)]

mod beginner_faults;
mod burn;
mod cpu;
mod dashboard;
mod foreign_prometheus;
mod ground;
mod images;
mod links;
mod network_policy_enforcer;
mod resilience;
mod status;
mod story;
mod truth;
mod walkthrough;

/// The demo workload, as the documentation hands it out.
const SAMPLE: &str = include_str!("../../../../manifests/samples/tasks.yaml");
