//! Many apps at once, against two floors measured in the same run: a client that creates the same objects and one
//! status a app as fast as it can while another holds the same watches, and one that reads before each first write, as
//! the operator has to. Each has an API server of its own with the same unrelated objects in it, because an API server
//! gets slower with what it stores. They run in alternating slices of a second, so that changes in the machine's speed
//! affect all alike.
//!
//! The apps are spread over namespaces, all of which the operator watches, and a Prometheus has their series.
//!
//! ```text
//! cargo bench -p apiserver-tests --bench scale                # 1,000 apps, ten minutes of rest
//! APPS=50 REST=30 cargo bench -p apiserver-tests --bench scale
//! ```
#![allow(clippy::unwrap_used)]

mod floor;
mod process;
mod progress;
#[path = "../../../promises.rs"]
mod promises;
#[path = "../support/recorded.rs"]
mod recorded;
mod time_slices;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use apiserver_tests::{TestNamespace, block_on};
use floor::{Floor, Mode};
use futures::{StreamExt, TryStreamExt, stream};
use golden_tests::prometheus::Prometheus;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use observedapp_api::ObservedApp;
use observedapp_desired::Kind;
use process::{Process, Servers};
use progress::Progress;
use recorded::RecordedApp;
use serde_json::{Value, json};
use time_slices::TimeSlices;
use tokio::task::spawn_blocking;

const NAMESPACES: usize = 20;
const SLO: &str = "availability";
/// Concurrent requests of the floor's client.
const CONCURRENCY: usize = 16;
/// Apps that warm up a server.
const WARM: usize = 20;
/// Unrelated Secrets, and as many ConfigMaps, of 100 KiB each.
const UNRELATED_OBJECTS: usize = 300;

/// The memory limit in the chart, in MiB.
const MOST_MEMORY: f64 = 256.0;

fn main() -> Result<ExitCode> {
    if process::is_operator() {
        process::operate()?;
        return Ok(ExitCode::SUCCESS);
    }
    if let Some((apps, mode)) = floor::requested()? {
        block_on(floor::measure_and_print(apps, mode))?;
        return Ok(ExitCode::SUCCESS);
    }
    let number = |name: &str, otherwise: usize| {
        let given = std::env::var(name).ok();
        given.and_then(|number| number.parse().ok()).unwrap_or(otherwise)
    };
    let rest = u64::try_from(number("REST", 600))?;
    block_on(measure(number("APPS", 1000), Duration::from_secs(rest)))?;
    Ok(promises::outcome())
}

async fn measure(apps: usize, rest: Duration) -> Result<()> {
    let mut floors = Vec::new();
    for mode in [Mode::Plain, Mode::Careful] {
        floors.push((mode, Floor::prepare(apps, mode)?));
    }
    let test_namespaces = prepare("scale").await?;
    create_apps(&test_namespaces, apps).await?;
    let prometheus =
        Prometheus::with_openmetrics(&recorded::series(&recorded(&test_namespaces).await?, &[SLO])?);
    let progress = Progress::follow(&test_namespaces[0]);
    let servers = Servers::now()?;
    let process = Process::start(&test_namespaces[0], "one", prometheus.url()).await?;
    let others: Vec<u32> = floors.iter().map(|(_, floor)| floor.process()).collect();
    for (_, floor) in &mut floors {
        floor.begin()?;
    }
    let slices = TimeSlices::begin(&others)?;
    let floors = floors.into_iter().enumerate().map(|(side, (mode, mut floor))| {
        let slices = slices.clone();
        spawn_blocking(move || anyhow::Ok((mode, floor.result()?, slices.end(side).as_secs_f64())))
    });
    let floors: Vec<_> = floors.collect();
    progress.all_converged(apps).await?;
    let took = slices.end(others.len()).as_secs_f64();
    let mut ratios = Vec::new();
    for floor in floors {
        let (mode, measured, seconds) = floor.await??;
        println!(
            "{mode:?} floor: {apps} apps, {} writes in {seconds:.1} s: {:.0} writes a second; {}",
            measured.writes,
            measured.writes as f64 / seconds,
            measured.cpu,
        );
        ratios.push(format!("{:.2} x the {mode:?} floor", took / seconds));
    }
    println!(
        "converge: {apps} apps in {took:.1} s, {}; {}; {}",
        ratios.join(", "),
        process.requests().await?.per(apps),
        servers.since(Some(&process))?,
    );

    // The last apps may be reconciled once more.
    process.is_idle().await?;
    let (before, cpu) = (process.requests().await?, process.cpu()?);
    tokio::time::sleep(rest).await;
    let at_rest = process.requests().await?.since(&before);
    let peak = process.memory("VmHWM")?;
    println!(
        "rest: in {} s {} reconciles, {} writes and {} reads; {:.2} % of a core; {:.0} MiB resident, {:.0} at most",
        rest.as_secs(),
        at_rest.reconciles,
        at_rest.writes(),
        at_rest.reads(),
        (process.cpu()? - cpu) / rest.as_secs_f64() * 100.0,
        process.memory("VmRSS")?,
        peak,
    );
    promises::promise("nothing is written at rest", at_rest.writes() == 0);
    promises::promise(
        &format!("at most {MOST_MEMORY} MiB, the limit in the chart"),
        peak <= MOST_MEMORY,
    );
    changes(&test_namespaces, &progress, apps).await?;

    process.is_idle().await?;
    process.terminate()?;
    let process = Process::start(&test_namespaces[0], "two", prometheus.url()).await?;
    process.leads().await?;
    let began = Instant::now();
    process.has_reconciled(apps).await?;
    let settled = began.elapsed();
    process.is_idle().await?;
    println!(
        "restart: settled {:.1} s after it had the lease; {}; {:.0} MiB resident",
        settled.as_secs_f64(),
        process.requests().await?.per(apps),
        process.memory("VmRSS")?,
    );
    Ok(())
}

