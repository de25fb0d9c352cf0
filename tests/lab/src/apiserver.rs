//! A Kubernetes API server for tests: etcd and kube-apiserver on free ports, any number side by side. No scheduler and
//! no kubelet: pods never run.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! let server = lab::apiserver::ApiServer::configure().with_controller_manager().start().await?;
//! let pods: kube::Api<k8s_openapi::api::core::v1::Pod> = kube::Api::all(server.client());
//! assert!(pods.list(&Default::default()).await?.items.is_empty());
//! # Ok(()) }
//! ```

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::Result;
use kube::Client;
use lab_tools::Tool;

use crate::{
    controlplane::ControlPlane,
    etcd::{Durability, Etcd},
    layers::FAILURES,
    paths, ports,
    process::{Identity, Lifetime, Supervisor},
    programs::program,
};

/// The controllers of `with_controller_manager`. Without pods, others have nothing to do.
const CONTROLLERS: [&str; 4] = [
    "garbage-collector-controller",
    "namespace-controller",
    // Without it, a deleted claim keeps its finalizer.
    "persistentvolumeclaim-protection-controller",
    "validatingadmissionpolicy-status-controller",
];

/// Attempts if another program takes a port between its choice and its use.
const TRIES: u32 = 3;

/// A running API server. Dropping it ends its processes and removes their files.
pub struct ApiServer {
    plane: ControlPlane,
    client: Client,
    supervisor: Supervisor,
    lifetime: Lifetime,
}

/// The options of an API server.
#[derive(Debug, Clone)]
pub struct Configuration {
    controller_manager: bool,
    args: Vec<String>,
    lifetime: Lifetime,
}

impl Configuration {
    /// Also runs the controllers that delete the dependents of deleted owners and namespaces.
    #[must_use]
    pub fn with_controller_manager(mut self) -> Self {
        self.controller_manager = true;
        self
    }

    /// Adds an argument of kube-apiserver. The last value of a flag counts.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Keeps it running after this process, until `cargo lab down`.
    #[must_use]
    pub fn detached(mut self) -> Self {
        self.lifetime = Lifetime::Detached;
        self
    }

    /// Starts it and waits until it is ready.
    pub async fn start(self) -> Result<ApiServer> {
        let mut tries = 1;
        loop {
            match self.try_start().await {
                Err(error) if tries < TRIES && format!("{error:#}").contains("address already in use") => {
                    tries += 1;
                }
                outcome => return outcome,
            }
        }
    }

    async fn try_start(&self) -> Result<ApiServer> {
        let etcd_binary = program(Tool::Etcd).await?;
        let apiserver_binary = program(Tool::KubeApiserver).await?;
        remove_abandoned()?;
        let dir = new_dir();
        let [etcd_port, port, manager_port] = ports::free()?;
        let plane = ControlPlane::new(&dir, None, port)?;
        plane.write_admin_kubeconfig()?;
        let supervisor = Supervisor::new(&dir, self.lifetime);
        // On an early return, this ends what has been started.
        let guard = Guard {
            supervisor: &supervisor,
            dir: &dir,
            armed: true,
        };
        if self.lifetime == Lifetime::Owned {
            let me = Identity::of(std::process::id().cast_signed());
            paths::write(&dir.join("owner.json"), serde_json::to_vec(&me)?)?;
        }
        let etcd = Etcd::new(&etcd_binary, &dir, etcd_port, Durability::None, &plane.authority)?;
        supervisor.ensure(&etcd.program)?;
        let apiserver = plane.apiserver(&apiserver_binary, &etcd)?.args([
            // Pods are only stored: no controller creates service accounts.
            "--disable-admission-plugins=ServiceAccount",
        ]);
        supervisor.ensure(&apiserver.args(self.args.iter().cloned()))?;
        let client = plane.ready(&supervisor).await?;
        if self.controller_manager {
            let binary = program(Tool::KubeControllerManager).await?;
            supervisor.ensure(&plane.controller_manager(&binary, manager_port, &CONTROLLERS)?)?;
        }
        guard.disarm();
        Ok(ApiServer {
            plane,
            client,
            supervisor,
            lifetime: self.lifetime,
        })
    }
}

