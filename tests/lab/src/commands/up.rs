//! `cargo lab up` and `cargo lab down`.

use std::{fs::File, path::Path, sync::Arc};

use anyhow::{Context, Result};
use lab::{
    addons::AddOn,
    apiserver,
    external_cluster::{self, Cluster},
    host,
    node::{self, Node},
    path_tools, paths,
    prerequisites::{self, Use},
    product,
    screen::Screen,
    stack,
};
use lab_tools::Tool;

pub async fn up(cluster: Cluster, no_product: bool, add_ons: &[AddOn]) -> Result<()> {
    let _lock = lock()?;
    if cluster == Cluster::Embedded {
        return embedded(no_product, add_ons).await;
    }
    let kubectl = external_cluster::up(cluster, no_product, add_ons).await?;
    println!("{}", external_cluster::welcome(cluster, kubectl.kubeconfig()));
    Ok(())
}

async fn embedded(no_product: bool, add_ons: &[AddOn]) -> Result<()> {
    let mut screen = Screen::default();
    host::check(&paths::state_dir())?;
    prerequisites::install(&[Use::Node]).await?;
    let bars = screen.bars();
    tokio::task::spawn_blocking(move || lab_tools::ensure_with(Tool::BASE, &bars)).await??;
    let node = Arc::new(Node::open().await?);
    let mut steps = node.steps(&screen.bars());
    if !no_product {
        product::add_steps(&mut steps, &node);
    }
    steps.run(|step, event| screen.report(step, event)).await?;
    node.add_on_steps(add_ons, &screen.bars())
        .run(|step, event| screen.report(step, event))
        .await?;
    path_tools::offer().await?;
    let app = if no_product {
        None
    } else {
        Some(product::sample_url(&node.kubectl().await?).await?)
    };
    welcome(&node, app);
    for add_on in add_ons {
        println!("\n{}", add_on.how_to_reach(node.ip()));
    }
    Ok(())
}

fn welcome(node: &Node, app: Option<String>) {
    let (what, tries) = if app.is_some() {
        (
            ", the ObservedApp operator and the sample app `tasks`",
            "  kubectl get oapp
  kubectl observed status tasks
  cargo lab load",
        )
    } else {
        (
            "",
            "  kubectl get pods --all-namespaces
  cargo lab status
  cargo lab up",
        )
    };
    println!(
        "
A Kubernetes node runs on this machine, with Prometheus and Alertmanager{what}.

  {kubeconfig}
  {path}

{stack}{app}

Three things to try:
{tries}",
        kubeconfig = export_line(&node.kubeconfig()),
        path = path_line(),
        stack = stack::addresses(node.ip()),
        app = app.map_or_else(String::new, |url| format!("\n  tasks         {url}")),
    );
}

/// The shell command that points kubectl to this cluster.
pub fn export_line(kubeconfig: &Path) -> String {
    format!("export KUBECONFIG={}", kubeconfig.display())
}

/// The shell command that puts the pinned kubectl and its plugin on PATH.
pub fn path_line() -> String {
    format!("export PATH={}:$PATH", path_tools::dir().display())
}

pub async fn down(cluster: Cluster, purge: bool) -> Result<()> {
    let _lock = lock()?;
    if cluster != Cluster::Embedded {
        return external_cluster::down(cluster).await;
    }
    let servers = apiserver::stop_detached()?;
    let node = node::down().await?;
    if purge {
        node::purge()?;
    }
    println!(
        "{}",
        match (node, servers) {
            (false, 0) => "nothing was running".to_owned(),
            (false, servers) => format!("ended {servers} API server(s)"),
            (true, 0) => "ended the node; only its images are kept, for the next `up`".to_owned(),
            (true, servers) => format!("ended the node and {servers} API server(s)"),
        }
    );
    Ok(())
}

/// Serialises `up` and `down` within a clone.
fn lock() -> Result<File> {
    let path = paths::state_dir().join("lock");
    std::fs::create_dir_all(paths::state_dir())?;
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    if file.try_lock().is_err() {
        eprintln!("waiting for another `cargo lab` to end");
        file.lock()?;
    }
    Ok(file)
}
