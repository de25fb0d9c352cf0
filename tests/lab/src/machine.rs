//! What a node leaves traces in, to tell whether `down` took them all away.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use crate::{host, network, process};

/// The machine's mounts, network interfaces, firewall, control groups and kernel settings, and the lab's processes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine(BTreeSet<String>);

impl Machine {
    pub async fn look() -> Self {
        let mut seen = BTreeSet::new();
        for pid in process::marked(|_| true) {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            seen.insert(format!("process {}", name.trim()));
        }
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        for line in mounts.lines() {
            // Without the options, which the kernel may word anew.
            seen.insert(format!(
                "mount {}",
                line.split(' ').take(3).collect::<Vec<_>>().join(" ")
            ));
        }
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

    /// What is there now and was not in `before`, and what was and is not any more.
    pub fn changes_since(&self, before: &Self) -> Vec<String> {
        let new = self.0.difference(&before.0).map(|it| format!("new: {it}"));
        let gone = before.0.difference(&self.0).map(|it| format!("gone: {it}"));
        new.chain(gone).collect()
    }
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
