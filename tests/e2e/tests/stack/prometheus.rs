//! Faults of the shared Prometheus, as each app reports them.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use e2e_tests::{App, Cluster, SMALL, condition_reports};
use kube::api::{
    ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams, PostParams,
};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use crate::{NAMESPACE, TURN};

/// A restart of Prometheus, a scrape and a poll of the operator, on a busy machine.
const TIMEOUT: Duration = Duration::from_mins(5);
const GROUP: &str = "monitoring.coreos.com";

fn api(cluster: &Cluster, kind: &str, plural: &str, namespace: Option<&str>) -> Api<DynamicObject> {
    let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(GROUP, "v1", kind), plural);
    match namespace {
        Some(namespace) => Api::namespaced_with(cluster.client.clone(), namespace, &resource),
        None => Api::all_with(cluster.client.clone(), &resource),
    }
}

fn prometheus(cluster: &Cluster) -> Api<DynamicObject> {
    api(cluster, "Prometheus", "prometheuses", Some("monitoring"))
}

/// The Prometheus of the stack, whose name differs between clusters.
async fn the_prometheus(cluster: &Cluster) -> Result<DynamicObject> {
    let mut all = prometheus(cluster).list(&ListParams::default()).await?.items;
    match (all.pop(), all.as_slice()) {
        (Some(only), []) => Ok(only),
        (last, _) => bail!(
            "`monitoring` has {} Prometheus objects instead of one",
            all.len() + usize::from(last.is_some())
        ),
    }
}

async fn set(cluster: &Cluster, spec: Value) -> Result<()> {
    let name = the_prometheus(cluster).await?.name_any();
    prometheus(cluster)
        .patch(
            &name,
            &PatchParams::default(),
            &Patch::Merge(json!({ "spec": spec })),
        )
        .await?;
    Ok(())
}

/// An object without the fields that prevent its creation.
fn recreatable(mut object: DynamicObject) -> DynamicObject {
    object.metadata = kube::api::ObjectMeta {
        name: object.metadata.name,
        namespace: object.metadata.namespace,
        labels: object.metadata.labels,
        annotations: object.metadata.annotations,
        ..Default::default()
    };
    if let Some(data) = object.data.as_object_mut() {
        data.remove("status");
    }
    object
}

/// Causes a fault of the shared stack while an app is healthy, checks the report, and repairs the stack even if the report is
/// wrong: the next test needs it.
async fn reports_fault(
    condition: &str,
    status: &str,
    words: &[&str],
    fault: impl AsyncFnOnce(&Cluster) -> Result<()>,
    repair: impl AsyncFnOnce(&Cluster) -> Result<()>,
) -> Result<()> {
    let _turn = TURN.lock().await;
    let cluster = Cluster::connect().await?;
    cluster.ensure_namespace(NAMESPACE).await?;
    let app = App::apply(&cluster, NAMESPACE, SMALL).await?;
    app.condition(condition, "True", TIMEOUT).await?;
    let reported = async {
        fault(&cluster).await.context("cause the fault")?;
        condition_reports(&app, condition, status, words, TIMEOUT).await
    }
    .await;
    repair(&cluster).await.context("repair it")?;
    reported?;
    app.condition(condition, "True", TIMEOUT).await?;
    Ok(())
}

#[tokio::test]
async fn a_prometheus_that_selects_only_its_own_namespace() -> Result<()> {
    reports_fault(
        "Monitored",
        "False",
        &["monitoring/", "own namespace", "namespace selector"],
        async |cluster| set(cluster, json!({"serviceMonitorNamespaceSelector": null})).await,
        async |cluster| set(cluster, json!({"serviceMonitorNamespaceSelector": {}})).await,
    )
    .await
}

#[tokio::test]
async fn a_prometheus_that_selects_no_monitor() -> Result<()> {
    reports_fault(
        "Monitored",
        "False",
        &["monitoring/", "selects no ServiceMonitor", "selector"],
        async |cluster| set(cluster, json!({"serviceMonitorSelector": null})).await,
        async |cluster| {
            set(
                cluster,
                json!({"serviceMonitorSelector": {"matchLabels": {"release": "lab"}}}),
            )
            .await
        },
    )
    .await
}

