//! Support for the end-to-end tests: the lab's cluster, conditions to await, Prometheus and Alertmanager.
//!
//! They run on the cluster in `KUBECONFIG`, which `cargo lab test --layer node` sets to the lab's.

mod app;
mod cluster;
mod monitoring;
pub mod truth;

pub use app::{App, Reply, SMALL, busy, condition_reports};
pub use cluster::{Cluster, TempNamespace};
pub use lab::wait::eventually;
pub use monitoring::{Alert, Alertmanager, HOSTILE_PROMETHEUS, substitute_variables};

/// Where `cargo lab up` installs the operator.
pub const OPERATOR_NAMESPACE: &str = "observedapp-system";
