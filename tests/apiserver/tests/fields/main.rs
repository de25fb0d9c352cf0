//! Every field of the schema is set, changed, changed back and removed. The objects follow, and the last state equals
//! the first. The fields come from the schema, so that new ones are tested without being listed here.
#![allow(clippy::unwrap_used)]

mod generate;
mod values;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result, anyhow, bail, ensure};
use apiserver_tests::{
    Proxy, RunningOperator, TestNamespace, block_on, condition, difference, eventually, install,
    install_gateway_api, objects_of, options, rights, schemaless_as, set_ready,
};
use futures::future::try_join_all;
use generate::{Judge, Trial};
use kube::ResourceExt;
use kube::api::{Api, DynamicObject, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use observedapp_desired::Kind;
use serde_json::{Value, json};
use tokio::runtime::Handle;

const TRIED: &str = "it shapes objects only while a release is tried: releases.rs";

/// Fields that change no object, each with its reason.
const EXCEPT: &[(&str, &str)] = &[
    ("paused", "it changes no object: faults/paused_and_terminating.rs"),
    ("slos[].indicator.probe", "it has no value"),
    ("rollout.guard.bakeTime", TRIED),
    ("rollout.guard.minRequests", TRIED),
    ("rollout.guard.withoutTraffic", TRIED),
    ("rollout.guard.watchTime", TRIED),
    ("rollout.guard.holdWhenBudgetBelow", TRIED),
];

/// How a field of a volume may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Promise {
    /// It is immutable.
    Stays,
    /// It can only grow; that the volume grows, too, is tested in faults/database.rs.
    Grows,
    /// It can be lowered, and the claim keeps its size: faults/database.rs.
    TakenBack,
}

/// Fields whose change is refused by the API server or has no immediate effect.
const HELD: &[(&str, Promise)] = &[
    ("database.builtin.storage.className", Promise::Stays),
    ("database.cloudNativePG.storage.className", Promise::Stays),
    ("database.builtin.storage.size", Promise::TakenBack),
    ("database.cloudNativePG.storage.size", Promise::Grows),
];

/// Suffixes of fields of which Kubernetes accepts only one value, or none.
const ONLY_ONE: &[(&str, &str)] = &[
    (".fieldRef.apiVersion", "there is only v1"),
    (".matchFields[].key", "there is only metadata.name"),
    (
        ".dataSourceRef.namespace",
        "it needs an alpha feature of Kubernetes",
    ),
];

const WORKERS: usize = 8;

fn is_excepted(field: &str) -> bool {
    EXCEPT.iter().any(|(except, _)| *except == field) || ONLY_ONE.iter().any(|(end, _)| field.ends_with(end))
}

#[test]
fn every_field_can_be_set_changed_changed_back_and_removed() -> Result<()> {
    block_on(async {
        let ns = TestNamespace::new("draw").await?;
        let (_proxy, _operator) = cluster_wide(&ns).await?;
        let judge = Arc::new(Judge::new(ns)?);
        let fields = generate::fields();
        ensure!(fields.len() > 250, "too few fields: {fields:#?}");
        let fields = fields.into_iter().filter(|field| !is_excepted(field));
        // A node port is unique in the cluster: no two apps may claim one at the same time.
        let (in_turn, side_by_side): (Vec<_>, Vec<_>) =
            fields.partition(|field| field.starts_with("service."));
        let jobs = side_by_side.into_iter().map(|field| vec![field]);
        let jobs: Vec<Vec<String>> = jobs.chain([in_turn]).collect();
        let tried = jobs.iter().map(Vec::len).sum::<usize>();
        let jobs = Arc::new(Mutex::new(jobs));
        // Generating is CPU-bound: each worker has a thread.
        let lanes = (0..WORKERS).map(|_| {
            let (judge, jobs, runtime) = (Arc::clone(&judge), Arc::clone(&jobs), Handle::current());
            tokio::task::spawn_blocking(move || runtime.block_on(worker(&judge, &jobs)))
        });
        let mut failures = Vec::new();
        for lane in try_join_all(lanes).await? {
            failures.extend(lane?);
        }
        println!("{tried} fields were tested");
        ensure!(failures.is_empty(), "{}", failures.join("\n"));
        Ok(())
    })
}

/// One operator, in a cluster with a Prometheus and all optional APIs.
async fn cluster_wide(ns: &TestNamespace) -> Result<(Proxy, RunningOperator)> {
    let client = &ns.client;
    for &kind in Kind::ALL.iter().filter(|kind| kind.is_optional()) {
        install(client, &serde_json::from_value(golden_tests::crd(kind)?)?).await?;
    }
    install_gateway_api(client).await?;
    let gvk = GroupVersionKind::gvk("monitoring.coreos.com", "v1", "Prometheus");
    install(client, &schemaless_as(&gvk, "prometheuses")?).await?;
    let resource = ApiResource::from_gvk_with_plural(&gvk, "prometheuses");
    let prometheus: DynamicObject = serde_json::from_value(json!({
        "apiVersion": "monitoring.coreos.com/v1", "kind": "Prometheus", "metadata": {"name": "prometheus"},
        "spec": {"serviceMonitorSelector": {}, "probeSelector": {}, "ruleSelector": {}},
    }))?;
    Api::<DynamicObject>::namespaced_with(client.clone(), &ns.name, &resource)
        .create(&PostParams::default(), &prometheus)
        .await?;
    rights::grant_cluster_wide(client).await?;
    let proxy = Proxy::start_as(client.clone(), &rights::operator_in(rights::SYSTEM)).await?;
    let trusted = format!("--prometheus-namespaces={}", ns.name);
    let arguments = [
        trusted.as_str(),
        "--prober-url=blackbox-exporter.probing:9115",
        "--grafana-url=https://grafana.example.com",
    ];
    let operator = RunningOperator::start(options(&arguments), proxy.config());
    Ok((proxy, operator))
}

