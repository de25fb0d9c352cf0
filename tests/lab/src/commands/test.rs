//! `cargo lab test`.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use clap::ValueEnum;
use lab::{
    addons::AddOn,
    build_ahead, evidence,
    external_cluster::{self, Cluster},
    host,
    kubectl::Kubectl,
    layers::{self, Layer, RunOptions, Tally},
    machine_state::MachineState,
    node, paths,
    ports::APISERVER_PORT,
    prerequisites::{self, Use},
    wait,
};

use super::up::{down, up};

/// Runs all layers, or only one, and prints a summary.
pub async fn test(only: Option<Layer>, cluster: Cluster, options: &RunOptions) -> Result<()> {
    let layers: Vec<Layer> = [Layer::Unit, Layer::Apiserver, Layer::Node]
        .into_iter()
        .filter(|layer| only.is_none_or(|only| only == *layer))
        .collect();
    let options = &RunOptions {
        add_ons: add_ons(only, cluster, &options.add_ons),
        ..options.clone()
    };
    let makes_node = layers.contains(&Layer::Node) && cluster == Cluster::Embedded;
    if makes_node {
        host::check(&paths::state_dir()).context(
            "the tests on a node cannot run here (the others can: `--layer unit`, `--layer apiserver`)",
        )?;
    }
    prerequisites::install(&uses(&layers, cluster)).await?;
    let _ahead = if makes_node {
        Some(build_ahead::start(&options.add_ons)?)
    } else {
        None
    };
    let mut tally = Tally::default();
    for layer in layers {
        let outcome = match (layer, cluster) {
            (Layer::Node, Cluster::Embedded) => embedded_node(options, &mut tally).await,
            (Layer::Node, _) => other_node(cluster, options, &mut tally).await,
            _ => layers::run(layer, None, options, &mut tally).await.map(drop),
        };
        if let Err(error) = outcome {
            tally.check(&format!("{layer}: the layer could not run"), Err(error));
        }
    }
    println!("{}", tally.summary());
    if tally.failed().is_empty() {
        Ok(())
    } else {
        bail!("{} tests failed", tally.failed().len())
    }
}

/// The add-ons of the node: all of them on the embedded node if nothing is selected.
fn add_ons(only: Option<Layer>, cluster: Cluster, asked: &[AddOn]) -> Vec<AddOn> {
    if asked.is_empty() && only.is_none() && cluster == Cluster::Embedded {
        AddOn::value_variants().to_vec()
    } else {
        asked.to_vec()
    }
}

/// The prerequisites of these layers.
fn uses(layers: &[Layer], cluster: Cluster) -> Vec<Use> {
    let mut uses = Vec::new();
    if layers.contains(&Layer::Unit) {
        uses.push(Use::UnitTests);
    }
    if layers.contains(&Layer::Node) {
        uses.push(Use::NodeTests);
        if cluster == Cluster::Embedded {
            uses.push(Use::Node);
        }
    }
    uses
}

async fn other_node(cluster: Cluster, options: &RunOptions, tally: &mut Tally) -> Result<()> {
    up(cluster, false, &options.add_ons).await?;
    let kubeconfig = external_cluster::kubeconfig(cluster)?;
    layers::run(Layer::Node, Some(&kubeconfig), options, tally).await?;
    if !options.add_ons.is_empty() {
        layers::run(Layer::AddOns, Some(&kubeconfig), options, tally).await?;
    }
    delete_shared_namespace(&kubeconfig, tally).await
}

