//! The node's containerd, independent of any other on the machine.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use lab_tools::upstream;
use tokio::process::Command;

use crate::{
    command, paths,
    process::{Identity, Program, Supervisor},
    wait,
};

pub const CNI_PLUGINS: &str = "/usr/lib/cni";
/// The containerd namespace of the kubelet's containers and images.
pub const NAMESPACE: &str = "k8s.io";

/// Folders outside the lab's that the kubelet and CNI plugins write to by a fixed path. In the node's mount namespace,
/// empty ones are mounted over them.
const HIDDEN: [&str; 4] = [
    "/var/log/containers",
    "/var/lib/cni",
    "/var/lib/kubelet",
    "/run/containerd",
];

#[derive(Debug, Clone)]
pub struct Containerd {
    /// Images and layers, which are kept between clusters.
    root: PathBuf,
    config: PathBuf,
    cni_config: PathBuf,
}

impl Containerd {
    pub fn new(state_dir: &Path, node_dir: &Path) -> Self {
        Self {
            root: state_dir.join("containerd"),
            config: node_dir.join("containerd.toml"),
            cni_config: node_dir.join("cni"),
        }
    }

    pub fn socket() -> PathBuf {
        Path::new(paths::RUN).join("containerd.sock")
    }

    /// The state of running containers, which a reboot removes.
    pub fn state() -> PathBuf {
        Path::new(paths::RUN).join("containerd")
    }

    pub fn cni_config(&self) -> &Path {
        &self.cni_config
    }

    /// Starts it in a mount namespace that all programs of the node share: mounts of containerd and the kubelet
    /// disappear with their last process, even if that is killed.
    pub async fn ensure(&self, supervisor: &Supervisor) -> Result<()> {
        paths::create_dir(&self.root)?;
        paths::create_dir(Path::new(paths::RUN))?;
        paths::write(&self.config, self.configuration())?;
        let mounts = node_mounts(supervisor).await?;
        if supervisor.running("containerd").is_none() && !has_shims() {
            // Stale after a power loss: containerd would look for those containers.
            paths::remove_dir(&Self::state())?;
        }
        let args = ["--config".to_owned(), self.config.display().to_string()];
        supervisor.ensure(&in_node_mounts(
            &mounts,
            "containerd",
            Path::new("containerd"),
            args,
        ))?;
        wait::until("containerd", Duration::from_secs(30), || async {
            supervisor.check("containerd")?;
            let version = command::output(ctr().arg("version")).await;
            Ok(version.map(drop).map_err(|error| error.to_string()))
        })
        .await
    }

    fn configuration(&self) -> String {
        format!(
            r#"version = 2
root = {root:?}
state = {state:?}
disabled_plugins = [
  "io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs", "io.containerd.tracing.processor.v1.otlp",
]
[grpc]
address = {socket:?}
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = {pause:?}
# Without CAP_SYS_RESOURCE no sandbox could be made otherwise.
restrict_oom_score_adj = true
netns_mounts_under_state_dir = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = {CNI_PLUGINS:?}
conf_dir = {cni:?}
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = false
"#,
            pause = upstream::PAUSE,
            root = self.root.display().to_string(),
            state = Self::state().display().to_string(),
            socket = Self::socket().display().to_string(),
            cni = self.cni_config.display().to_string(),
        )
    }

    /// Removes the records of a former cluster's containers, none of which runs any more.
    pub async fn delete_containers(&self) -> Result<()> {
        let containers = command::output(ctr().args(["-n", NAMESPACE, "containers", "ls", "-q"])).await?;
        let containers: Vec<&str> = containers.split_whitespace().collect();
        if !containers.is_empty() {
            command::output(ctr().args(["-n", NAMESPACE, "containers", "rm"]).args(containers)).await?;
        }
        Ok(())
    }
}

/// `ctr` for the lab's containerd.
pub fn ctr() -> Command {
    let mut command = Command::new("ctr");
    command.arg("--address").arg(Containerd::socket());
    command
}

fn has_shims() -> bool {
    !crate::process::marked(|value| value.ends_with(":containerd")).is_empty()
}

/// The process that keeps the node's mount namespace.
async fn node_mounts(supervisor: &Supervisor) -> Result<Identity> {
    const NAME: &str = "node-mounts";
    let hide = HIDDEN
        .map(|dir| format!("mkdir -p {dir} && mount -t tmpfs lab {dir} && "))
        .concat();
    // Shared within the node, so that a pod with mount propagation sees later mounts.
    let script = format!("mount --make-rshared / && {hide} exec sleep infinity");
    supervisor.ensure(&Program::new(NAME, "unshare").args([
        "--mount",
        "--propagation",
        "slave",
        "sh",
        "-c",
        script.as_str(),
    ]))?;
    wait::until("the node's mount namespace", Duration::from_secs(10), || async {
        supervisor.check(NAME)?;
        let holder = supervisor.running(NAME).filter(|holder| {
            let comm = std::fs::read_to_string(format!("/proc/{}/comm", holder.pid));
            // `sleep` runs once everything is mounted.
            comm.is_ok_and(|comm| comm == "sleep\n")
        });
        Ok(holder.ok_or_else(|| "its folders are not mounted".to_owned()))
    })
    .await
}

/// Runs a program in the node's mount namespace.
fn in_node_mounts(
    mounts: &Identity,
    name: &str,
    binary: &Path,
    args: impl IntoIterator<Item = String>,
) -> Program {
    Program::new(name, "nsenter")
        .args([
            format!("--mount=/proc/{}/ns/mnt", mounts.pid),
            binary.display().to_string(),
        ])
        .args(args)
}

/// As `in_node_mounts`, once containerd runs.
pub fn beside_containerd(
    supervisor: &Supervisor,
    name: &str,
    binary: &Path,
    args: impl IntoIterator<Item = String>,
) -> Result<Program> {
    let mounts = supervisor
        .running("node-mounts")
        .context("containerd does not run")?;
    Ok(in_node_mounts(&mounts, name, binary, args))
}

/// Removes the empty mount points outside the lab's folders.
pub fn remove_mount_points() {
    for dir in HIDDEN {
        // `remove_dir` fails for a folder that is in use.
        let _ = std::fs::remove_dir(dir);
    }
}