/// Tests fields until none is left; returns the failures.
async fn worker(judge: &Judge, jobs: &Mutex<Vec<Vec<String>>>) -> Result<Vec<String>> {
    let ns = TestNamespace::new("lane").await?;
    let mut failures = Vec::new();
    let mut number = 0;
    loop {
        let job = jobs.lock().unwrap().pop();
        let Some(fields) = job else { return Ok(failures) };
        for field in fields {
            number += 1;
            let tried = match judge.draw(&field).await {
                Ok(trial) => attempt(&ns, &format!("field-{number}"), &trial).await,
                Err(why) => Err(anyhow!(why)),
            };
            if let Err(error) = tried {
                println!("{field}: {error:#}");
                failures.push(format!("{field}: {error:#}"));
            }
        }
    }
}

async fn attempt(ns: &TestNamespace, app: &str, trial: &Trial) -> Result<()> {
    if let Some((_, promise)) = HELD.iter().find(|(field, _)| *field == trial.field) {
        return hold(ns, app, trial, *promise).await;
    }
    let without = match &trial.without {
        Some(spec) => {
            set(ns, app, spec).await.context("without it")?;
            Some((spec, objects_of(ns, app).await?))
        }
        None => None,
    };
    set(ns, app, &trial.first).await.context("set")?;
    let first = objects_of(ns, app).await?;
    set(ns, app, &trial.other).await.context("changed")?;
    let other = objects_of(ns, app).await?;
    ensure!(first != other, "no object followed its change");
    set(ns, app, &trial.first).await.context("changed back")?;
    comes_to(ns, app, &first).await.context("changed back")?;
    if let Some((spec, before)) = without {
        set(ns, app, spec).await.context("removed")?;
        comes_to(ns, app, &before).await.context("removed")?;
    }
    ns.delete(app).await?;
    let with_service = trial.field.starts_with("service.");
    eventually("its Service is deleted", async || {
        let exists = with_service && ns.objects(Kind::Service).get_opt(app).await?.is_some();
        ensure!(!exists);
        Ok(())
    })
    .await
}

/// The change is refused with a message that names the field, and nothing changes.
async fn hold(ns: &TestNamespace, app: &str, trial: &Trial, promise: Promise) -> Result<()> {
    set(ns, app, &trial.first).await.context("set")?;
    let refused = match promise {
        Promise::Stays => {
            let before = objects_of(ns, app).await?;
            let without = trial.without.as_ref().context("the field cannot be removed")?;
            let refused = vec![
                ns.replace(app, &trial.other).await,
                ns.replace(app, without).await,
            ];
            comes_to(ns, app, &before).await?;
            refused
        }
        Promise::Grows => {
            ns.replace(app, &trial.other)
                .await
                .context("the other value is not larger")?;
            vec![ns.replace(app, &trial.first).await]
        }
        Promise::TakenBack => {
            for spec in [&trial.other, &trial.first] {
                ns.replace(app, spec)
                    .await
                    .context("there is no spec with the first value")?;
            }
            Vec::new()
        }
    };
    for answer in refused {
        let Err(error) = answer else {
            bail!("an immutable field was changed");
        };
        let holder = trial.field.rsplit_once('.').map_or("", |(holder, _)| holder);
        ensure!(error.to_string().contains(holder), "{error:#}");
    }
    ns.delete(app).await
}

async fn comes_to(ns: &TestNamespace, app: &str, expected: &BTreeMap<String, String>) -> Result<()> {
    eventually("the objects are as before", async || {
        let found = objects_of(ns, app).await?;
        ensure!(found == *expected, "{}", difference(expected, &found));
        Ok(())
    })
    .await
}

/// Applies a spec and waits until its objects match it.
async fn set(ns: &TestNamespace, app: &str, spec: &Value) -> Result<()> {
    // Routes must be unique among apps.
    let own = spec
        .to_string()
        .replace("tasks.example.com", &format!("{app}.{}.example.com", ns.name));
    let own: Value = serde_json::from_str(&own)?;
    if ns.apps().get_opt(app).await?.is_none() {
        ns.apply(app, own).await?;
    } else {
        ns.replace(app, &own).await?;
    }
    let app = ns
        .until(app, "it is applied or refused", |app| {
            let (status, reason, _) = condition(app, "Applied");
            status == "True" || ["Rejected", "Invalid", "Forbidden"].contains(&reason.as_str())
        })
        .await?;
    let (status, _, message) = condition(&app, "Applied");
    if status != "True" {
        bail!("{message}; {}", condition(&app, "Valid").2);
    }
    let name = app.name_any();
    // In every spec, so that the Deployment's status is the same for all.
    set_ready(ns, &name, 1).await?;
    if spec["probe"].is_object() {
        // The Probe is created when the app is available for the first time.
        eventually("it is probed", async || {
            let probe = ns.objects(Kind::Probe).get_opt(&name).await?;
            probe.map(drop).context("it has no Probe")
        })
        .await?;
    }
    Ok(())
}
