//! The project's images stay small.

use anyhow::{Result, ensure};
use e2e_tests::Cluster;
use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::ListParams;

const OWN: &str = "ghcr.io/observedapp/";
const LARGEST: i64 = 30 << 20;

#[tokio::test]
async fn our_images_are_small() -> Result<()> {
    let cluster = Cluster::connect().await?;
    let nodes = Api::<Node>::all(cluster.client.clone())
        .list(&ListParams::default())
        .await?;
    let mut seen = Vec::new();
    for image in nodes
        .iter()
        .filter_map(|node| node.status.as_ref()?.images.as_ref())
        .flatten()
    {
        let Some(name) = image
            .names
            .iter()
            .flatten()
            .find_map(|name| name.strip_prefix(OWN))
        else {
            continue;
        };
        let size = image.size_bytes.unwrap_or_default();
        ensure!(size <= LARGEST, "{name} has {size} bytes, more than {LARGEST}");
        seen.push(name.split([':', '@']).next().unwrap_or(name).to_owned());
    }
    for name in ["observedapp", "tasks"] {
        ensure!(
            seen.iter().any(|seen| seen == name),
            "no node has the image of {name}: {seen:?}"
        );
    }
    Ok(())
}
