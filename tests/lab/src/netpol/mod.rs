//! A NetworkPolicy enforcer for the embedded node, which has no network plugin with one.
//!
//! It watches policies, pods and namespaces; a pure function computes [`rules::Rules`] from them, which are written to
//! iptables atomically when they change. It supports ingress and egress, pod and namespace selectors, ports by number,
//! range and name, and ipBlock with exceptions. Traffic from the node itself (the kubelet's probes) is always allowed,
//! as Kubernetes requires.
//!
//! A pod has network access some tens of milliseconds before its rules apply: enough for tests, not against an
//! attacker.

use anyhow::Result;

use crate::{controlplane::ControlPlane, paths, process::Program};

mod iptables;
mod peers;
mod rules;
mod watch;

pub use iptables::{Ruleset, remove};
pub use rules::{Allowed, Endpoint, Isolated, Rules, Service};
pub use watch::run;

/// The enforcer as a program of the node: this binary with another command.
pub fn program(plane: &ControlPlane) -> Result<Program> {
    let kubeconfig = plane.component_kubeconfig("network-policies");
    plane.write_kubeconfig(
        &kubeconfig,
        "network-policies",
        "lab-network-policies",
        "system:masters",
    )?;
    let binary = paths::own_program()?;
    let kubeconfig = format!("--kubeconfig={}", kubeconfig.display());
    Ok(Program::new("network-policies", binary).args(["enforce-network-policies".to_owned(), kubeconfig]))
}
