//! Writes the rules to iptables.
//!
//! Three chains in the mangle table, replaced atomically: mangle's FORWARD is before the filter table, in which
//! kube-proxy and others accept packets in varying order. INPUT is for packets from pods to the node.
//!
//! Accepted packets RETURN, so that the machine's other rules apply to them.

use std::fmt::{self, Write as _};

use anyhow::{Context, Result};
use tokio::process::Command;

use super::rules::{Allowed, Isolated, Rules};
use crate::command;

const TABLE: &str = "mangle";
const HOOKS: [&str; 2] = ["FORWARD", "INPUT"];
/// Established connections are not affected: a policy applies to new ones.
const POLICY: &str = "OBSERVEDAPP-POLICY";
const EGRESS: &str = "OBSERVEDAPP-POLICY-EGRESS";
const INGRESS: &str = "OBSERVEDAPP-POLICY-INGRESS";

/// Rules as `iptables-restore --noflush` reads them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ruleset(String);

impl Ruleset {
    /// Replaces the kernel's rules atomically.
    pub async fn apply(&self) -> Result<()> {
        let mut restore = Command::new("iptables-restore");
        command::output_with_input(restore.args(["--wait", "--noflush"]), &self.0)
            .await
            .context("cannot write the network policies to iptables")?;
        for hook in HOOKS {
            if command::output(&mut iptables(&["-C", hook, "-j", POLICY]))
                .await
                .is_err()
            {
                command::output(&mut iptables(&["-I", hook, "-j", POLICY])).await?;
            }
        }
        Ok(())
    }
}

impl From<&Rules> for Ruleset {
    fn from(rules: &Rules) -> Self {
        let mut text = format!("*{TABLE}\n");
        for chain in [POLICY, EGRESS, INGRESS] {
            line(&mut text, format_args!(":{chain} - [0:0]"));
        }
        line(
            &mut text,
            format_args!("-A {POLICY} -m conntrack --ctstate ESTABLISHED,RELATED -j RETURN"),
        );
        line(&mut text, format_args!("-A {POLICY} -j {EGRESS}"));
        for pod in &rules.egress {
            // A packet must be allowed by egress and by ingress.
            isolate(&mut text, pod, EGRESS, ["-s", "-d"], &format!("-g {INGRESS}"));
        }
        line(&mut text, format_args!("-A {EGRESS} -g {INGRESS}"));
        for pod in &rules.ingress {
            isolate(&mut text, pod, INGRESS, ["-d", "-s"], "-j RETURN");
        }
        text.push_str("COMMIT\n");
        Self(text)
    }
}

impl fmt::Display for Ruleset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn isolate(text: &mut String, pod: &Isolated, chain: &str, [own, other]: [&str; 2], pass: &str) {
    let ip = pod.ip;
    // A pod that connects to itself through its Service crosses the bridge; a pod may always reach itself.
    line(text, format_args!("-A {chain} -s {ip}/32 -d {ip}/32 {pass}"));
    for Allowed { peer, service } in &pod.allowed {
        let mut matching = format!("-A {chain} {own} {ip}/32");
        if let Some(peer) = peer {
            let _ = write!(matching, " {other} {peer}");
        }
        if let Some(service) = service {
            let protocol = service.protocol.to_lowercase();
            let _ = write!(matching, " -p {protocol}");
            if let Some(ports) = &service.ports {
                let _ = write!(
                    matching,
                    " -m {protocol} --dport {}:{}",
                    ports.start(),
                    ports.end()
                );
            }
        }
        line(text, format_args!("{matching} {pass}"));
    }
    line(text, format_args!("-A {chain} {own} {ip}/32 -j DROP"));
}

fn line(text: &mut String, line: fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{line}");
}

/// Removes the chains and the jumps to them, which may be missing.
pub async fn remove() {
    for hook in HOOKS {
        let _ = command::output(&mut iptables(&["-D", hook, "-j", POLICY])).await;
    }
    for action in ["-F", "-X"] {
        // In the order of their references: a chain that is referred to cannot be removed.
        for chain in [POLICY, EGRESS, INGRESS] {
            let _ = command::output(&mut iptables(&[action, chain])).await;
        }
    }
}

fn iptables(args: &[&str]) -> Command {
    let mut command = Command::new("iptables");
    command.args(["--wait", "--table", TABLE]).args(args);
    command
}
