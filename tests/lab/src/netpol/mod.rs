//! A small NetworkPolicy enforcer for the embedded node: it has no network plugin that would do it.
//!
//! Policies, pods and namespaces are watched; what follows from them is a [`rules::Rules`], worked out by a pure
//! function, and written to iptables in one step whenever it changes. Ingress and egress, pod and namespace
//! selectors, ports by number, range and name, and ipBlock with exceptions are understood. What comes from the node
//! itself (the kubelet's probes) is always let through, as Kubernetes asks.
//!
//! A pod is on the network some tens of milliseconds before its rules are: enough for tests and demonstrations, not
//! for an attacker.

use anyhow::Result;

use crate::{controlplane::ControlPlane, paths, process::Program};

mod iptables;
mod peers;
mod rules;
mod watch;

pub use iptables::{Ruleset, remove};
pub use rules::{Allowed, Endpoint, Isolated, Rules, Service};
pub use watch::run;

/// The enforcer as one of the node's programs: this very program, under another command.
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