/// A node that is running already is kept; one that is started for the tests is removed, and must leave nothing behind.
async fn embedded_node(options: &RunOptions, tally: &mut Tally) -> Result<()> {
    let was_up = node::kubeconfig().is_some();
    let before = MachineState::capture().await;
    // Another program may listen on Kubernetes' default port.
    let taken = TcpListener::bind((Ipv4Addr::UNSPECIFIED, APISERVER_PORT));
    if !was_up {
        start_up_and_kill_it().await?;
    }
    up(Cluster::Embedded, false, &[]).await?;
    if !was_up {
        tally.check("node: `up` continues after a killed one", Ok(()));
    }
    let Some(kubeconfig) = node::kubeconfig() else {
        bail!("the node has no kubeconfig")
    };
    if !was_up && taken.is_ok() {
        tally.check("node: it starts even if its default port is taken", Ok(()));
    }
    drop(taken);
    run_on_node(Layer::Node, &kubeconfig, options, tally).await?;
    if !options.add_ons.is_empty() {
        // Their programs are built while the tests before wait for Prometheus.
        up(Cluster::Embedded, false, &options.add_ons).await?;
        run_on_node(Layer::AddOns, &kubeconfig, options, tally).await?;
    }
    if was_up {
        delete_shared_namespace(&kubeconfig, tally).await?;
        println!("the node was running before the tests and stays, so `down` was not tested");
        return Ok(());
    }
    let up_again = async {
        node::lose_power().await?;
        up(Cluster::Embedded, false, &options.add_ons).await
    };
    let up_again = up_again.await;
    tally.check("node: `up` restores it after a power loss", up_again);
    down(Cluster::Embedded, false).await?;
    let changes = MachineState::capture().await.changes_since(&before);
    let outcome = if changes.is_empty() {
        Ok(())
    } else {
        Err(anyhow!("{}", changes.join("\n")))
    };
    tally.check("node: down leaves nothing behind", outcome);
    Ok(())
}

async fn run_on_node(layer: Layer, kubeconfig: &Path, options: &RunOptions, tally: &mut Tally) -> Result<()> {
    if let Some(folder) = layers::run(layer, Some(kubeconfig), options, tally).await? {
        evidence::collect(kubeconfig, &folder).await?;
    }
    Ok(())
}

/// Removes the tests' namespace from a cluster that is kept, unless a failed test's namespace must be inspected.
async fn delete_shared_namespace(kubeconfig: &Path, tally: &Tally) -> Result<()> {
    if !tally.failed().is_empty() {
        return Ok(());
    }
    Kubectl::new(kubeconfig)
        .await?
        .run(&[
            "delete",
            "namespace",
            layers::SHARED_NAMESPACE,
            "--ignore-not-found",
        ])
        .await
        .map(drop)
}

/// Kills an `up` by SIGKILL once its API server has started and other steps have not.
async fn start_up_and_kill_it() -> Result<()> {
    // Not by its path: earlier layers may have rebuilt `lab`, and replaced the file.
    let mut up = tokio::process::Command::new("/proc/self/exe")
        .args(["up", "--cluster=embedded", "--no-product"])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    // On a fresh machine, this waits for all builds.
    wait::until("the start of an API server", Duration::from_hours(1), || {
        let ended = up.try_wait();
        async {
            let programs = node::programs();
            let runs = |(name, pid): &(String, Option<i32>)| name == "kube-apiserver" && pid.is_some();
            match ended? {
                _ if programs.iter().any(runs) => Ok(Ok(())),
                Some(status) => bail!("`up` ended before it was killed ({status})"),
                None => Ok(Err("it has not started yet".to_owned())),
            }
        }
    })
    .await?;
    up.kill().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_of_all_layers_has_every_add_on() {
        assert_eq!(
            add_ons(None, Cluster::Embedded, &[]),
            AddOn::value_variants().to_vec()
        );
        assert_eq!(add_ons(None, Cluster::Embedded, &[AddOn::Logs]), [AddOn::Logs]);
        assert!(add_ons(Some(Layer::Node), Cluster::Embedded, &[]).is_empty());
        assert!(add_ons(None, Cluster::Minikube, &[]).is_empty());
    }

    #[test]
    fn each_layer_lists_its_prerequisites() {
        let all = [Layer::Unit, Layer::Apiserver, Layer::Node];
        assert_eq!(
            uses(&all, Cluster::Embedded),
            [Use::UnitTests, Use::NodeTests, Use::Node]
        );
        assert_eq!(uses(&all, Cluster::Minikube), [Use::UnitTests, Use::NodeTests]);
        assert!(uses(&[Layer::Apiserver], Cluster::Embedded).is_empty());
    }
}
