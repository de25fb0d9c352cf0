//! The pinned Helm, with its folders in the lab's.

use std::path::Path;

use anyhow::Result;
use lab_tools::Tool;
use tokio::process::Command;

use crate::{kubectl::Kubectl, paths, programs::program};

/// `helm upgrade --install` of a release, to which more arguments can be added.
pub async fn upgrade(kubectl: &Kubectl, release: &str, chart: &Path, namespace: &str) -> Result<Command> {
    let mut helm = helm(kubectl, namespace).await?;
    helm.args(["upgrade", "--install", "--create-namespace", release])
        .arg(chart);
    Ok(helm)
}

/// `helm uninstall` of a release, which may be missing.
pub async fn uninstall(kubectl: &Kubectl, release: &str, namespace: &str) -> Result<Command> {
    let mut helm = helm(kubectl, namespace).await?;
    helm.args(["uninstall", "--ignore-not-found", "--wait", release]);
    Ok(helm)
}

async fn helm(kubectl: &Kubectl, namespace: &str) -> Result<Command> {
    let mut helm = Command::new(program(Tool::Helm).await?);
    // By default, Helm writes to several folders of the user's.
    for (variable, folder) in [
        ("HELM_CACHE_HOME", "cache"),
        ("HELM_CONFIG_HOME", "config"),
        ("HELM_DATA_HOME", "data"),
    ] {
        helm.env(variable, paths::state_dir().join("helm").join(folder));
    }
    helm.arg("--kubeconfig")
        .arg(kubectl.kubeconfig())
        .args(["--namespace", namespace]);
    Ok(helm)
}
