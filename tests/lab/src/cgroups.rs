//! The pods' control groups.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Result;

use crate::{process::Identity, wait};

/// The kubelet's name of the group of all pods.
const PODS: &str = "kubepods";

/// Kills every process of every pod, and removes the groups.
pub async fn remove_pods() -> Result<()> {
    wait::until("the pods' processes", Duration::from_secs(30), || async {
        let roots = roots();
        for pid in roots.iter().flat_map(|root| processes(root)) {
            if let Some(process) = Identity::of(pid) {
                process.end(Duration::ZERO)?;
            }
        }
        for root in &roots {
            remove(root);
        }
        Ok(match roots.iter().find(|root| root.exists()) {
            None => Ok(()),
            Some(root) => Err(format!("{} is still in use", root.display())),
        })
    })
    .await
}

/// One per controller under cgroup v1, a single one under v2.
pub(crate) fn roots() -> Vec<PathBuf> {
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    mounts
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(' ');
            let (_, dir, kind) = (fields.next()?, fields.next()?, fields.next()?);
            matches!(kind, "cgroup" | "cgroup2").then(|| Path::new(dir).join(PODS))
        })
        .filter(|dir| dir.exists())
        .collect()
}

fn children(dir: &Path) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(dir)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.is_dir())
}

fn processes(dir: &Path) -> Vec<i32> {
    let own = fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
    let mut all: Vec<i32> = own.lines().filter_map(|line| line.parse().ok()).collect();
    all.extend(children(dir).flat_map(|child| processes(&child)));
    all
}

/// Removes empty groups; others are tried again.
fn remove(dir: &Path) {
    for child in children(dir) {
        remove(&child);
    }
    let _ = fs::remove_dir(dir);
}
