//! Common mistakes of beginners: one sentence in `Available` names the field and the fact.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e_tests::{App, Cluster, eventually};
use futures::future::join_all;
use serde_json::{Map, Value, json};

/// Three times the promised 30 s.
const TIMEOUT: Duration = Duration::from_secs(90);
/// An image without a user of its own, with a shell.
const BUSYBOX: &str = "docker.io/library/busybox:1.37";

/// A mistake in a spec, and what must be reported.
struct Fault {
    /// Also the name of the app.
    name: &'static str,
    /// The difference to a correct app.
    spec: Value,
    reason: &'static str,
    words: &'static [&'static str],
}

fn fault(name: &'static str, reason: &'static str, words: &'static [&'static str], spec: Value) -> Fault {
    Fault {
        name,
        spec,
        reason,
        words,
    }
}

fn shell(script: &str) -> Value {
    json!({"image": BUSYBOX, "command": ["sh", "-c", script], "securityContext": {"runAsUser": 1000}})
}

/// The container runs, and the probes fail.
fn not_answering() -> Vec<Fault> {
    vec![
        fault(
            "port",
            "NothingListens",
            &["nothing listens on port 5001", "connection refused", "spec.port"],
            json!({"port": 5001}),
        ),
        fault(
            "port-unchecked",
            "NothingListens",
            &["nothing listens on port 5001", "connection refused", "spec.port"],
            json!({"port": 5001, "health": null}),
        ),
        fault(
            "protocol",
            "NotHTTP",
            &["port 6379", "HTTP", "spec.port"],
            json!({
                "image": "docker.io/library/redis:8", "port": 6379, "securityContext": {"runAsUser": 999},
                "command": ["redis-server", "--save", "", "--protected-mode", "no"],
            }),
        ),
        fault(
            "liveness",
            "WrongLivenessPath",
            &["/live answers 404", "correct spec.health.livenessPath"],
            json!({"health": {"livenessPath": "/live", "readinessPath": "/readyz"}}),
        ),
        fault(
            "readiness",
            "WrongReadinessPath",
            &["/ready answers 404", "correct spec.health.readinessPath"],
            json!({"health": {"livenessPath": "/healthz", "readinessPath": "/ready"}}),
        ),
    ]
}

