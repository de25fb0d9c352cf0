//! The rules in the kernel.
//!
//! Three chains, replaced as one, in the mangle table: its FORWARD comes before the filter table's, where kube-proxy
//! and others accept packets in an order of their own. INPUT is for what pods send to the node itself.
//!
//! A chain that lets a packet through returns, so that all other rules of the machine still have their say.

use std::fmt::{self, Write as _};

use anyhow::{Context, Result};
use tokio::process::Command;

use super::rules::{Allowed, Isolated, Rules};
use crate::command;

const TABLE: &str = "mangle";
const HOOKS: [&str; 2] = ["FORWARD", "INPUT"];
/// Whoever is already talking may go on: a policy is about new connections.
const POLICY: &str = "OBSERVEDAPP-POLICY";
const EGRESS: &str = "OBSERVEDAPP-POLICY-EGRESS";
const INGRESS: &str = "OBSERVEDAPP-POLICY-INGRESS";

/// Rules as `iptables-restore --noflush` reads them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ruleset(String);

impl Ruleset {
    /// Makes the kernel follow these rules, in one step.
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
            // What may leave its pod may still not be let into another one.
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
    // A pod that reaches itself through its Service crosses the bridge; nothing may keep it from itself.
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
    // Writing to a string does not fail.
    let _ = writeln!(text, "{line}");
}

/// Takes the chains away, and what leads to them. They may be gone already.
pub async fn remove() {
    for hook in HOOKS {
        let _ = command::output(&mut iptables(&["-D", hook, "-j", POLICY])).await;
    }
    for action in ["-F", "-X"] {
        // In the order in which they lead to each other: one that is referred to cannot go.
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
