//! `--cluster minikube` and `--cluster current`: clusters other than the embedded one. Images come from their
//! registries, and the observability stack is the real kube-prometheus-stack with Grafana.

use std::{
    env,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use tokio::process::Command;

use crate::{
    addons::AddOn,
    command, helm,
    images::OwnImage,
    kubectl::Kubectl,
    path_tools, paths,
    product::{self, Changed},
    stack,
};

/// The cluster that the lab uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Cluster {
    /// A one-node Kubernetes on this Linux machine; needs root, and no registry
    Embedded,
    /// A minikube profile of the lab's own
    Minikube,
    /// The cluster of your kubeconfig's current context
    Current,
}

impl Cluster {
    /// minikube if it is installed; never `current`, which might be production.
    pub fn by_default() -> Self {
        let path = env::var_os("PATH").unwrap_or_default();
        if env::split_paths(&path).any(|dir| dir.join("minikube").is_file()) {
            Self::Minikube
        } else {
            Self::Embedded
        }
    }
}

/// A profile, so that the user's own minikube is not touched.
const PROFILE: &str = "observedapp";
/// The version of the embedded node, too.
const KUBERNETES: &str = "v1.34.4";
const STACK_NAMESPACE: &str = "monitoring";
const STACK_VALUES: &str = include_str!("../manifests/kube-prometheus-stack.yaml");
const STACK_REPOSITORY: &str = "https://prometheus-community.github.io/helm-charts";
/// The chart version that the values files are written for.
const STACK_VERSION: &str = "88.5.3";
/// The values that the project ships for this chart; the lab's own are merged over them.
const SHIPPED_VALUES: &str = "manifests/values-kube-prometheus-stack.yaml";
/// Grafana's address once its port is forwarded.
const GRAFANA: &str = "http://127.0.0.1:3000";

const START: &[&str] = &[
    "start",
    "--kubernetes-version",
    KUBERNETES,
    // With the Docker runtime, cAdvisor's series lack the label `container`, and the USE panels are empty.
    "--container-runtime=containerd",
    "--cpus=2",
    "--memory=6g",
];

fn minikube_kubeconfig() -> PathBuf {
    paths::state_dir().join("minikube").join("kubeconfig")
}

fn minikube(args: &[&str]) -> Command {
    let mut command = Command::new("minikube");
    // minikube adds the cluster to this kubeconfig.
    command
        .env("KUBECONFIG", minikube_kubeconfig())
        .args(["--profile", PROFILE])
        .args(args)
        .current_dir(paths::workspace_dir());
    command
}

/// Runs a program and shows its output.
async fn show(command: &mut Command) -> Result<()> {
    let status = command
        .stdin(Stdio::null())
        .status()
        .await
        .context("cannot run minikube; https://minikube.sigs.k8s.io/docs/start says how to install it")?;
    if !status.success() {
        bail!("minikube failed ({status}); its output is above");
    }
    Ok(())
}

/// The kubeconfig of a cluster that is not the embedded one, whether it runs or not.
pub fn kubeconfig(cluster: Cluster) -> Result<PathBuf> {
    if cluster == Cluster::Minikube {
        return Ok(minikube_kubeconfig());
    }
    let named = env::var_os("KUBECONFIG").and_then(|list| env::split_paths(&list).next());
    named
        .or_else(|| Some(env::home_dir()?.join(".kube/config")))
        .filter(|path| path.is_file())
        .context("there is no current cluster: neither KUBECONFIG nor ~/.kube/config is a file")
}

/// minikube's names of the add-ons. An unsupported one is reported before anything is started.
fn minikube_add_ons(cluster: Cluster, add_ons: &[AddOn]) -> Result<Vec<&'static str>> {
    add_ons
        .iter()
        .map(|add_on| match (cluster, add_on) {
            (Cluster::Minikube, AddOn::Ingress) => Ok("ingress"),
            (Cluster::Minikube, AddOn::Autoscaling) => Ok("metrics-server"),
            (Cluster::Minikube, AddOn::Logs) => {
                bail!("--with logs is for --cluster embedded: minikube has no such add-on")
            }
            _ => bail!(
                "--with {} would change a cluster that is yours: install it there yourself",
                add_on.name()
            ),
        })
        .collect()
}

