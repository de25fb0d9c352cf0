//! `cargo lab load`: many users of the sample app, as a Job on its cluster.

use std::time::Duration;

use anyhow::{Result, bail};
use serde_json::json;

use crate::{
    images::OwnImage,
    kubectl::Kubectl,
    product::{SAMPLE, SAMPLE_NAMESPACE},
    wait::{self, Look},
};

const JOB: &str = "tasks-load";

/// How much load.
#[derive(Debug, Clone, clap::Args)]
pub struct Load {
    /// Users at once
    #[arg(long, default_value_t = 1000)]
    users: u32,
    /// Users that come each second
    #[arg(long, default_value_t = 50)]
    spawn_rate: u32,
    /// How long, counted from when all users are there: 30s, 5m, 1h
    #[arg(long, default_value = "1m")]
    duration: String,
}

/// Runs the load and shows how it goes; fails when requests did.
pub async fn run(kubectl: &Kubectl, load: &Load) -> Result<()> {
    // One that is there already is of an earlier run, and a Job cannot be changed.
    kubectl
        .run(&[
            "delete",
            "job",
            JOB,
            "--namespace",
            SAMPLE_NAMESPACE,
            "--ignore-not-found",
            "--wait",
        ])
        .await?;
    kubectl.apply(&job(load).to_string()).await?;
    let pod = format!("job/{JOB}");
    wait::until("the load's pod", Duration::from_mins(2), || async {
        let phase = [
            "get",
            "pods",
            "--namespace",
            SAMPLE_NAMESPACE,
            "--selector=job-name=tasks-load",
            "--output=jsonpath={.items[*].status.phase}",
        ];
        Ok(match kubectl.run(&phase).await?.as_str() {
            "" | "Pending" => {
                Look::NotYet("it is not running yet; see `kubectl describe job tasks-load`".to_owned())
            }
            _ => Look::Met,
        })
    })
    .await?;
    let status = kubectl
        .command(&["logs", "--namespace", SAMPLE_NAMESPACE, "--follow", &pod])
        .status()
        .await?;
    if !status.success() {
        bail!("the load's log could not be followed; see `kubectl logs job/{JOB}`");
    }
    kubectl
        .run(&[
            "wait",
            "--namespace",
            SAMPLE_NAMESPACE,
            &pod,
            "--for=jsonpath={.status.conditions[*].status}=True",
            "--timeout=1m",
        ])
        .await?;
    let succeeded = [
        "get",
        "--namespace",
        SAMPLE_NAMESPACE,
        &pod,
        "--output=jsonpath={.status.succeeded}",
    ];
    if kubectl.run(&succeeded).await? == "1" {
        Ok(())
    } else {
        bail!("requests failed; the report is above")
    }
}

fn job(load: &Load) -> serde_json::Value {
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": JOB, "namespace": SAMPLE_NAMESPACE},
        "spec": {
            "backoffLimit": 0,
            "template": {"spec": {
                "restartPolicy": "Never",
                "automountServiceAccountToken": false,
                "securityContext": {"runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
                "containers": [{
                    "name": "load",
                    "image": OwnImage::TASKS_LOAD.reference,
                    "args": [
                        format!("--host=http://{SAMPLE}"),
                        format!("--users={}", load.users),
                        format!("--spawn-rate={}", load.spawn_rate),
                        format!("--duration={}", load.duration),
                    ],
                    "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "512Mi"}},
                    "securityContext": {
                        "allowPrivilegeEscalation": false,
                        "readOnlyRootFilesystem": true,
                        "capabilities": {"drop": ["ALL"]},
                    },
                }],
            }},
        },
    })
}