/// The container does not run, or exits.
fn not_running() -> Vec<Fault> {
    let mut greedy = shell("tail /dev/zero");
    greedy["resources"] = json!({"requests": {"cpu": "10m"}, "limits": {"memory": "24Mi"}});
    let token = json!({"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "nowhere", "key": "token"}}});
    vec![
        fault(
            "secret",
            "MissingConfiguration",
            &["\"nowhere\" not found", "spec.env"],
            json!({"env": [token]}),
        ),
        fault(
            "config-map",
            "MissingConfiguration",
            &["\"nowhere\" not found", "spec.volumes"],
            json!({
                "volumes": [{"name": "conf", "configMap": {"name": "nowhere"}}],
                "volumeMounts": [{"name": "conf", "mountPath": "/conf"}],
            }),
        ),
        fault(
            "image",
            "ImagePullBackOff",
            &["localhost:1/nothing:1", "check spec.image"],
            json!({"image": "localhost:1/nothing:1"}),
        ),
        fault(
            "root",
            "RunsAsRoot",
            &["image will run as root", "spec.securityContext.runAsUser"],
            json!({"image": BUSYBOX, "command": ["sleep", "600"]}),
        ),
        fault(
            "memory",
            "OOMKilled",
            &["memory limit of 24Mi", "raise spec.resources.limits.memory"],
            greedy,
        ),
        fault(
            "memory-to-start",
            "OOMKilled",
            &["memory limit of 1Mi", "raise spec.resources.limits.memory"],
            json!({"resources": {"requests": {"cpu": "10m"}, "limits": {"memory": "1Mi"}}}),
        ),
        fault(
            "exit",
            "CrashLoopBackOff",
            &["exit code 3", "kubectl logs exit-", "spec.command"],
            shell("exit 3"),
        ),
        fault(
            "done",
            "CrashLoopBackOff",
            &["exit code 0, as if its work was done", "kubectl logs done-"],
            shell("true"),
        ),
        fault(
            "command",
            "CannotStart",
            &["nonsense", "executable file not found", "correct spec.command"],
            json!({"command": ["nonsense"]}),
        ),
        fault(
            "node",
            "Unschedulable",
            &["node affinity/selector", "spec.placement.nodeSelector"],
            json!({"placement": {"nodeSelector": {"nowhere": "true"}}}),
        ),
        fault(
            "room",
            "Unschedulable",
            &["Insufficient memory", "spec.resources.requests.memory"],
            json!({"resources": {"requests": {"cpu": "10m", "memory": "4Ti"}}}),
        ),
    ]
}

/// A correct app but for the fault.
fn manifest(fault: &Fault) -> String {
    let mut spec = json!({
        "image": "ghcr.io/observedapp/tasks:0.1.0", "port": 5000, "replicas": 1,
        "env": [{"name": "DATABASE_URL", "value": "sqlite::memory:"}],
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "64Mi"}},
        "health": {"livenessPath": "/healthz", "readinessPath": "/readyz"},
        "dashboards": {"enabled": false},
    });
    for (field, value) in fault.spec.as_object().into_iter().flatten() {
        spec[field] = value.clone();
    }
    // A null field is removed.
    let given = spec.as_object_mut().into_iter().flatten();
    let spec: Map<String, Value> = given
        .filter(|(_, value)| !value.is_null())
        .map(|(field, value)| (field.clone(), value.take()))
        .collect();
    json!({
        "apiVersion": "observedapp.dev/v1alpha1", "kind": "ObservedApp",
        "metadata": {"name": fault.name}, "spec": spec,
    })
    .to_string()
}

async fn is_reported(cluster: &Cluster, namespace: &str, fault: &Fault) -> Result<()> {
    let app = App::apply(cluster, namespace, &manifest(fault)).await?;
    let what = format!("{}: {} with {:?}", fault.name, fault.reason, fault.words);
    eventually(&what, TIMEOUT, async || {
        let status = app.api().get(&app.name).await?.status;
        let available = status
            .into_iter()
            .flat_map(|status| status.conditions)
            .find(|condition| condition.type_ == "Available")
            .context("it has no condition Available yet")?;
        let reported = available.status == "False"
            && available.reason == fault.reason
            && fault.words.iter().all(|word| available.message.contains(word));
        ensure!(reported, "{}: {}", available.reason, available.message);
        anyhow::Ok(())
    })
    .await
}

#[tokio::test]
async fn beginners_mistakes_are_reported_with_field_and_fact() -> Result<()> {
    let cluster = Cluster::connect().await?;
    let namespace = cluster.temp_namespace("beginner").await?;
    let full = cluster.temp_namespace("beginner-quota").await?;
    let quota = json!({
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "small"},
        "spec": {"hard": {"limits.memory": "32Mi"}},
    });
    cluster.apply(&full.name, &quota.to_string()).await?;
    let no_room = fault(
        "quota",
        "QuotaExceeded",
        &["exceeded quota: small", "correct spec.resources.limits.memory"],
        json!({}),
    );
    let faults: Vec<Fault> = not_answering().into_iter().chain(not_running()).collect();
    let mut places: Vec<(&str, &Fault)> = faults.iter().map(|one| (&*namespace.name, one)).collect();
    places.push((&full.name, &no_room));
    let reported = places
        .iter()
        .map(|(namespace, fault)| is_reported(&cluster, namespace, fault));
    let failed: Vec<String> = join_all(reported)
        .await
        .into_iter()
        .filter_map(|reported| Some(format!("{:#}", reported.err()?)))
        .collect();
    ensure!(failed.is_empty(), "{}", failed.join("\n"));
    namespace.delete().await?;
    full.delete().await
}
