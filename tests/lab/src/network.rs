//! The pods' network: a bridge and kube-proxy, and their removal.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use anyhow::Result;
use serde_json::json;
use tokio::process::Command;

use crate::{command, controlplane::ControlPlane, paths, process::Program};

pub const POD_CIDR: &str = "10.244.0.0/16";
pub const BRIDGE: &str = "lab0";
/// The chain of the lab's own rules.
const CHAIN: &str = "OBSERVEDAPP-LAB";
/// The prefixes of chains of kube-proxy, the kubelet, CNI plugins and the lab.
const CHAIN_PREFIXES: [&str; 3] = ["KUBE-", "CNI-", "OBSERVEDAPP-"];
const FAMILIES: [&str; 2] = ["iptables", "ip6tables"];

/// Writes the CNI configuration.
pub fn write_cni_config(dir: &Path) -> Result<()> {
    let config = json!({
        "cniVersion": "0.4.0",
        "name": "lab",
        "plugins": [
            {
                "type": "bridge",
                "bridge": BRIDGE,
                "isDefaultGateway": true,
                "hairpinMode": true,
                "ipam": {
                    "type": "host-local",
                    "ranges": [[{"subnet": POD_CIDR}]],
                    "dataDir": Path::new(paths::RUN).join("addresses"),
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": true}},
        ],
    });
    paths::write(&dir.join("10-lab.conflist"), serde_json::to_vec_pretty(&config)?)
}

/// Masquerades traffic from pods to other networks, and accepts forwarded packets if a firewall drops them.
pub async fn allow_pods() -> Result<()> {
    let rules = [
        (
            "nat",
            "POSTROUTING",
            vec!["-s", POD_CIDR, "!", "-d", POD_CIDR, "-j", "MASQUERADE"],
        ),
        ("filter", "FORWARD", vec!["-s", POD_CIDR, "-j", "ACCEPT"]),
        ("filter", "FORWARD", vec!["-d", POD_CIDR, "-j", "ACCEPT"]),
    ];
    for table in ["nat", "filter"] {
        let mut iptables = Command::new("iptables");
        // It fails if the chain exists; missing rules are added below.
        let _ = command::output(iptables.args(["-w", "-t", table, "-N", CHAIN])).await;
    }
    for (table, hook, rule) in rules {
        ensure_rule(table, CHAIN, &rule).await?;
        ensure_rule(table, hook, &["-j", CHAIN]).await?;
    }
    Ok(())
}

async fn ensure_rule(table: &str, chain: &str, rule: &[&str]) -> Result<()> {
    let iptables = |action: &str| {
        let mut command = Command::new("iptables");
        command.args(["-w", "-t", table, action, chain]).args(rule);
        command
    };
    if command::output(&mut iptables("-C")).await.is_err() {
        command::output(&mut iptables("-A")).await?;
    }
    Ok(())
}

pub fn kube_proxy(
    plane: &ControlPlane,
    binary: &Path,
    node: &str,
    health_port: u16,
    port: u16,
) -> Result<Program> {
    let kubeconfig = plane.component_kubeconfig("kube-proxy");
    plane.write_kubeconfig(&kubeconfig, "kube-proxy", "system:kube-proxy", "")?;
    Ok(Program::new("kube-proxy", binary).args([
        format!("--kubeconfig={}", kubeconfig.display()),
        format!("--hostname-override={node}"),
        "--proxy-mode=iptables".to_owned(),
        format!("--cluster-cidr={POD_CIDR}"),
        format!("--healthz-bind-address=127.0.0.1:{health_port}"),
        format!("--metrics-bind-address=127.0.0.1:{port}"),
        // Keep the machine's conntrack settings.
        "--conntrack-max-per-core=0".to_owned(),
        "--conntrack-tcp-timeout-established=0s".to_owned(),
        "--conntrack-tcp-timeout-close-wait=0s".to_owned(),
        "--iptables-min-sync-period=200ms".to_owned(),
    ]))
}

/// Saves which chains existed before the lab, so that `down` keeps them.
pub async fn save_chains(file: &Path) -> Result<()> {
    if file.exists() {
        return Ok(());
    }
    let mut known = BTreeSet::new();
    for family in FAMILIES {
        known.extend(chains(&saved(family).await).map(|(table, chain)| format!("{family} {table} {chain}")));
    }
    paths::write(file, serde_json::to_vec(&known)?)
}

/// Removes every chain of the node, and every rule that refers to one.
pub async fn remove_chains(known: &Path) -> Result<()> {
    let known: BTreeSet<String> = match fs::read(known) {
        Ok(json) => serde_json::from_slice(&json)?,
        Err(_) => BTreeSet::new(),
    };
    for family in FAMILIES {
        let before = saved(family).await;
        let kept = without_node_chains(&before, |table, chain| {
            known.contains(&format!("{family} {table} {chain}"))
        });
        if kept != before {
            let mut restore = Command::new(format!("{family}-restore"));
            command::output_with_input(restore.arg("-w"), &kept).await?;
        }
    }
    Ok(())
}

/// All chains and rules of the machine, without the built-in chains.
pub(crate) async fn rules() -> Vec<String> {
    let mut rules = Vec::new();
    for family in FAMILIES {
        let saved = saved(family).await;
        let mut table = "";
        for line in saved.lines() {
            match line.split_at_checked(1) {
                Some(("*", name)) => table = name,
                Some(("-", _)) => rules.push(format!("{family} {table} {line}")),
                // User-defined chains have no policy.
                Some((":", chain)) if chain.contains(" - ") => {
                    rules.extend(
                        chain
                            .split(' ')
                            .next()
                            .map(|name| format!("{family} {table} chain {name}")),
                    );
                }
                _ => {}
            }
        }
    }
    rules
}

async fn saved(family: &str) -> String {
    // Without IPv6, there are no such tables.
    command::output(&mut Command::new(format!("{family}-save")))
        .await
        .unwrap_or_default()
}

/// The tables and chains of a saved rule set.
fn chains(saved: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut table = "";
    saved.lines().filter_map(move |line| {
        if let Some(name) = line.strip_prefix('*') {
            table = name;
        }
        let chain = line.strip_prefix(':')?.split_whitespace().next()?;
        Some((table, chain))
    })
}

fn is_nodes(chain: &str) -> bool {
    CHAIN_PREFIXES.iter().any(|prefix| chain.starts_with(prefix))
}

/// The rule set without the node's chains and without packet counters.
fn without_node_chains(saved: &str, known: impl Fn(&str, &str) -> bool) -> String {
    let mut table = "";
    let mut kept = String::new();
    for line in saved.lines() {
        if let Some(name) = line.strip_prefix('*') {
            table = name;
        }
        let gone = |chain: &str| is_nodes(chain) && !known(table, chain);
        let words: Vec<&str> = line.split_whitespace().collect();
        let drop = match words.as_slice() {
            [first, ..] if first.starts_with(':') => gone(&first[1..]),
            ["-A", chain, rule @ ..] => {
                gone(chain)
                    || rule
                        .windows(2)
                        .any(|pair| matches!(pair, ["-j" | "-g", target] if gone(target)))
            }
            _ => false,
        };
        if !drop {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}

/// Removes the bridge and the pods' interfaces. The kernel removes them with the pods' network namespaces, which can
/// take a minute on a busy machine.
pub async fn remove_bridge() -> Result<()> {
    for interface in bridged() {
        let delete = command::output(Command::new("ip").args(["link", "delete", &interface])).await;
        if link(&interface).exists() {
            delete?;
        }
    }
    if link(BRIDGE).exists() {
        command::output(Command::new("ip").args(["link", "delete", BRIDGE])).await?;
    }
    paths::remove_dir(&Path::new(paths::RUN).join("addresses"))
}

fn bridged() -> Vec<String> {
    fs::read_dir(link(BRIDGE).join("brif"))
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect()
}

fn link(name: &str) -> PathBuf {
    Path::new("/sys/class/net").join(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAVED: &str = "\
*nat
:PREROUTING ACCEPT [5:300]
:DOCKER - [0:0]
:KUBE-SERVICES - [0:0]
:CNI-HOSTPORT-DNAT - [0:0]
-A PREROUTING -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A KUBE-SERVICES -d 10.96.0.1/32 -p tcp -j ACCEPT
-A POSTROUTING -j CNI-HOSTPORT-DNAT
COMMIT
";

    #[test]
    fn down_removes_only_the_nodes_chains() {
        let kept = without_node_chains(SAVED, |_, _| false);
        assert_eq!(
            kept,
            "*nat\n:PREROUTING ACCEPT [5:300]\n:DOCKER - [0:0]\n-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER\nCOMMIT\n"
        );
    }

    #[test]
    fn chains_that_existed_before_the_lab_stay() {
        let kept = without_node_chains(SAVED, |table, chain| {
            (table, chain) == ("nat", "CNI-HOSTPORT-DNAT")
        });
        assert!(kept.contains("-A POSTROUTING -j CNI-HOSTPORT-DNAT"), "{kept}");
        assert!(!kept.contains("KUBE-"), "{kept}");
    }

    #[test]
    fn chains_are_known_by_their_table() {
        assert_eq!(chains(SAVED).filter(|(_, chain)| is_nodes(chain)).count(), 2);
        assert!(chains(SAVED).all(|(table, _)| table == "nat"));
    }
}
