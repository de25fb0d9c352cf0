//! The pinned kubectl, for the lab's cluster only.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Result;
use lab_tools::Tool;
use tokio::process::Command;

use crate::{command, paths, programs::program, wait};

#[derive(Debug, Clone)]
pub struct Kubectl {
    binary: PathBuf,
    kubeconfig: PathBuf,
}

impl Kubectl {
    pub async fn new(kubeconfig: &Path) -> Result<Self> {
        Ok(Self {
            binary: program(Tool::Kubectl).await?,
            kubeconfig: kubeconfig.to_path_buf(),
        })
    }

    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// kubectl with these arguments.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command
            .arg(format!("--kubeconfig={}", self.kubeconfig.display()))
            // By default, kubectl writes to ~/.kube.
            .arg(format!(
                "--cache-dir={}",
                paths::state_dir().join("kubectl-cache").display()
            ))
            .args(args);
        command
    }

    pub async fn run(&self, args: &[&str]) -> Result<String> {
        command::output(&mut self.command(args)).await
    }

    /// Applies a manifest as the field manager `lab`.
    pub async fn apply(&self, manifest: &str) -> Result<()> {
        let mut apply = self.command(&[
            "apply",
            "--server-side",
            "--force-conflicts",
            "--field-manager=lab",
            "-f",
            "-",
        ]);
        command::output_with_input(&mut apply, manifest).await.map(drop)
    }

    /// Waits until this path of a Service responds: pod conditions may be stale after a restart.
    pub async fn answers(&self, namespace: &str, service: &str, path: &str, limit: Duration) -> Result<()> {
        let raw = format!("/api/v1/namespaces/{namespace}/services/{service}/proxy{path}");
        wait::eventually(&format!("a response of {service}"), limit, || async {
            self.run(&["get", "--raw", &raw]).await.map(drop)
        })
        .await
    }

    /// Waits for a condition of an object; an error has the warnings of its namespace.
    pub async fn wait(&self, namespace: &str, object: &str, condition: &str, limit: Duration) -> Result<()> {
        let waited = self
            .run(&[
                "wait",
                "--namespace",
                namespace,
                object,
                &format!("--for={condition}"),
                &format!("--timeout={}s", limit.as_secs()),
            ])
            .await;
        match waited {
            Ok(_) => Ok(()),
            Err(error) => {
                let pods = self
                    .run(&["get", "pods", "--namespace", namespace])
                    .await
                    .unwrap_or_default();
                let events = self
                    .run(&[
                        "events",
                        "--namespace",
                        namespace,
                        "--types=Warning",
                        "--no-headers",
                    ])
                    .await
                    .unwrap_or_default();
                let last: Vec<&str> = events.lines().rev().take(5).collect();
                Err(error.context(format!("{pods}{}", last.join("\n"))))
            }
        }
    }
}
