//! Tests of the add-ons: `cargo lab test --layer node --with ingress,logs,autoscaling` installs them and runs the tests
//! in the modules of their names.

mod autoscaling;
mod ingress;
mod logs;

use std::time::Duration;

use anyhow::{Context, Result};
use e2e_tests::Cluster;
use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::ListParams;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const TIMEOUT: Duration = Duration::from_mins(3);

/// Sends a request for this host to a port of the node; returns the whole response.
async fn ask(
    cluster: &Cluster,
    port: u16,
    host: &str,
    method: &str,
    path: &str,
    body: &str,
) -> Result<String> {
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
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}