/// Starts minikube, or takes the current cluster, and installs the stack, the operator and the sample app.
pub async fn up(cluster: Cluster, no_product: bool, add_ons: &[AddOn]) -> Result<Kubectl> {
    let add_ons = minikube_add_ons(cluster, add_ons)?;
    if cluster == Cluster::Minikube {
        paths::create_dir(&paths::state_dir().join("minikube"))?;
        show(&mut minikube(START)).await?;
    }
    for add_on in add_ons {
        show(&mut minikube(&["addons", "enable", add_on])).await?;
    }
    let kubectl = Kubectl::new(&kubeconfig(cluster)?).await?;
    eprintln!(
        "context: {}",
        kubectl.run(&["config", "current-context"]).await?.trim()
    );
    install_stack(&kubectl).await?;
    if !no_product {
        if cluster == Cluster::Minikube {
            for image in [OwnImage::OPERATOR, OwnImage::TASKS, OwnImage::TASKS_LOAD] {
                show(&mut build(&image)).await?;
            }
        }
        let grafana = format!("--set=grafana.url={GRAFANA}");
        product::install(&kubectl, Changed::default(), &[&grafana]).await?;
        product::sample(&kubectl, Changed::default()).await?;
        path_tools::build_plugin().await?;
    }
    path_tools::offer().await?;
    Ok(kubectl)
}

/// `minikube image build` of one of the project's images.
fn build(image: &OwnImage) -> Command {
    let mut command = minikube(&[
        "image",
        "build",
        "--tag",
        image.reference,
        "--file",
        image.dockerfile,
    ]);
    if let Some(stage) = image.stage {
        command.arg(format!("--build-opt=target={stage}"));
    }
    command.arg(".");
    command
}

/// Installs kube-prometheus-stack as the release `lab`, which is also the label that it selects, and the prober.
async fn install_stack(kubectl: &Kubectl) -> Result<()> {
    let values = paths::state_dir().join("kube-prometheus-stack.yaml");
    paths::write(&values, STACK_VALUES)?;
    let shipped = paths::workspace_dir().join(SHIPPED_VALUES);
    let mut helm = helm::upgrade(
        kubectl,
        "lab",
        Path::new("kube-prometheus-stack"),
        STACK_NAMESPACE,
    )
    .await?;
    helm.args(["--repo", STACK_REPOSITORY, "--version", STACK_VERSION])
        .args(["--wait", "--timeout=10m"]);
    for file in [shipped, values] {
        helm.arg("--values").arg(file);
    }
    command::output(&mut helm).await?;
    stack::prober(kubectl).await
}

/// Deletes the minikube profile; from a user's own cluster removes the sample app and the operator, and keeps the
/// stack.
pub async fn down(cluster: Cluster) -> Result<()> {
    if cluster == Cluster::Minikube {
        show(&mut minikube(&["delete"])).await?;
        return paths::remove_dir(&paths::state_dir().join("minikube"));
    }
    let kubectl = Kubectl::new(&kubeconfig(cluster)?).await?;
    product::delete_sample(&kubectl).await?;
    product::uninstall(&kubectl).await?;
    println!("kube-prometheus-stack is kept; `helm uninstall lab --namespace {STACK_NAMESPACE}` removes it");
    Ok(())
}

/// Printed when the lab is up.
pub fn welcome(cluster: Cluster, kubeconfig: &Path) -> String {
    format!(
        "
kube-prometheus-stack, the ObservedApp operator and the sample app `tasks` run on {cluster:?}.

  export KUBECONFIG={}
  export PATH={}:$PATH

{}

Three things to try:
  kubectl get oapp
  kubectl observed status tasks
  cargo lab load",
        kubeconfig.display(),
        path_tools::dir().display(),
        addresses(),
    )
}

/// The addresses of the stack, for the user.
pub fn addresses() -> String {
    let forward = |service: &str, port: &str| {
        format!("kubectl --namespace {STACK_NAMESPACE} port-forward service/{service} {port}")
    };
    format!(
        "  Grafana       {GRAFANA}  after  {}
  Prometheus    http://127.0.0.1:9090  after  {}
  Alertmanager  http://127.0.0.1:9093  after  {}",
        forward("lab-grafana", "3000:80"),
        forward("prometheus-operated", "9090"),
        forward("alertmanager-operated", "9093"),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn minikube_is_started_with_containerd() {
        assert!(START.contains(&"--container-runtime=containerd"), "{START:?}");
    }

    #[test]
    fn the_shipped_values_name_the_chart_that_is_installed() {
        let values = std::fs::read_to_string(paths::workspace_dir().join(SHIPPED_VALUES)).unwrap();
        let pinned = format!("--version {STACK_VERSION}");
        assert!(values.contains(&pinned), "{SHIPPED_VALUES} does not say {pinned}");
    }
}
