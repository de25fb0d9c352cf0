//! Tests of the add-ons: `cargo lab test --layer node --with ingress,logs,autoscaling` installs them and runs the tests
//! in the modules of their names.

mod autoscaling;
mod ingress;
mod logs;

use std::time::Duration;

use anyhow::{Context, Result};
use e2e_tests::{Cluster, Reply};
use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::ListParams;
use tokio::net::TcpStream;

const TIMEOUT: Duration = Duration::from_mins(3);

/// Sends a request for this host to a port of the node; returns the response.
async fn ask(
    cluster: &Cluster,
    port: u16,
    host: &str,
    method: &str,
    path: &str,
    body: &str,
) -> Result<Reply> {
    let nodes = Api::<Node>::all(cluster.client.clone());
    let node = nodes
        .list(&ListParams::default())
        .await?
        .items
        .pop()
        .context("the cluster has no node")?;
    let addresses = node
        .status
        .and_then(|status| status.addresses)
        .unwrap_or_default();
    let address = addresses
        .into_iter()
        .find(|address| address.type_ == "InternalIP")
        .context("the node has no address")?;
    let mut stream = TcpStream::connect((address.address.as_str(), port)).await?;
    Reply::exchange(&mut stream, host, method, path, body).await
}
