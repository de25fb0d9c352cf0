//! The observability stack of the node: DNS, volumes, Prometheus with its operator, Alertmanager, the prober.

use std::{fs, net::IpAddr, path::Path, time::Duration};

use anyhow::{Context, Result, bail};
use lab_tools::{Module, Tool, module_dir};

use crate::kubectl::Kubectl;
use crate::wait;

const COREDNS: &str = include_str!("../manifests/coredns.yaml");
const STORAGE: &str = include_str!("../manifests/storage.yaml");
const OPERATOR: &str = include_str!("../manifests/prometheus-operator.yaml");
const PROMETHEUS: &str = include_str!("../manifests/prometheus.yaml");
const BLACKBOX: &str = include_str!("../manifests/blackbox-exporter.yaml");

pub const PROMETHEUS_PORT: u16 = 30090;
pub const ALERTMANAGER_PORT: u16 = 30093;

const TIMEOUT: Duration = Duration::from_mins(5);

pub async fn dns(kubectl: &Kubectl) -> Result<()> {
    kubectl.apply(COREDNS).await
}

pub async fn storage(kubectl: &Kubectl, volumes: &Path) -> Result<()> {
    kubectl
        .apply(&STORAGE.replace("VOLUMES_DIR", &volumes.display().to_string()))
        .await
}

/// CRDs that are not used here and that prometheus-operator does not need. They are a third of the text, and the API
/// server needs many seconds to install them.
const LEFT_OUT: [&str; 3] = ["prometheusagents", "scrapeconfigs", "thanosrulers"];

/// A line per CRD, with its conditions. `kubectl wait` fails for a CRD without conditions.
const CONDITIONS: &str = "--output=go-template={{range .items}}{{.metadata.name}}{{range .status.conditions}} \
                          {{.type}}={{.status}}{{end}}{{\"\\n\"}}{{end}}";

/// Installs prometheus-operator's CRDs, from the module that the operator is built from.
pub async fn definitions(kubectl: &Kubectl) -> Result<()> {
    let dir = tokio::task::spawn_blocking(|| module_dir(Module::PROMETHEUS_OPERATOR)).await??;
    let dir = dir.join("example/prometheus-operator-crd");
    let mut wanted = Vec::new();
    for entry in fs::read_dir(&dir).with_context(|| format!("cannot read {}", dir.display()))? {
        let path = entry?.path();
        let name = path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if !LEFT_OUT.iter().any(|left_out| name.ends_with(left_out)) {
            wanted.push(fs::read_to_string(path)?);
        }
    }
    let versions = r"--output=jsonpath={.items[*].metadata.annotations.operator\.prometheus\.io/version}";
    let installed = kubectl.run(&["get", "crd", versions]).await?;
    let current = |version: &&str| *version == Tool::PrometheusOperator.version();
    if installed.split_whitespace().filter(current).count() >= wanted.len() {
        return Ok(());
    }
    kubectl.apply(&wanted.join("\n---\n")).await?;
    wait::eventually("Prometheus' definitions", Duration::from_mins(1), || async {
        let crds = kubectl.run(&["get", "crd", CONDITIONS]).await?;
        let established = |line: &str| line.contains(" Established=True");
        match crds.lines().find(|line| !established(line)) {
            None => Ok(()),
            Some(line) => bail!("{line} is not established"),
        }
    })
    .await
}

pub async fn operator(kubectl: &Kubectl) -> Result<()> {
    kubectl.apply(OPERATOR).await
}

pub async fn prometheus(kubectl: &Kubectl, node_ip: IpAddr) -> Result<()> {
    kubectl
        .apply(&PROMETHEUS.replace("NODE_IP", &node_ip.to_string()))
        .await?;
    prober(kubectl).await
}

pub async fn prober(kubectl: &Kubectl) -> Result<()> {
    kubectl.apply(BLACKBOX).await
}

/// The addresses of Prometheus and Alertmanager, for the user.
pub fn addresses(node_ip: IpAddr) -> String {
    format!(
        "  Prometheus    http://{node_ip}:{PROMETHEUS_PORT}\n  Alertmanager  http://{node_ip}:{ALERTMANAGER_PORT}"
    )
}

/// Waits until everything responds.
pub async fn ready(kubectl: &Kubectl) -> Result<()> {
    let wait = |namespace, object| kubectl.wait(namespace, object, "condition=Available", TIMEOUT);
    tokio::try_join!(
        wait("kube-system", "deployment/coredns"),
        wait("local-path-storage", "deployment/local-path-provisioner"),
        wait("monitoring", "deployment/prometheus-operator"),
        wait("monitoring", "deployment/blackbox"),
        wait("monitoring", "prometheus/lab"),
        wait("monitoring", "alertmanager/lab"),
    )?;
    let answers = |service, path| kubectl.answers("monitoring", service, path, TIMEOUT);
    tokio::try_join!(
        answers("prometheus:web", "/-/ready"),
        answers("alertmanager:web", "/-/ready"),
        answers("blackbox:http", "/-/healthy"),
    )
    .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::images;

    #[test]
    fn every_image_of_the_manifests_is_built_by_the_lab() {
        let known: Vec<&str> = images::BASE.iter().map(|image| image.reference).collect();
        for manifest in [COREDNS, STORAGE, OPERATOR, PROMETHEUS, BLACKBOX] {
            let named = manifest.lines().filter_map(|line| {
                let (key, value) = line.trim().split_once(['=', ':'])?;
                key.ends_with("image")
                    .then(|| value.trim())
                    .or_else(|| key.ends_with("prometheus-config-reloader").then_some(value))
            });
            for image in named {
                assert!(known.contains(&image), "{image} is not in {known:?}");
            }
        }
    }
}
