//! Optional parts of the node: `cargo lab up --with ingress,logs,autoscaling`.

use std::{fs, net::IpAddr, path::Path, time::Duration};

use anyhow::{Context, Result};
use clap::ValueEnum;
use lab_tools::{Module, module_dir};

use crate::{
    images::{self, Image},
    kubectl::Kubectl,
    wait,
};

const TRAEFIK: &str = include_str!("../manifests/traefik.yaml");
const LOGS: &str = include_str!("../manifests/logs.yaml");
const METRICS_SERVER: &str = include_str!("../manifests/metrics-server.yaml");

/// The node port of the ingress controller.
pub const INGRESS_PORT: u16 = 30080;
/// The node port of Loki.
pub const LOKI_PORT: u16 = 30100;

const TIMEOUT: Duration = Duration::from_mins(5);

/// An optional part of the lab.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum AddOn {
    /// An ingress controller (Traefik), the default IngressClass, the Gateway API and a Gateway
    Ingress,
    /// Loki, and a collector that sends it every pod's log
    Logs,
    /// metrics-server: `kubectl top`, and metrics for autoscaling
    Autoscaling,
}

impl AddOn {
    pub fn name(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Logs => "logs",
            Self::Autoscaling => "autoscaling",
        }
    }

    /// Printed once it is installed.
    pub fn how_to_reach(self, node_ip: IpAddr) -> String {
        match self {
            Self::Ingress => {
                format!(
                    "Ingresses of class `traefik`, or without a class, and HTTPRoutes of the Gateway ingress/public are served at \
                     http://{node_ip}:{INGRESS_PORT}"
                )
            }
            Self::Logs => format!("Loki has every pod's log: http://{node_ip}:{LOKI_PORT}"),
            Self::Autoscaling => "`kubectl top pods --all-namespaces` shows CPU and memory".to_owned(),
        }
    }

    /// Its images; building them builds their programs.
    pub fn images(self) -> &'static [Image] {
        match self {
            Self::Ingress => &[images::TRAEFIK],
            Self::Logs => &[images::LOKI, images::OTELCOL],
            Self::Autoscaling => &[images::METRICS_SERVER],
        }
    }

    /// Installs it on a node that has its images, and waits until it is available.
    pub async fn install(self, kubectl: &Kubectl, node_ip: IpAddr, pod_logs: &Path) -> Result<()> {
        let available = |namespace, object| kubectl.wait(namespace, object, "condition=Available", TIMEOUT);
        match self {
            Self::Ingress => {
                let definitions = tokio::task::spawn_blocking(gateway_definitions).await??;
                kubectl.apply(&definitions).await?;
                wait::eventually("the Gateway API is served", TIMEOUT, || async {
                    let kinds = "gatewayclasses,gateways,httproutes";
                    kubectl.run(&["get", kinds, "--all-namespaces"]).await
                })
                .await?;
                kubectl
                    .apply(&TRAEFIK.replace("NODE_IP", &node_ip.to_string()))
                    .await?;
                available("ingress", "deployment/traefik").await
            }
            Self::Logs => {
                kubectl
                    .apply(&LOGS.replace("POD_LOGS_DIR", &pod_logs.display().to_string()))
                    .await?;
                available("logs", "deployment/loki").await?;
                let shipping = "jsonpath={.status.numberReady}=1";
                kubectl.wait("logs", "daemonset/otelcol", shipping, TIMEOUT).await
            }
            Self::Autoscaling => {
                let rights = tokio::task::spawn_blocking(metrics_server_base).await??;
                kubectl.apply(&format!("{rights}\n---\n{METRICS_SERVER}")).await?;
                available("kube-system", "deployment/metrics-server").await?;
                available("", "apiservice/v1beta1.metrics.k8s.io").await
            }
        }
    }
}

/// The definitions of the standard channel, from the version that Traefik is built for.
fn gateway_definitions() -> Result<String> {
    let dir = module_dir(Module::GATEWAY_API)?.join("config/crd/standard");
    let mut definitions = Vec::new();
    for entry in fs::read_dir(&dir).with_context(|| format!("cannot read {}", dir.display()))? {
        let file = entry?.path();
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        definitions.push(text);
    }
    Ok(definitions.join("\n---\n"))
}

/// Its RBAC objects and APIService, from the Go module that it is built from.
fn metrics_server_base() -> Result<String> {
    let dir = module_dir(Module::METRICS_SERVER)?.join("manifests/base");
    let read = |name: &str| {
        let file = dir.join(name);
        fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))
    };
    Ok(format!(
        "{}\n---\n{}",
        read("rbac.yaml")?,
        read("apiservice.yaml")?
    ))
}
