//! Tests on a real node, in one program, so that those that wait for Prometheus run side by side.

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
mod releases;
mod resilience;
mod sample_app;
mod status;
mod truth;
mod walkthrough;

/// The sample app of the documentation.
const SAMPLE: &str = include_str!("../../../../manifests/samples/tasks.yaml");
