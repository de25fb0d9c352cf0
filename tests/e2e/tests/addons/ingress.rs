//! Requests from outside the cluster, by host name: through the Ingress, and through a Gateway.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e_tests::{App, Cluster, SMALL, condition_reports, eventually};
use kube::Api;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind};
use lab::addons::INGRESS_PORT;
use observedapp_api::SloState;
use serde_json::json;

use crate::{TIMEOUT, ask};

/// A new Probe, prometheus-operator, a reload, the rules and a poll of the operator, on a busy machine.
const PROBED: Duration = Duration::from_mins(5);

#[tokio::test]
async fn tasks_are_added_and_read_through_the_ingress() -> Result<()> {
    let cluster = Cluster::connect().await?;
    let namespace = cluster.temp_namespace("ingress").await?;
    let app = App::apply(&cluster, &namespace.name, SMALL).await?;
    let host = format!("{}.example.com", namespace.name);
    app.patch(json!({"ingress": {"host": host}})).await?;
    app.condition("Ready", "True", TIMEOUT).await?;

    adds_and_reads_a_task(&cluster, &host, "the Ingress routes to the app").await?;
    // Another host gets no response of the app.
    let reply = ask(&cluster, INGRESS_PORT, "other.example.com", "GET", "/tasks", "").await?;
    ensure!(reply.status == 404, "{reply:?}");

    let url = app
        .api()
        .get(&app.name)
        .await?
        .status
        .and_then(|status| status.url);
    ensure!(url.as_deref() == Some(&*format!("http://{host}/")), "{url:?}");
    namespace.delete().await
}

/// The name of Traefik's Service, under which the prober, a pod, reaches the Gateway.
const INSIDE: &str = "traefik.ingress.svc";

#[tokio::test]
async fn an_app_is_served_and_probed_through_a_gateway() -> Result<()> {
    let cluster = Cluster::connect().await?;
    let namespace = cluster.temp_namespace("ingress-gateway").await?;
    let app = App::apply(&cluster, &namespace.name, SMALL).await?;
    let host = format!("{}.example.com", namespace.name);
    let gateway = |name: &str| {
        json!({"gateway": {
            "parentRefs": [{"name": name, "namespace": "ingress", "sectionName": "web"}], "hostnames": [INSIDE, host],
        }})
    };
    app.patch(gateway("missing")).await?;
    condition_reports(
        &app,
        "Exposed",
        "False",
        &["Gateway ingress/missing", "does not exist"],
        TIMEOUT,
    )
    .await?;

    app.patch(gateway("public")).await?;
    app.condition("Exposed", "True", TIMEOUT).await?;
    app.condition("Ready", "True", TIMEOUT).await?;
    adds_and_reads_a_task(&cluster, &host, "the Gateway routes to the app").await?;

    // Only now: what a probe fails before the Gateway knows the route counts against the objective.
    app.patch(json!({
        "probe": {"path": "/tasks"},
        "slos": [{"name": "reachable", "objective": 99, "indicator": {"probe": {}}}],
    }))
    .await?;
    eventually("every probe through the Gateway succeeds", PROBED, async || {
        let status = app.api().get(&app.name).await?.status.context("no status")?;
        ensure!(
            status.url.as_deref() == Some(&*format!("http://{INSIDE}/")),
            "{status:?}"
        );
        let slo = status.slos.iter().find(|slo| slo.name == "reachable");
        let state = slo.map(|slo| (slo.state, slo.sli.clone()));
        ensure!(
            state.as_ref().is_some_and(|(state, _)| *state == SloState::Met),
            "{state:?}"
        );
        anyhow::Ok(())
    })
    .await?;
    let gvk = GroupVersionKind::gvk("monitoring.coreos.com", "v1", "Probe");
    let resource = ApiResource::from_gvk_with_plural(&gvk, "probes");
    let probes: Api<DynamicObject> = Api::namespaced_with(cluster.client.clone(), &namespace.name, &resource);
    let probe = probes.get(&app.name).await?;
    let urls = &probe.data["spec"]["targets"]["staticConfig"]["static"];
    ensure!(*urls == json!([format!("http://{INSIDE}/tasks")]), "{urls}");
    namespace.delete().await
}

async fn adds_and_reads_a_task(cluster: &Cluster, host: &str, what: &str) -> Result<()> {
    let task = r#"{"task":"Walk the dog"}"#;
    eventually(what, TIMEOUT, async || {
        let reply = ask(cluster, INGRESS_PORT, host, "POST", "/tasks", task).await?;
        ensure!(reply.status == 201, "{reply:?}");
        anyhow::Ok(())
    })
    .await?;
    let reply = ask(cluster, INGRESS_PORT, host, "GET", "/tasks", "").await?;
    ensure!(reply.body.contains("Walk the dog"), "{reply:?}");
    Ok(())
}