#[tokio::test]
async fn a_new_selector_label_is_added_to_monitors() -> Result<()> {
    let _turn = TURN.lock().await;
    let cluster = Cluster::connect().await?;
    cluster.ensure_namespace(NAMESPACE).await?;
    let app = App::apply(&cluster, NAMESPACE, SMALL).await?;
    app.condition("Monitored", "True", TIMEOUT).await?;
    let monitors = api(&cluster, "ServiceMonitor", "servicemonitors", Some(NAMESPACE));
    let has_label = async |label: &str| {
        e2e_tests::eventually(
            &format!("the monitor has the label {label}"),
            TIMEOUT,
            async || {
                let labels = monitors.get(&app.name).await?.metadata.labels.unwrap_or_default();
                anyhow::ensure!(labels.get("release").is_some_and(|it| it == label), "{labels:?}");
                anyhow::Ok(())
            },
        )
        .await
    };
    set(
        &cluster,
        json!({"serviceMonitorSelector": {"matchLabels": {"release": "other"}}}),
    )
    .await?;
    let followed = has_label("other").await;
    set(
        &cluster,
        json!({"serviceMonitorSelector": {"matchLabels": {"release": "lab"}}}),
    )
    .await?;
    followed?;
    has_label("lab").await?;
    app.condition("Monitored", "True", TIMEOUT).await?;
    Ok(())
}

#[tokio::test]
async fn a_retention_that_is_too_short() -> Result<()> {
    reports_fault(
        "HistoryKept",
        "False",
        &["kept for 1h", "30d", "retention"],
        async |cluster| set(cluster, json!({"retention": "1h"})).await,
        async |cluster| set(cluster, json!({"retention": "40d"})).await,
    )
    .await
}

#[tokio::test]
async fn a_prometheus_that_is_down() -> Result<()> {
    reports_fault(
        "RulesLoaded",
        "Unknown",
        &["check that it runs"],
        async |cluster| set(cluster, json!({"replicas": 0})).await,
        async |cluster| set(cluster, json!({"replicas": 1})).await,
    )
    .await
}

#[tokio::test]
async fn no_prometheus_at_all() -> Result<()> {
    let saved = the_prometheus(&Cluster::connect().await?).await?;
    let name = saved.name_any();
    reports_fault(
        "Monitored",
        "False",
        &["no Prometheus object was found", "--prometheus-url"],
        async |cluster| {
            prometheus(cluster)
                .delete(&name, &DeleteParams::default())
                .await?;
            Ok(())
        },
        async |cluster| {
            prometheus(cluster)
                .create(&PostParams::default(), &recreatable(saved))
                .await?;
            Ok(())
        },
    )
    .await
}

#[tokio::test]
async fn the_api_of_monitors_is_missing() -> Result<()> {
    without_crd("Monitored", "ServiceMonitor", "servicemonitors").await
}

#[tokio::test]
async fn the_api_of_rules_is_missing() -> Result<()> {
    without_crd("RulesLoaded", "PrometheusRule", "prometheusrules").await
}

/// Removes a CRD from the API server, and restores it with all its objects.
async fn without_crd(condition: &str, kind: &str, plural: &str) -> Result<()> {
    let cluster = Cluster::connect().await?;
    let definitions: Api<DynamicObject> = Api::all_with(
        cluster.client.clone(),
        &ApiResource::from_gvk_with_plural(
            &GroupVersionKind::gvk("apiextensions.k8s.io", "v1", "CustomResourceDefinition"),
            "customresourcedefinitions",
        ),
    );
    let name = format!("{plural}.{GROUP}");
    let definition = definitions.get(&name).await?;
    let objects = api(&cluster, kind, plural, None)
        .list(&ListParams::default())
        .await?
        .items;
    reports_fault(
        condition,
        "False",
        &[
            "does not serve",
            kind,
            "CustomResourceDefinitions of prometheus-operator",
        ],
        async |_| {
            definitions.delete(&name, &DeleteParams::default()).await?;
            Ok(())
        },
        async |cluster| {
            definitions
                .create(&PostParams::default(), &recreatable(definition))
                .await?;
            // The operator recreates its own objects; the others are the stack's.
            let others = objects.into_iter().filter(|object| {
                object
                    .labels()
                    .get("app.kubernetes.io/managed-by")
                    .is_none_or(|by| by != "observedapp")
            });
            for object in others {
                let namespace = object.namespace().context("no namespace")?;
                let api = api(cluster, kind, plural, Some(&namespace));
                e2e_tests::eventually(
                    &format!("the {kind} {} is restored", object.name_any()),
                    TIMEOUT,
                    async || match api
                        .create(&PostParams::default(), &recreatable(object.clone()))
                        .await
                    {
                        Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
                        created => created.map(drop),
                    },
                )
                .await?;
            }
            Ok(())
        },
    )
    .await
}
