//! Installs the operator by its chart, and the sample app.

use std::{
    fs,
    sync::{Arc, OnceLock},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::{
    command,
    containerd::Containerd,
    helm,
    images::{self, OwnImage},
    kubectl::Kubectl,
    node::Node,
    paths,
    steps::Steps,
    wait,
};

/// The namespace of the operator.
const NAMESPACE: &str = "observedapp-system";
const RELEASE: &str = "observedapp";
/// The namespace of the sample app.
pub const SAMPLE_NAMESPACE: &str = "default";
/// The name of the sample app, and of its Service.
pub const SAMPLE: &str = "tasks";

const TIMEOUT: Duration = Duration::from_mins(6);
const LEAVE_OUT: &str = "`cargo lab up --no-product` leaves out what failed";

/// Which of the project's images have changed.
#[derive(Debug, Default, Clone, Copy)]
pub struct Changed {
    operator: bool,
    tasks: bool,
}

/// Adds the steps that install the operator and the sample app. They start in parallel with the stack, so that its
/// first configuration includes their monitors and rules.
pub fn add_steps(steps: &mut Steps, node: &Arc<Node>) {
    let changed = Arc::new(OnceLock::new());
    let images = Arc::clone(&changed);
    steps.add("project's images", &["containerd"], async move {
        let changed = load_images().await.context(LEAVE_OUT)?;
        images.get_or_init(|| changed);
        Ok(())
    });
    let changed = move || changed.get().copied().unwrap_or_default();
    let (operators_node, operator_changed) = (Arc::clone(node), changed.clone());
    let needs = &[
        "project's images",
        "node",
        "kube-proxy",
        "network policies",
        "Prometheus' definitions",
    ];
    steps.add("operator", needs, async move {
        install(&operators_node.kubectl().await?, operator_changed(), &[])
            .await
            .context(LEAVE_OUT)
    });
    let node = Arc::clone(node);
    let needs = &["operator", "DNS", "volumes", "Prometheus"];
    steps.add("sample app", needs, async move {
        sample(&node.kubectl().await?, changed()).await.context(LEAVE_OUT)
    });
}

/// Compiles the project's programs, builds its images, and imports them into the embedded node.
async fn load_images() -> Result<Changed> {
    tokio::task::spawn_blocking(|| {
        let load = |image| images::import(&Containerd::socket(), &images::build_own(image)?);
        let changed = Changed {
            operator: load(&OwnImage::OPERATOR)?,
            tasks: load(&OwnImage::TASKS)?,
        };
        load(&OwnImage::TASKS_LOAD)?;
        Ok(changed)
    })
    .await?
}

/// Installs or upgrades the operator's chart with `more` arguments of Helm, and waits until it runs.
pub async fn install(kubectl: &Kubectl, changed: Changed, more: &[&str]) -> Result<()> {
    let ran_before = kubectl
        .run(&["get", "deployment", RELEASE, "--namespace", NAMESPACE])
        .await
        .is_ok();
    upgrade(kubectl, more).await?;
    if changed.operator && ran_before {
        restart(kubectl, NAMESPACE, "deployment/observedapp").await?;
        rolled_out(kubectl).await?;
    }
    Ok(())
}

/// `helm upgrade --install` of the operator with `more` arguments; waits until it runs.
pub async fn upgrade(kubectl: &Kubectl, more: &[&str]) -> Result<()> {
    let chart = paths::workspace_dir().join("charts/observedapp");
    let mut helm = helm::upgrade(kubectl, RELEASE, &chart, NAMESPACE).await?;
    helm.args(["--set", "prober.url=blackbox.monitoring.svc:9115"])
        .args([
            "--set",
            "serviceMonitor.labels.release=lab,prometheusRule.labels.release=lab",
        ])
        // Explicit, so that tests can change the selector.
        .args(["--set", "prometheus.namespaces={monitoring}"])
        .args(more);
    command::output(&mut helm).await?;
    rolled_out(kubectl).await
}

async fn rolled_out(kubectl: &Kubectl) -> Result<()> {
    kubectl
        .run(&[
            "rollout",
            "status",
            "--namespace",
            NAMESPACE,
            "deployment/observedapp",
            "--timeout=3m",
        ])
        .await
        .map(drop)
}

/// Uninstalls the operator; apps, their data and the CRD are kept.
pub async fn uninstall(kubectl: &Kubectl) -> Result<()> {
    command::output(&mut helm::uninstall(kubectl, RELEASE, NAMESPACE).await?)
        .await
        .map(drop)
}

/// Deletes the sample app; its data is retained.
pub async fn delete_sample(kubectl: &Kubectl) -> Result<()> {
    let app = [
        "delete",
        "observedapp",
        SAMPLE,
        "--namespace",
        SAMPLE_NAMESPACE,
        "--ignore-not-found",
    ];
    kubectl.run(&app).await.map(drop)
}

/// During development, an image changes under the same tag, so its pods are restarted.
async fn restart(kubectl: &Kubectl, namespace: &str, object: &str) -> Result<()> {
    kubectl
        .run(&["rollout", "restart", "--namespace", namespace, object])
        .await
        .map(drop)
}

/// Applies the sample app and waits until all its conditions are True.
pub async fn sample(kubectl: &Kubectl, changed: Changed) -> Result<()> {
    let file = paths::workspace_dir().join("manifests/samples/tasks.yaml");
    let manifest = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let existed = get_sample(kubectl).await.is_ok();
    kubectl.apply(&manifest).await?;
    if changed.tasks && existed {
        restart(kubectl, SAMPLE_NAMESPACE, &format!("deployment/{SAMPLE}")).await?;
    }
    wait::eventually("the sample app", TIMEOUT, || async {
        let untrue = untrue(&get_sample(kubectl).await?);
        ensure!(untrue.is_empty(), "{}", untrue.join("; "));
        Ok(())
    })
    .await
    .context("see `kubectl describe oapp tasks`")
}

/// The sample app's address on this machine, once it responds.
pub async fn sample_url(kubectl: &Kubectl) -> Result<String> {
    kubectl
        .answers(SAMPLE_NAMESPACE, &format!("{SAMPLE}:http"), "/tasks", TIMEOUT)
        .await
        .context("the sample app does not respond; see `kubectl describe oapp tasks`")?;
    sample_address(kubectl).await
}

/// The sample app's address on this machine; an error if there is no sample app.
pub async fn sample_address(kubectl: &Kubectl) -> Result<String> {
    let address = kubectl
        .run(&[
            "get",
            "service",
            SAMPLE,
            "--namespace",
            SAMPLE_NAMESPACE,
            "--output=jsonpath={.spec.clusterIP}:{.spec.ports[0].port}",
        ])
        .await?;
    Ok(format!("http://{}/tasks", address.trim()))
}

async fn get_sample(kubectl: &Kubectl) -> Result<Value> {
    let json = kubectl
        .run(&[
            "get",
            "observedapp",
            SAMPLE,
            "--namespace",
            SAMPLE_NAMESPACE,
            "--output=json",
        ])
        .await?;
    Ok(serde_json::from_str(&json)?)
}

/// The conditions of the current generation that are not True, in words.
fn untrue(app: &Value) -> Vec<String> {
    let text = |condition: &Value, key: &str| condition[key].as_str().unwrap_or_default().to_owned();
    let generation = &app["metadata"]["generation"];
    match app["status"]["conditions"].as_array() {
        Some(conditions) if !conditions.is_empty() => conditions
            .iter()
            .filter(|condition| {
                condition["status"] != "True" || condition["observedGeneration"] != *generation
            })
            .map(|condition| {
                let [kind, status, message] = ["type", "status", "message"].map(|key| text(condition, key));
                format!("{kind} is {status}: {message}")
            })
            .collect(),
        _ => vec!["it has no conditions of this generation yet".to_owned()],
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_app_is_done_when_every_condition_of_its_newest_spec_is_true() {
        let app = |status, observed| {
            json!({
                "metadata": {"generation": 2},
                "status": {"conditions": [
                    {"type": "Ready", "status": "True", "observedGeneration": 2},
                    {"type": "Monitored", "status": status, "observedGeneration": observed, "message": "no target"},
                ]},
            })
        };
        assert!(untrue(&app("True", 2)).is_empty());
        assert_eq!(untrue(&app("Unknown", 2)), ["Monitored is Unknown: no target"]);
        assert_eq!(untrue(&app("True", 1)).len(), 1);
        assert_eq!(untrue(&json!({"metadata": {"generation": 1}})).len(), 1);
    }
}
