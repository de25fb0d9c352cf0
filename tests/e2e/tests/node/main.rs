//! Everything on a real node. One program, so that what waits for Prometheus waits side by side.

#![allow(clippy::unwrap_used)]

mod budget;
mod burn;
mod cpu;
mod dashboard;
mod foreign_prometheus;
mod ground;
mod images;
mod links;
mod network_policy_enforcer;
mod resilience;
mod story;
mod walkthrough;

/// The demo workload, as the documentation hands it out.
const SAMPLE: &str = include_str!("../../../../manifests/samples/tasks.yaml");