/// Namespaces on an API server that is warmed up and stores unrelated objects.
async fn prepare(purpose: &str) -> Result<Vec<TestNamespace>> {
    // A new server is slow at first.
    let warm = [TestNamespace::new("warm").await?];
    create_apps(&warm, WARM).await?;
    floor::make_all(&warm, Mode::Plain).await?;
    // The operator would count these apps, too.
    let (all, params) = (ListParams::default(), DeleteParams::default());
    warm[0].apps().delete_collection(&params, &all).await?;
    let mut test_namespaces = Vec::new();
    for _ in 0..NAMESPACES {
        test_namespaces.push(TestNamespace::new(purpose).await?);
    }
    create_unrelated_objects(&test_namespaces).await?;
    Ok(test_namespaces)
}

/// The data from which the series of all apps are made.
async fn recorded(test_namespaces: &[TestNamespace]) -> Result<Vec<RecordedApp>> {
    let mut all = Vec::new();
    for ns in test_namespaces {
        for app in ns.apps().list(&ListParams::default()).await? {
            let rules = floor::objects_of(&app)?
                .into_iter()
                .find(|object| object.kind() == Kind::PrometheusRule)
                .context("an app without rules")?;
            let rules = serde_json::to_value(&rules)?;
            all.push(RecordedApp {
                namespace: ns.name.clone(),
                name: app.name_any(),
                hash: recorded::hash(&rules).context("rules without a hash")?.to_owned(),
            });
        }
    }
    Ok(all)
}

/// An app with everything on.
fn app(name: &str) -> Result<ObservedApp> {
    Ok(serde_json::from_value(json!({
        "apiVersion": "observedapp.dev/v1alpha1", "kind": "ObservedApp", "metadata": {"name": name},
        "spec": {
            "image": "tasks:1", "port": 5000,
            "autoscaling": {"maxReplicas": 5},
            "database": {"builtin": {}}, "cache": {"builtin": {}}, "metrics": {"port": 8000},
            "slos": [{"name": SLO, "objective": 99.9, "indicator": {"availability": {}}}],
        },
    }))?)
}

fn name(number: usize) -> String {
    format!("app-{number}")
}

/// The namespace of an app.
fn namespace_of(test_namespaces: &[TestNamespace], number: usize) -> &TestNamespace {
    &test_namespaces[number % test_namespaces.len()]
}

async fn create_apps(test_namespaces: &[TestNamespace], apps: usize) -> Result<()> {
    stream::iter(0..apps)
        .map(|number| async move {
            let app = app(&name(number))?;
            namespace_of(test_namespaces, number)
                .apps()
                .create(&PostParams::default(), &app)
                .await?;
            anyhow::Ok(())
        })
        .buffer_unordered(CONCURRENCY)
        .try_collect::<Vec<()>>()
        .await?;
    Ok(())
}

/// Large Secrets and ConfigMaps that the operator does not own.
async fn create_unrelated_objects(test_namespaces: &[TestNamespace]) -> Result<()> {
    let filling = &"x".repeat(100 * 1024);
    stream::iter(0..UNRELATED_OBJECTS)
        .map(|number| async move {
            let TestNamespace { client, name } = namespace_of(test_namespaces, number);
            let secrets: Api<Secret> = Api::namespaced(client.clone(), name);
            let config_maps: Api<ConfigMap> = Api::namespaced(client.clone(), name);
            let metadata = json!({"name": format!("unrelated-{number}")});
            let secret = json!({"metadata": metadata, "stringData": {"filling": filling}});
            let config_map = json!({"metadata": metadata, "data": {"filling": filling}});
            let params = PostParams::default();
            secrets.create(&params, &serde_json::from_value(secret)?).await?;
            config_maps
                .create(&params, &serde_json::from_value(config_map)?)
                .await?;
            anyhow::Ok(())
        })
        .buffer_unordered(CONCURRENCY)
        .try_collect::<Vec<()>>()
        .await?;
    Ok(())
}

fn changed(name: &str, number: usize) -> Result<Value> {
    let mut app = serde_json::to_value(app(name)?)?;
    app["spec"]["image"] = format!("tasks:2-{number}").into();
    Ok(app)
}

/// Two changes a second, whether or not the previous one is applied; measures the time from a change to the status that
/// reports it.
async fn changes(test_namespaces: &[TestNamespace], progress: &Progress, apps: usize) -> Result<()> {
    const CHANGES: usize = 200;
    let mut beat = tokio::time::interval(Duration::from_millis(500));
    let mut tasks = Vec::new();
    for number in 0..CHANGES {
        beat.tick().await;
        let (ns, progress) = (
            namespace_of(test_namespaces, number % apps).clone(),
            progress.clone(),
        );
        tasks.push(tokio::spawn(async move {
            let name = name(number % apps);
            let changed = changed(&name, number)?;
            let began = Instant::now();
            let params = PatchParams::apply("bench").force();
            let app = ns.apps().patch(&name, &params, &Patch::Apply(&changed)).await?;
            let generation = app.metadata.generation.context("an app without a generation")?;
            let converged = progress.converged(&name, generation).await?;
            anyhow::Ok(converged.saturating_duration_since(began))
        }));
    }
    let mut took = Vec::new();
    for task in tasks {
        took.push(task.await??);
    }
    took.sort();
    let at = |percent: usize| took[(took.len() - 1) * percent / 100].as_millis();
    println!(
        "change to converged: p50 {} ms, p99 {} ms, at most {} ms, of {CHANGES}, two a second",
        at(50),
        at(99),
        at(100),
    );
    Ok(())
}
