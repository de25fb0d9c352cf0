//! The operator confined to two namespaces, with a given Prometheus URL, TLS and a bearer token.

use std::time::Duration;

use anyhow::{Result, ensure};
use e2e_tests::{App, Cluster, HOSTILE_PROMETHEUS, OPERATOR_NAMESPACE, SMALL, condition_reports, eventually};
use lab::{kubectl::Kubectl, product};

use crate::TURN;

/// A rollout, prometheus-operator, its config reloader and a poll of the operator, on a busy machine.
const TIMEOUT: Duration = Duration::from_mins(5);
/// The API server's proxy to Prometheus: it serves HTTPS, and admits requests by their bearer token.
const URL: &str =
    "https://kubernetes.default.svc/api/v1/namespaces/monitoring/services/prometheus-operated:9090/proxy";
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// The right of the operator's service account to use that proxy.
const PROXY_RIGHT: &str = r#"
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: prometheus-proxy}
rules:
- {apiGroups: [""], resources: [services/proxy], verbs: [get, create]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: prometheus-proxy}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: prometheus-proxy}
subjects:
- {kind: ServiceAccount, name: observedapp, namespace: observedapp-system}
"#;

#[tokio::test]
async fn a_confined_operator_queries_prometheus_by_tls_with_its_token() -> Result<()> {
    let _turn = TURN.lock().await;
    let cluster = Cluster::connect().await?;
    let kubectl = Kubectl::new(&cluster.kubeconfig).await?;
    let watched = [
        cluster.temp_namespace("confined-one").await?,
        cluster.temp_namespace("confined-two").await?,
    ];
    let other = cluster.temp_namespace("confined-other").await?;
    let namespaces = watched.each_ref().map(|namespace| namespace.name.as_str());

    cluster.apply("monitoring", PROXY_RIGHT).await?;
    let confined = async {
        let arguments = [
            format!("--set=namespaces={{{}}}", namespaces.join(",")),
            format!("--set=prometheus.url={URL}"),
            format!(
                "--set=extraArgs={{--prometheus-token-file={SERVICE_ACCOUNT}/token,--prometheus-ca-file={SERVICE_ACCOUNT}/ca.crt}}"
            ),
            "--set=monitorLabels.release=lab".to_owned(),
        ];
        product::upgrade(&kubectl, &arguments.each_ref().map(String::as_str)).await?;
        former_operator_is_gone(&cluster).await?;
        works(&cluster, &kubectl, namespaces, &other.name).await
    }
    .await;
    // Before the check: the next test needs the operator.
    product::upgrade(&kubectl, &[]).await?;
    withdraw_right(&kubectl).await?;
    confined?;

    let app = App::apply(&cluster, &other.name, SMALL).await?;
    app.condition("Ready", "True", TIMEOUT).await?;
    other.delete().await?;
    for namespace in watched {
        namespace.delete().await?;
    }
    Ok(())
}

/// Waits until no pod of the operator is terminating: the former leader could still reconcile any namespace.
async fn former_operator_is_gone(cluster: &Cluster) -> Result<()> {
    eventually("the former operator has terminated", TIMEOUT, async || {
        let pods = cluster
            .pods(OPERATOR_NAMESPACE, "app.kubernetes.io/name=observedapp")
            .await?;
        let terminating = pods
            .iter()
            .filter(|pod| pod.metadata.deletion_timestamp.is_some());
        ensure!(terminating.count() == 0, "pods are terminating");
        anyhow::Ok(())
    })
    .await
}

async fn withdraw_right(kubectl: &Kubectl) -> Result<()> {
    let objects = "role,rolebinding";
    kubectl
        .run(&[
            "delete",
            objects,
            "prometheus-proxy",
            "--namespace=monitoring",
            "--ignore-not-found",
        ])
        .await
        .map(drop)
}

/// Apps in the watched namespaces are monitored, an app in another one is ignored, and without the right that its token
/// has, the operator reports what Prometheus' endpoint responds.
async fn works(cluster: &Cluster, kubectl: &Kubectl, watched: [&str; 2], other: &str) -> Result<()> {
    let ignored = App::apply(cluster, other, SMALL).await?;
    let mut apps = Vec::new();
    for namespace in watched {
        cluster.apply(namespace, HOSTILE_PROMETHEUS).await?;
        apps.push(App::apply(cluster, namespace, SMALL).await?);
    }
    for app in &apps {
        for condition in ["Ready", "Monitored", "RulesLoaded"] {
            app.condition(condition, "True", TIMEOUT).await?;
        }
    }
    let status = ignored.api().get(&ignored.name).await?.status;
    let generation = status.and_then(|status| status.observed_generation);
    ensure!(
        generation == Some(-1),
        "it is outside of the operator's namespaces: {generation:?}"
    );

    withdraw_right(kubectl).await?;
    condition_reports(&apps[0], "RulesLoaded", "Unknown", &["403"], TIMEOUT).await
}
