//! The state of the machine that a node changes, to test that `down` restores it.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use crate::{host, network, process};

/// The machine's mounts, network interfaces, firewall, control groups and kernel settings, and the lab's processes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineState(BTreeSet<String>);

impl MachineState {
    pub async fn capture() -> Self {
        let mut seen = BTreeSet::new();
        for pid in process::marked(|_| true) {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            seen.insert(format!("process {}", name.trim()));
        }
        seen.extend(mounts(
            &fs::read_to_string("/proc/self/mounts").unwrap_or_default(),
        ));
        for name in names(Path::new("/sys/class/net")) {
            seen.insert(format!("interface {name}"));
        }
        for name in names(Path::new("/run/netns")) {
            seen.insert(format!("network namespace {name}"));
        }
        for root in cgroup_roots() {
            for name in names(&root).filter(|name| root.join(name).is_dir()) {
                seen.insert(format!("cgroup {}", root.join(name).display()));
            }
        }
        seen.extend(network::rules().await);
        seen.extend(host::settings().map(|(name, value)| format!("setting {name} = {value}")));
        Self(seen)
    }

    /// What is new since `before`, and what is missing.
    pub fn changes_since(&self, before: &Self) -> Vec<String> {
        let new = self.0.difference(&before.0).map(|it| format!("new: {it}"));
        let gone = before.0.difference(&self.0).map(|it| format!("gone: {it}"));
        new.chain(gone).collect()
    }
}

/// The mounts in a mount table, without their options, whose order may change, and without the folder of named network
/// namespaces, which iproute2 mounts once and keeps. The namespaces are listed separately.
fn mounts(table: &str) -> impl Iterator<Item = String> {
    table
        .lines()
        .map(|line| line.split(' ').take(3).collect::<Vec<_>>())
        .filter(|mount| mount.get(1) != Some(&"/run/netns"))
        .map(|mount| format!("mount {}", mount.join(" ")))
}

fn names(dir: &Path) -> impl Iterator<Item = String> {
    fs::read_dir(dir)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
}

fn cgroup_roots() -> Vec<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    mounts
        .lines()
        .filter_map(|line| {
            let fields: Vec<&str> = line.split(' ').collect();
            matches!(fields.get(2), Some(&"cgroup" | &"cgroup2")).then(|| PathBuf::from(fields[1]))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_netns_mount_is_ignored_and_a_namespace_is_not() {
        let before = "proc /proc proc rw,relatime 0 0\n";
        let after = "proc /proc proc rw,nosuid 0 0\n\
                     /dev/sda /run/netns ext4 rw 0 0\n\
                     nsfs /run/netns/node nsfs rw 0 0\n";
        let [before, after] = [before, after].map(|table| MachineState(mounts(table).collect()));
        assert_eq!(
            after.changes_since(&before),
            ["new: mount nsfs /run/netns/node nsfs"]
        );
    }
}
