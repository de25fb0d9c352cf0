//! What the end-to-end tests share: the lab's cluster, conditions to await, Prometheus and Alertmanager to ask.
//!
//! The tests run on the cluster that `cargo lab up` made, which `cargo lab test --layer node` names in `KUBECONFIG`.

mod app;
mod cluster;
mod monitoring;
pub mod truth;
mod wait;

pub use app::{App, Reply, SMALL, condition_reports};
pub use cluster::{Cluster, TempNamespace};
pub use monitoring::{Alert, Alertmanager, Prometheus, Sample, substitute_variables};
pub use wait::eventually;

/// Where `cargo lab up` installs the operator.
pub const OPERATOR_NAMESPACE: &str = "observedapp-system";
