//! `--cluster embedded`: a one-node Kubernetes on this machine.

use std::{
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use indicatif::MultiProgress;
use lab_tools::Tool;

use crate::{
    addons::AddOn,
    cgroups,
    containerd::{self, Containerd},
    controlplane::ControlPlane,
    etcd::{Durability, Etcd},
    host,
    images::{self, Image},
    kubectl::Kubectl,
    kubelet::{self, NODE},
    netpol, network,
    node_ports::Ports,
    paths,
    process::{Lifetime, Supervisor},
    programs::program,
    stack,
    steps::Steps,
};

/// The embedded node.
#[derive(Debug)]
pub struct Node {
    dir: PathBuf,
    supervisor: Supervisor,
    containerd: Containerd,
    plane: ControlPlane,
    ip: IpAddr,
    ports: Ports,
}

fn node_dir() -> PathBuf {
    paths::state_dir().join("node")
}

fn supervisor() -> Supervisor {
    Supervisor::new(node_dir(), Lifetime::Detached)
}

/// The administrator's kubeconfig, if there is a node.
pub fn kubeconfig() -> Option<PathBuf> {
    Some(node_dir().join("kubeconfig")).filter(|path| path.exists())
}

impl Node {
    /// Opens this machine's node, or prepares a new one.
    pub async fn open() -> Result<Self> {
        let dir = node_dir();
        paths::create_dir(&dir)?;
        host::claim_machine(&dir)?;
        host::save_settings(&dir.join("settings.json"))?;
        network::save_chains(&dir.join("chains.json")).await?;
        let supervisor = supervisor();
        let ip = host::node_ip()?;
        let ports = Ports::choose(&supervisor, &dir.join("ports.json"))?;
        let plane = ControlPlane::new(&dir, Some(ip), ports.apiserver)?;
        plane.write_admin_kubeconfig()?;
        let containerd = Containerd::new(&paths::state_dir(), &dir);
        Ok(Self {
            dir,
            supervisor,
            containerd,
            plane,
            ip,
            ports,
        })
    }

    pub fn ip(&self) -> IpAddr {
        self.ip
    }

    pub fn kubeconfig(&self) -> PathBuf {
        self.plane.admin_kubeconfig()
    }

    pub async fn kubectl(&self) -> Result<Kubectl> {
        Kubectl::new(&self.kubeconfig()).await
    }

    /// The steps to a Ready node with the observability stack.
    pub fn steps(self: &Arc<Self>, bars: &MultiProgress) -> Steps {
        let mut steps = Steps::default();
        let node = || Arc::clone(self);
        macro_rules! step {
            ($name:literal, $needs:expr, $work:ident) => {{
                let node = node();
                steps.add($name, &$needs, async move { node.$work().await });
            }};
        }
        step!("containerd", [], start_containerd);
        let bars = bars.clone();
        steps.add(
            "images",
            &["containerd"],
            load_images(images::BASE.to_vec(), bars),
        );
        step!("etcd", [], start_etcd);
        step!("API server", ["etcd"], start_apiserver);
        step!("controllers", ["API server"], start_controllers);
        step!("pod network", [], start_network);
        step!("kube-proxy", ["API server", "pod network"], start_kube_proxy);
        let enforcer = node();
        steps.add("network policies", &["API server", "pod network"], async move {
            enforcer.start_policy_enforcer()
        });
        step!(
            "kubelet",
            // A missing image would delay its pod by an image pull backoff.
            ["API server", "images", "pod network"],
            start_kubelet
        );
        step!("node", ["kubelet", "controllers"], wait_for_node);
        step!("DNS", ["API server"], apply_dns);
        step!("volumes", ["API server"], apply_storage);
        step!("Prometheus' definitions", ["API server"], apply_definitions);
        step!(
            "Prometheus' operator",
            ["Prometheus' definitions"],
            apply_operator
        );
        step!("Prometheus", ["Prometheus' operator"], apply_prometheus);
        step!(
            "stack",
            [
                "node",
                "kube-proxy",
                "network policies",
                "DNS",
                "volumes",
                "Prometheus"
            ],
            wait_for_stack
        );
        steps
    }

    /// The steps that install add-ons on a running node, in parallel; their programs are built one after the other.
    pub fn add_on_steps(self: &Arc<Self>, add_ons: &[AddOn], bars: &MultiProgress) -> Steps {
        let mut steps = Steps::default();
        let images: Vec<Image> = add_ons
            .iter()
            .flat_map(|add_on| add_on.images())
            .copied()
            .collect();
        let bars = bars.clone();
        steps.add("add-ons' images", &[], load_images(images, bars));
        for &add_on in add_ons {
            let node = Arc::clone(self);
            steps.add(add_on.name(), &["add-ons' images"], async move {
                let logs = kubelet::pod_logs(&node.kubelet_dir());
                add_on.install(&node.kubectl().await?, node.ip, &logs).await
            });
        }
        steps
    }

    async fn start_containerd(&self) -> Result<()> {
        network::write_cni_config(self.containerd.cni_config())?;
        self.containerd.ensure(&self.supervisor).await?;
        // Before the kubelet starts, all containers are those of a former cluster.
        if !self.kubelet_dir().exists() {
            self.containerd.delete_containers().await?;
        }
        Ok(())
    }

    async fn start_etcd(&self) -> Result<()> {
        self.supervisor.ensure(&self.etcd().await?.program).map(drop)
    }

    async fn etcd(&self) -> Result<Etcd> {
        let binary = program(Tool::Etcd).await?;
        Etcd::new(
            &binary,
            &self.dir,
            self.ports.etcd,
            Durability::Crash,
            &self.plane.authority,
        )
    }

    async fn start_apiserver(&self) -> Result<()> {
        let binary = program(Tool::KubeApiserver).await?;
        self.supervisor
            .ensure(&self.plane.apiserver(&binary, &self.etcd().await?)?)?;
        self.plane.ready(&self.supervisor).await.map(drop)
    }

    async fn start_controllers(&self) -> Result<()> {
        let binary = program(Tool::KubeControllerManager).await?;
        self.supervisor.ensure(&self.plane.controller_manager(
            &binary,
            self.ports.controller_manager,
            &[],
        )?)?;
        let binary = program(Tool::KubeScheduler).await?;
        self.supervisor
            .ensure(&self.plane.scheduler(&binary, self.ports.scheduler)?)
            .map(drop)
    }

    async fn start_network(&self) -> Result<()> {
        host::enable_forwarding()?;
        network::allow_pods().await
    }

    async fn start_kube_proxy(&self) -> Result<()> {
        let binary = program(Tool::KubeProxy).await?;
        let (health, metrics) = (self.ports.kube_proxy_health, self.ports.kube_proxy);
        self.supervisor
            .ensure(&network::kube_proxy(&self.plane, &binary, NODE, health, metrics)?)
            .map(drop)
    }

    fn start_policy_enforcer(&self) -> Result<()> {
        self.supervisor.ensure(&netpol::program(&self.plane)?).map(drop)
    }

    fn kubelet_dir(&self) -> PathBuf {
        self.dir.join("kubelet")
    }

    async fn start_kubelet(&self) -> Result<()> {
        let binary = program(Tool::Kubelet).await?;
        let dir = self.kubelet_dir();
        let kubelet = kubelet::kubelet(
            &self.plane,
            &self.supervisor,
            &binary,
            &dir,
            self.ip,
            self.ports.kubelet,
        )?;
        self.supervisor.ensure(&kubelet).map(drop)
    }

    async fn wait_for_node(&self) -> Result<()> {
        let kubectl = self.kubectl().await?;
        let ready = async {
            // `kubectl wait` fails until the node has registered itself.
            crate::wait::until("the node's registration", Duration::from_mins(2), || async {
                self.supervisor.check("kubelet")?;
                let node = kubectl.run(&["get", "node", NODE]).await;
                Ok(node.map_err(|error| error.to_string()))
            })
            .await?;
            kubectl
                .run(&[
                    "wait",
                    "--for=condition=Ready",
                    &format!("node/{NODE}"),
                    "--timeout=120s",
                ])
                .await
        };
        ready.await.map(drop).with_context(|| {
            format!(
                "the node is not Ready; its kubelet's log: {}",
                self.supervisor.log_path("kubelet").display()
            )
        })
    }

    async fn apply_dns(&self) -> Result<()> {
        stack::dns(&self.kubectl().await?).await
    }

    async fn apply_storage(&self) -> Result<()> {
        stack::storage(&self.kubectl().await?, &self.dir.join("volumes")).await
    }

    async fn apply_definitions(&self) -> Result<()> {
        stack::definitions(&self.kubectl().await?).await
    }

    async fn apply_operator(&self) -> Result<()> {
        stack::operator(&self.kubectl().await?).await
    }

    async fn apply_prometheus(&self) -> Result<()> {
        stack::prometheus(&self.kubectl().await?, self.ip).await
    }

    async fn wait_for_stack(&self) -> Result<()> {
        stack::ready(&self.kubectl().await?).await?;
        // A program may have ended unnoticed.
        let names = self.supervisor.names();
        names.iter().try_for_each(|name| self.supervisor.check(name))
    }
}

/// Builds the missing images and imports all of them.
async fn load_images(images: Vec<Image>, bars: MultiProgress) -> Result<()> {
    tokio::task::spawn_blocking(move || {
        let archives = images::build(&images, &bars)?;
        images::import_all(&Containerd::socket(), &archives).map(drop)
    })
    .await?
}

/// Removes the images and everything else that is kept after `down`.
pub fn purge() -> Result<()> {
    paths::remove_dir(&paths::state_dir().join("containerd"))
}

/// Ends the node and removes everything but the images, which the next node reuses.
pub async fn down() -> Result<bool> {
    let (dir, supervisor) = (node_dir(), supervisor());
    let run = Path::new(paths::RUN);
    if !dir.exists() && !run.exists() {
        return Ok(false);
    }
    if let Ok(owner) = fs::read_to_string(run.join("owner"))
        && Path::new(&owner) != dir
        && Path::new(&owner).exists()
    {
        bail!("the lab on this machine belongs to {owner}; end it there with `cargo lab down`");
    }
    // The kubelet first: it would restart containers.
    for name in ["kubelet", "kube-controller-manager", "kube-proxy"] {
        supervisor.end(name, Duration::from_secs(5))?;
    }
    lose_power().await?;
    containerd::remove_mount_points();
    paths::remove_dir(&dir)?;
    Ok(true)
}

/// Kills all processes of the node and removes its in-memory state, as a power loss does: only files on disk are kept.
pub async fn lose_power() -> Result<()> {
    let dir = node_dir();
    supervisor().end_all()?;
    cgroups::remove_pods().await?;
    network::remove_chains(&dir.join("chains.json")).await?;
    network::remove_bridge().await?;
    host::restore_settings(&dir.join("settings.json"))?;
    paths::remove_dir(Path::new(paths::RUN))
}

/// The node's programs in the order of their start, with the process id of those that run.
pub fn programs() -> Vec<(String, Option<i32>)> {
    let supervisor = supervisor();
    supervisor
        .names()
        .into_iter()
        .map(|name| (name.clone(), supervisor.running(&name).map(|it| it.pid)))
        .collect()
}

/// The log of this program of the node, if there is one.
pub fn log(name: &str) -> Option<PathBuf> {
    let supervisor = supervisor();
    supervisor
        .names()
        .iter()
        .any(|known| known == name)
        .then(|| supervisor.log_path(name))
}
