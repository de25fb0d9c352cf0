//! Everything on a real node. One program, so that what waits for Prometheus waits side by side.

#![allow(clippy::unwrap_used)]

mod beginner_faults;
mod burn;
mod cpu;
mod dashboard;
mod foreign_prometheus;
mod images;
mod monitoring_faults;
mod network_policy_enforcer;
mod prerequisites;
mod resilience;
mod sample_app;
mod status;
mod truth;
mod walkthrough;

/// The demo workload, as the documentation hands it out.
const SAMPLE: &str = include_str!("../../../../manifests/samples/tasks.yaml");