impl ApiServer {
    /// Starts one with the default settings: RBAC and `OwnerReferencesPermissionEnforcement`.
    pub async fn start() -> Result<Self> {
        Self::configure().start().await
    }

    pub fn configure() -> Configuration {
        Configuration {
            controller_manager: false,
            args: Vec::new(),
            lifetime: Lifetime::Owned,
        }
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.plane.admin_kubeconfig()
    }

    pub fn url(&self) -> &str {
        &self.plane.url
    }

    /// The administrator's client.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// The folder of its logs.
    pub fn logs(&self) -> PathBuf {
        self.plane.dir.join("logs")
    }

    /// Ends its processes and removes their files.
    pub fn stop(self) -> Result<()> {
        let (supervisor, dir) = (self.supervisor.clone(), self.plane.dir.clone());
        stop(&supervisor, &dir)
    }
}

impl fmt::Debug for ApiServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiServer")
            .field("plane", &self.plane)
            .finish_non_exhaustive()
    }
}

/// Moves the logs to where `cargo lab test` collects them. A failed test cannot be told from a passed one here, so all
/// keep their logs, and the lab removes them when the whole layer has passed.
fn keep_logs(dir: &Path) {
    if let (Some(folder), Some(name)) = (std::env::var_os(FAILURES), dir.file_name()) {
        let folder = Path::new(&folder).join("apiservers");
        // The test's own failure matters more than missing logs.
        let _ = fs::create_dir_all(&folder).and_then(|()| fs::rename(dir.join("logs"), folder.join(name)));
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        if self.lifetime == Lifetime::Owned {
            keep_logs(&self.plane.dir);
        }
        if self.lifetime == Lifetime::Owned
            && let Err(error) = stop(&self.supervisor, &self.plane.dir)
        {
            eprintln!(
                "the API server at {} could not be removed: {error:#}",
                self.plane.dir.display()
            );
        }
    }
}

struct Guard<'a> {
    supervisor: &'a Supervisor,
    dir: &'a Path,
    armed: bool,
}

impl Guard<'_> {
    fn disarm(mut self) {
        self.armed = false;
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if self.armed
            && let Err(error) = stop(self.supervisor, self.dir)
        {
            eprintln!(
                "the incomplete API server at {} could not be removed: {error:#}",
                self.dir.display()
            );
        }
    }
}

fn stop(supervisor: &Supervisor, dir: &Path) -> Result<()> {
    supervisor.end_all()?;
    paths::remove_dir(dir)
}

fn servers_dir() -> PathBuf {
    paths::state_dir().join("apiservers")
}

fn new_dir() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    servers_dir().join(format!(
        "{}-{}",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    ))
}

fn dirs() -> impl Iterator<Item = PathBuf> {
    fs::read_dir(servers_dir())
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
}

/// Removes the files of tests that were killed; their processes ended with them.
fn remove_abandoned() -> Result<()> {
    for dir in dirs() {
        let Ok(owner) = fs::read(dir.join("owner.json")) else {
            continue;
        };
        let owner: Option<Identity> = serde_json::from_slice(&owner).unwrap_or_default();
        if !owner.is_some_and(|owner| owner.is_alive()) {
            stop(&Supervisor::new(&dir, Lifetime::Owned), &dir)?;
        }
    }
    Ok(())
}

/// Ends the detached servers; those of running tests are not touched.
pub fn stop_detached() -> Result<usize> {
    remove_abandoned()?;
    let mut stopped = 0;
    for dir in dirs().filter(|dir| !dir.join("owner.json").exists()) {
        stop(&Supervisor::new(&dir, Lifetime::Detached), &dir)?;
        stopped += 1;
    }
    Ok(stopped)
}

/// The kubeconfigs of the running detached servers.
pub fn detached() -> Vec<PathBuf> {
    dirs()
        .filter(|dir| {
            Supervisor::new(dir, Lifetime::Detached)
                .running("kube-apiserver")
                .is_some()
                && !dir.join("owner.json").exists()
        })
        .map(|dir| dir.join("kubeconfig"))
        .collect()
}
