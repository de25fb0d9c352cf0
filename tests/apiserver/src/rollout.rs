//! A Deployment's pods, where no kubelet runs any: they answer as soon as they exist, or never.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use axum::extract::{Form, State};
use axum::routing::any;
use axum::{Json, Router};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use tokio_util::task::AbortOnDropHandle;

use crate::{TestNamespace, pod};

/// How many requests a pod answers each second.
const RATE: f64 = 50.0;
/// The image whose pods fail half of their requests.
pub const FAILING: &str = "tasks:failing";
/// The image whose pods never answer.
pub const BROKEN: &str = "tasks:broken";

/// Has pods follow the Deployment of one app as Kubernetes does, until the handle is dropped.
pub fn follow(ns: &TestNamespace, app: &'static str) -> AbortOnDropHandle<()> {
    let ns = ns.clone();
    AbortOnDropHandle::new(tokio::spawn(async move {
        let mut ticks = tokio::time::interval(Duration::from_millis(300));
        loop {
            ticks.tick().await;
            // The app may not exist yet, or be changed meanwhile.
            let _ = step(&ns, app).await;
        }
    }))
}

async fn step(ns: &TestNamespace, app: &str) -> Result<()> {
    let deployments: Api<Deployment> = Api::namespaced(ns.client.clone(), &ns.name);
    let deployment = deployments.get(app).await?;
    let generation = deployment.metadata.generation;
    let spec = deployment.spec.context("no spec")?;
    let template = spec.template.spec.context("no pods")?;
    let labels = spec
        .template
        .metadata
        .unwrap_or_default()
        .labels
        .unwrap_or_default();
    let image = template.containers[0].image.clone().unwrap_or_default();
    let release = labels.get("observedapp.dev/release").cloned().unwrap_or_default();
    let wanted = usize::try_from(spec.replicas.unwrap_or(1))?;
    let is_trial = spec.min_ready_seconds.unwrap_or_default() > 0;

    let pods = pods(ns, app).await?;
    let set = format!("{app}-release{release}");
    let (new, old): (Vec<Pod>, Vec<Pod>) = pods.into_iter().partition(|pod| pod.name_any().starts_with(&set));
    let answers = image != BROKEN;
    let new_wanted = if is_trial || (!answers && !old.is_empty()) {
        1
    } else {
        wanted
    };
    for number in new.len()..new_wanted {
        create(ns, app, &format!("{set}-{number:05}"), &labels, &image, answers).await?;
    }
    let surplus = new.iter().skip(new_wanted);
    let replaced = old.iter().filter(|_| !is_trial && answers && new.len() >= wanted);
    for pod in surplus.chain(replaced) {
        api(ns)
            .delete(&pod.name_any(), &DeleteParams::default().grace_period(0))
            .await?;
    }
    let count = if is_trial { wanted + 1 } else { wanted };
    let status = json!({"status": {
        "observedGeneration": generation, "replicas": count, "readyReplicas": wanted, "availableReplicas": wanted,
        "updatedReplicas": new_wanted,
    }});
    deployments
        .patch_status(app, &PatchParams::default(), &Patch::Merge(status))
        .await?;
    Ok(())
}

fn api(ns: &TestNamespace) -> Api<Pod> {
    Api::namespaced(ns.client.clone(), &ns.name)
}

async fn pods(ns: &TestNamespace, app: &str) -> Result<Vec<Pod>> {
    let of_app = ListParams::default().labels(&format!("app.kubernetes.io/instance={app}"));
    Ok(api(ns).list(&of_app).await?.items)
}

async fn create(
    ns: &TestNamespace,
    app: &str,
    name: &str,
    labels: &BTreeMap<String, String>,
    image: &str,
    answers: bool,
) -> Result<()> {
    let mut pod = pod(app, name);
    pod.metadata.labels = Some(labels.clone());
    if let Some(spec) = &mut pod.spec {
        spec.containers[0].image = Some(image.to_owned());
    }
    api(ns).create(&PostParams::default(), &pod).await?;
    let ready = if answers { "True" } else { "False" };
    let status = json!({"status": {
        "phase": "Running",
        "conditions": [{"type": "Ready", "status": ready}],
        "containerStatuses": [{
            "name": app, "image": image, "imageID": "", "ready": answers, "started": answers, "restartCount": 0,
            "state": {"running": {"startedAt": null}},
        }],
    }});
    api(ns)
        .patch_status(name, &PatchParams::default(), &Patch::Merge(status))
        .await?;
    Ok(())
}

/// A Prometheus that knows the requests of such pods, and nothing else; returns its URL.
pub async fn counting_prometheus(ns: &TestNamespace) -> Result<(String, AbortOnDropHandle<()>)> {
    let router = Router::new()
        .route("/api/v1/query_range", any(range))
        .fallback(any(async || {
            Json(json!({"status": "success", "data": {"result": []}}))
        }))
        .with_state(ns.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let server = tokio::spawn(async move {
        let _ = axum::serve(listener, router).await;
    });
    Ok((url, AbortOnDropHandle::new(server)))
}

async fn range(State(ns): State<TestNamespace>, Form(asked): Form<BTreeMap<String, String>>) -> Json<Value> {
    let number = |name: &str| {
        asked
            .get(name)
            .and_then(|text| text.parse::<i64>().ok())
            .unwrap_or(1)
    };
    let (start, end, step) = (number("start"), number("end"), number("step"));
    let mut result = Vec::new();
    for pod in pods(&ns, "tasks").await.unwrap_or_default() {
        let created = pod.creation_timestamp().map_or(end, |at| at.0.as_second());
        let image = pod
            .spec
            .as_ref()
            .and_then(|spec| spec.containers[0].image.clone());
        let fails = image.as_deref() == Some(FAILING);
        for (counted, share) in [("events", 1.0), ("errors", if fails { 0.5 } else { 0.0 })] {
            let moments = (start..=end).step_by(usize::try_from(step).unwrap_or(1));
            let moments = moments.filter(|at| *at >= created);
            let values: Vec<Value> = moments
                .map(|at| json!([at, ((at - created) as f64 * RATE * share).floor().to_string()]))
                .collect();
            result.push(json!({
                "metric": {"slo": "availability", "counted": counted, "pod": pod.name_any()},
                "values": values,
            }));
        }
    }
    Json(json!({"status": "success", "data": {"result": result}}))
}
