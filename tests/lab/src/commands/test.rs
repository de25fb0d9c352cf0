//! `test`.

use std::net::{Ipv4Addr, TcpListener};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use lab::{
    elsewhere::{self, Cluster},
    evidence,
    layers::{self, How, Layer, Tally},
    machine::Machine,
    node,
    ports::APISERVER_PORT,
    wait::{self, Look},
};

use super::up::{down, up};

/// Runs the layers, or only one. The summary's last line says what came of them.
pub async fn test(only: Option<Layer>, cluster: Cluster, how: &How) -> Result<()> {
    let mut tally = Tally::default();
    for layer in [Layer::Unit, Layer::Apiserver, Layer::Node] {
        if only.is_some_and(|only| only != layer) {
            continue;
        }
        let outcome = match (layer, cluster) {
            (Layer::Node, Cluster::Embedded) => embedded_node(how, &mut tally).await,
            (Layer::Node, _) => other_node(cluster, how, &mut tally).await,
            (Layer::Unit | Layer::Apiserver, _) => layers::run(layer, None, how, &mut tally).await.map(drop),
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

async fn other_node(cluster: Cluster, how: &How, tally: &mut Tally) -> Result<()> {
    up(cluster, false, &how.add_ons).await?;
    let kubeconfig = elsewhere::kubeconfig(cluster)?;
    layers::run(Layer::Node, Some(&kubeconfig), how, tally)
        .await
        .map(drop)
}

/// A node that was running stays; one that is made for the tests goes with them, and must leave no trace.
async fn embedded_node(how: &How, tally: &mut Tally) -> Result<()> {
    let was_up = node::kubeconfig().is_some();
    let before = Machine::look().await;
    // Whoever else listens on Kubernetes' own port stays undisturbed, and does not disturb.
    let taken = TcpListener::bind((Ipv4Addr::UNSPECIFIED, APISERVER_PORT));
    if !was_up {
        begin_and_kill_an_up().await?;
    }
    up(Cluster::Embedded, false, &how.add_ons).await?;
    if !was_up {
        tally.check("node: an `up` that was killed is taken up by the next", Ok(()));
    }
    let Some(kubeconfig) = node::kubeconfig() else {
        bail!("the node has no kubeconfig")
    };
    if !was_up && taken.is_ok() {
        tally.check("node: it comes up though its port is taken", Ok(()));
    }
    drop(taken);
    if let Some(folder) = layers::run(Layer::Node, Some(&kubeconfig), how, tally).await? {
        evidence::collect(&kubeconfig, &folder).await?;
    }
    if was_up {
        println!("the node was running before the tests and stays, so `down` was not tested");
        return Ok(());
    }
    let up_again = async {
        node::lose_power().await?;
        up(Cluster::Embedded, false, &how.add_ons).await
    };
    let up_again = up_again.await;
    tally.check(
        "node: `up` takes it up again where the machine lost its power",
        up_again,
    );
    down(Cluster::Embedded, false).await?;
    let changes = Machine::look().await.changes_since(&before);
    let outcome = if changes.is_empty() {
        Ok(())
    } else {
        Err(anyhow!("{}", changes.join("\n")))
    };
    tally.check("node: down leaves nothing behind", outcome);
    Ok(())
}

/// Kills an `up` by SIGKILL in the midst of its work: when the API server was started, and much was not.
async fn begin_and_kill_an_up() -> Result<()> {
    // Not by its path: the layers before this one may have built `lab` anew, and its file is another by now.
    let mut up = tokio::process::Command::new("/proc/self/exe")
        .args(["up", "--cluster=embedded", "--no-product"])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    // On a machine that has built nothing yet this waits for all of it.
    wait::until("the start of an API server", Duration::from_hours(1), || {
        let ended = up.try_wait();
        async move {
            Ok(match ended? {
                _ if node::programs()
                    .iter()
                    .any(|(name, pid)| name == "kube-apiserver" && pid.is_some()) =>
                {
                    Look::Met
                }
                Some(status) => bail!("`up` ended by itself ({status})"),
                None => Look::NotYet("`up` is still before it".to_owned()),
            })
        }
    })
    .await?;
    up.kill().await?;
    Ok(())
}
