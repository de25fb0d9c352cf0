//! What the node needs from the machine, and which of its settings the lab changes and restores.

use std::{
    collections::BTreeMap,
    env, fs,
    net::{IpAddr, Ipv4Addr, UdpSocket},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use lab_tools::need_room;

use crate::paths;

/// The disk space of a running node.
const FREE_GIB: u64 = 4;
/// The disk space of the built images.
const IMAGES_GIB: u64 = 2;

/// The kernel settings that the node's programs change, and `down` restores.
const SETTINGS: [&str; 9] = [
    "net/ipv4/ip_forward",
    "net/ipv4/conf/all/route_localnet",
    "net/bridge/bridge-nf-call-iptables",
    "net/bridge/bridge-nf-call-ip6tables",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
];

/// The capabilities that the node needs, with their bits.
const CAPABILITIES: [(&str, u32); 4] = [
    ("CAP_NET_ADMIN", 12),
    ("CAP_SYS_ADMIN", 21),
    ("CAP_SYS_CHROOT", 18),
    ("CAP_MKNOD", 27),
];

/// Fails with one sentence if a node cannot run here.
pub fn check(state_dir: &Path) -> Result<()> {
    capabilities(&fs::read_to_string("/proc/self/status").unwrap_or_default())?;
    need_room(state_dir, FREE_GIB, "CARGO_TARGET_DIR")?;
    need_room(&lab_tools::cache_dir()?, IMAGES_GIB, "XDG_CACHE_HOME")
}

fn capabilities(status: &str) -> Result<()> {
    let effective = status
        .lines()
        .find_map(|line| u64::from_str_radix(line.strip_prefix("CapEff:")?.trim(), 16).ok())
        .context("this is not Linux, which the embedded cluster needs; try `--cluster minikube`")?;
    if is_root(status) {
        for (name, bit) in CAPABILITIES {
            if effective & (1 << bit) == 0 {
                bail!(
                    "this container or user lacks {name}, which the node needs; add that capability, or try `--cluster minikube`"
                );
            }
        }
        return Ok(());
    }
    let again: Vec<String> = env::args().skip(1).collect();
    bail!(
        "the embedded cluster needs root: run `sudo -E env PATH=\"$PATH\" cargo lab {}`, or try `--cluster minikube`",
        again.join(" ")
    )
}

fn is_root(status: &str) -> bool {
    status
        .lines()
        .find_map(|line| line.strip_prefix("Uid:"))
        .and_then(|ids| ids.split_whitespace().nth(1))
        .is_some_and(|effective| effective == "0")
}

/// The address of this machine's default route, which is the node's address. Nothing is sent.
pub fn node_ip() -> Result<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket
        // An address reserved for documentation, which this machine cannot have.
        .connect((Ipv4Addr::new(203, 0, 113, 1), 9))
        .and_then(|()| socket.local_addr())
        .map(|address| address.ip())
        .context("this machine has no default route, so the node has no address; add one, for instance `ip link add lab-uplink type dummy && ip addr add 198.18.0.1/24 dev lab-uplink && ip link set lab-uplink up && ip route add default dev lab-uplink`")
}

/// Saves the kernel settings before the node's programs change them.
pub fn save_settings(file: &Path) -> Result<()> {
    if file.exists() {
        return Ok(());
    }
    let current: BTreeMap<&str, String> = settings().collect();
    paths::write(file, serde_json::to_vec_pretty(&current)?)
}

/// The current values of the kernel settings that the node changes.
pub(crate) fn settings() -> impl Iterator<Item = (&'static str, String)> {
    SETTINGS
        .into_iter()
        .filter_map(|name| Some((name, fs::read_to_string(setting(name)).ok()?.trim().to_owned())))
}

pub fn restore_settings(file: &Path) -> Result<()> {
    let Ok(saved) = fs::read(file) else { return Ok(()) };
    let saved: BTreeMap<String, String> = serde_json::from_slice(&saved)?;
    for (name, value) in saved {
        set(&name, &value)?;
    }
    Ok(())
}

/// Enables the kernel features that the node's network needs.
pub fn enable_forwarding() -> Result<()> {
    set("net/ipv4/ip_forward", "1")?;
    if !setting("net/bridge/bridge-nf-call-iptables").exists() {
        // It may be built in; if it is missing, the next line fails.
        let _ = std::process::Command::new("modprobe")
            .args(["-a", "br_netfilter", "overlay"])
            .output();
    }
    set("net/bridge/bridge-nf-call-iptables", "1")
        .context("the kernel lacks br_netfilter, without which Services and network policies do not work within the node")
}

fn setting(name: &str) -> PathBuf {
    Path::new("/proc/sys").join(name)
}

fn set(name: &str, value: &str) -> Result<()> {
    let path = setting(name);
    if fs::read_to_string(&path).is_ok_and(|now| now.trim() == value) {
        return Ok(());
    }
    fs::write(&path, value).with_context(|| format!("cannot set {} to {value}", path.display()))
}

/// Claims the machine: it can run one node, of one clone.
pub fn claim_machine(owner: &Path) -> Result<()> {
    let file = Path::new(paths::RUN).join("owner");
    match fs::read_to_string(&file) {
        Ok(other) if Path::new(&other) != owner && Path::new(&other).exists() => {
            bail!(
                "the lab of {other} runs on this machine, which can run only one; end it there with `cargo lab down`"
            )
        }
        _ => paths::write(&file, owner.display().to_string()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_missing_capability_is_named() {
        let without_net_admin = format!("Uid:\t0\t0\t0\t0\nCapEff:\t{:016x}\n", !(1_u64 << 12));
        assert!(
            capabilities(&without_net_admin)
                .unwrap_err()
                .to_string()
                .contains("CAP_NET_ADMIN")
        );
        assert!(capabilities(&format!("Uid:\t0\t0\t0\t0\nCapEff:\t{:016x}\n", u64::MAX)).is_ok());
    }

    #[test]
    fn without_root_the_error_has_the_command() {
        let user = format!("Uid:\t1000\t1000\t1000\t1000\nCapEff:\t{:016x}\n", 0);
        assert!(capabilities(&user).unwrap_err().to_string().contains("sudo"));
    }
}
