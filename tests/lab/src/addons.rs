//! What the node runs only when it is asked for: `cargo lab up --with ingress,logs,autoscaling`.

use std::{fs, net::IpAddr, path::Path, time::Duration};

use anyhow::{Context, Result};
use clap::ValueEnum;
use lab_tools::{Module, module_dir};

use crate::{
    images::{self, Image},
    kubectl::Kubectl,
};

const TRAEFIK: &str = include_str!("../manifests/traefik.yaml");
const LOGS: &str = include_str!("../manifests/logs.yaml");
const METRICS_SERVER: &str = include_str!("../manifests/metrics-server.yaml");

/// Where the node answers for Ingresses.
pub const INGRESS_PORT: u16 = 30080;
/// Where the node answers for Loki.
pub const LOKI_PORT: u16 = 30100;

const TIMEOUT: Duration = Duration::from_mins(5);

/// One thing beyond the base that a lab can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum AddOn {
    /// An ingress controller (Traefik), the default IngressClass
    Ingress,
    /// Loki, and a shipper that sends it every pod's log
    Logs,
    /// metrics-server: `kubectl top`, and figures for autoscaling
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

    /// What to say to the user once it is there.
    pub fn how_to_reach(self, node_ip: IpAddr) -> String {
        match self {
            Self::Ingress => {
                format!("Ingresses of class `traefik`, or of none, answer at http://{node_ip}:{INGRESS_PORT}")
            }
            Self::Logs => format!("Loki has every pod's log: http://{node_ip}:{LOKI_PORT}"),
            Self::Autoscaling => "`kubectl top pods --all-namespaces` knows what is used".to_owned(),
        }
    }

    /// The images it is made of; their programs are built when these are.
    pub fn images(self) -> &'static [Image] {
        match self {
            Self::Ingress => &[images::TRAEFIK],
            Self::Logs => &[images::LOKI, images::OTELCOL],
            Self::Autoscaling => &[images::METRICS_SERVER],
        }
    }

    /// Brings it about on a node that has its images, and waits until it answers.
    pub async fn install(self, kubectl: &Kubectl, node_ip: IpAddr, pod_logs: &Path) -> Result<()> {
        let available = |namespace, object| kubectl.wait(namespace, object, "condition=Available", TIMEOUT);
        match self {
            Self::Ingress => {
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

/// Its rights, and the API that it adds, from the very module that it is built of.
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
