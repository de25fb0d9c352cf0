//! Many apps at once, against a floor measured in the same run: a plain client that makes the same objects and one
//! status write an app as fast as it can, while a second one holds the same watches.
//!
//! ```text
//! cargo bench -p apiserver-tests --bench scale              # 1,000 apps
//! APPS=100 cargo bench -p apiserver-tests --bench scale     # fewer
//! ```
#![allow(clippy::unwrap_used)]

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use apiserver_tests::{Proxy, Running, Space, block_on, options};
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::ApiResource;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Client, ResourceExt};
use observedapp_api::ObservedApp;
use observedapp_desired::{Kind, Object, Observed, Settings, desired, validate};
use serde_json::json;

/// The environment variable that makes this program the operator that is measured.
const OPERATOR: &str = "BENCH_OPERATOR_URL";
/// The namespace of its apps: those of the floor are not its business.
const NAMESPACE: &str = "BENCH_NAMESPACE";
/// Requests that the plain client, and the operator, have under way at the same time.
const CONCURRENCY: usize = 16;

fn main() -> Result<()> {
    if let Ok(url) = std::env::var(OPERATOR) {
        return operator(&url);
    }
    let apps: usize = std::env::var("APPS")
        .ok()
        .and_then(|apps| apps.parse().ok())
        .unwrap_or(1000);
    block_on(measure(apps))
}

/// The operator in a process of its own, so that its memory and its CPU time are its own.
fn operator(url: &str) -> Result<()> {
    let config = kube::Config::new(url.parse()?);
    let concurrency = format!("--concurrency={CONCURRENCY}");
    let namespaces = format!("--namespaces={}", std::env::var(NAMESPACE)?);
    tokio::runtime::Runtime::new()?.block_on(async {
        let _running = Running::start(options(&[&concurrency, &namespaces]), config);
        std::future::pending::<()>().await;
        Ok(())
    })
}

struct Process(Child);

impl Process {
    fn start(url: &str, namespace: &str) -> Result<Self> {
        let child = Command::new(std::env::current_exe()?)
            .env(OPERATOR, url)
            .env(NAMESPACE, namespace)
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self(child))
    }

    fn resident_mib(&self) -> Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id()))?;
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS:"))
            .unwrap_or_default();
        let kib: f64 = line.split_whitespace().nth(1).unwrap_or("0").parse()?;
        Ok(kib / 1024.0)
    }

    /// Seconds of CPU time so far.
    fn cpu(&self) -> Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0.id()))?;
        let fields: Vec<&str> = stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .collect();
        let ticks: f64 = fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
        Ok(ticks / 100.0)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn app(name: &str) -> Result<ObservedApp> {
    Ok(serde_json::from_value(json!({
        "apiVersion": "observedapp.dev/v1alpha1", "kind": "ObservedApp", "metadata": {"name": name},
        "spec": {
            "image": "tasks:1", "port": 5000,
            "autoscaling": {"maxReplicas": 5},
            "database": {"builtin": {}}, "cache": {"builtin": {}}, "metrics": {"port": 8000},
            "slos": [{"name": "availability", "objective": 99.9, "indicator": {"availability": {}}}],
        },
    }))?)
}

fn name(number: usize) -> String {
    format!("app-{number}")
}

async fn measure(apps: usize) -> Result<()> {
    let space = Space::new("floor").await?;
    let floor = floor(&space, apps).await?;
    println!("floor: {apps} apps in {:.1} s", floor.as_secs_f64());

    let space = Space::new("scale").await?;
    strangers(&space).await?;
    create_apps(&space, apps).await?;
    let proxy = Proxy::start(&space).await?;
    let began = Instant::now();
    let process = Process::start(&proxy.url(), &space.name)?;
    converged(&space, apps).await?;
    let took = began.elapsed();
    println!(
        "converge: {apps} apps in {:.1} s, {:.2} x the floor, {} writes",
        took.as_secs_f64(),
        took.as_secs_f64() / floor.as_secs_f64(),
        proxy.writes().len(),
    );

    tokio::time::sleep(Duration::from_secs(15)).await;
    let (writes, cpu) = (proxy.writes().len(), process.cpu()?);
    let rest = Duration::from_mins(1);
    tokio::time::sleep(rest).await;
    println!(
        "rest: {} writes and {:.2} % of a core in {} s; {:.0} MiB resident",
        proxy.writes().len() - writes,
        (process.cpu()? - cpu) / rest.as_secs_f64() * 100.0,
        rest.as_secs(),
        process.resident_mib()?,
    );
    changes(&space, apps).await?;

    drop(process);
    let writes = proxy.writes().len();
    let began = Instant::now();
    let process = Process::start(&proxy.url(), &space.name)?;
    space
        .apps()
        .patch(
            &name(0),
            &PatchParams::apply("bench").force(),
            &Patch::Apply(changed(&name(0), 9_999)?),
        )
        .await?;
    space.applied(&name(0)).await?;
    println!(
        "restart: settled in {:.1} s, {} writes for one changed app; {:.0} MiB resident",
        began.elapsed().as_secs_f64(),
        proxy.writes().len() - writes,
        process.resident_mib()?,
    );
    Ok(())
}

/// The same objects by a client that knows what to write and looks at nothing.
async fn floor(space: &Space, apps: usize) -> Result<Duration> {
    create_apps(space, apps).await?;
    let watches: Vec<_> = Kind::ALL
        .iter()
        .map(|&kind| {
            let api: Api<kube::core::PartialObjectMeta<DynamicObject>> = Api::namespaced_with(
                space.client.clone(),
                &space.name,
                &ApiResource::from_gvk_with_plural(&kind.gvk(), kind.plural()),
            );
            let events = watcher(api, watcher::Config::default()).default_backoff();
            tokio_util::task::AbortOnDropHandle::new(tokio::spawn(events.for_each(|_| async {})))
        })
        .collect();
    let list = space.apps().list(&ListParams::default()).await?;
    let began = Instant::now();
    stream::iter(list)
        .map(|app| {
            let space = space.clone();
            async move {
                let observed = Observed {
                    optional_kinds: Kind::ALL
                        .iter()
                        .copied()
                        .filter(|kind| *kind != Kind::Cluster)
                        .collect(),
                    ..Observed::default()
                };
                let app_name = app.name_any();
                let valid = validate(&app, observed, Settings::default()).map_err(anyhow::Error::from)?;
                let wanted = desired(&valid);
                for object in wanted
                    .generated
                    .into_iter()
                    .map(Object::from)
                    .chain(wanted.objects)
                {
                    create(&space.client, &space.name, &object).await?;
                }
                let status = json!({"status": {"observedGeneration": app.metadata.generation}});
                space
                    .apps()
                    .patch_status(&app_name, &PatchParams::default(), &Patch::Merge(status))
                    .await?;
                anyhow::Ok(())
            }
        })
        .buffer_unordered(CONCURRENCY)
        .try_collect::<Vec<()>>()
        .await?;
    drop(watches);
    Ok(began.elapsed())
}

async fn create(client: &Client, namespace: &str, object: &Object) -> Result<()> {
    let kind = object.kind();
    let resource = ApiResource::from_gvk_with_plural(&kind.gvk(), kind.plural());
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
    api.patch(object.name(), &PatchParams::apply("floor"), &Patch::Apply(object))
        .await?;
    Ok(())
}

async fn create_apps(space: &Space, apps: usize) -> Result<()> {
    stream::iter(0..apps)
        .map(|number| async move {
            let app = app(&name(number))?;
            space.apps().create(&PostParams::default(), &app).await?;
            anyhow::Ok(())
        })
        .buffer_unordered(CONCURRENCY)
        .try_collect::<Vec<()>>()
        .await?;
    Ok(())
}

/// 600 Secrets of 100 KiB that are nobody's business.
async fn strangers(space: &Space) -> Result<()> {
    let api: Api<Secret> = Api::namespaced(space.client.clone(), &space.name);
    let filling = Arc::new("x".repeat(100 * 1024));
    stream::iter(0..600)
        .map(|number| {
            let (api, filling) = (api.clone(), Arc::clone(&filling));
            async move {
                let secret: Secret = serde_json::from_value(json!({
                    "metadata": {"name": format!("stranger-{number}")}, "stringData": {"filling": *filling},
                }))?;
                api.create(&PostParams::default(), &secret).await?;
                anyhow::Ok(())
            }
        })
        .buffer_unordered(CONCURRENCY)
        .try_collect::<Vec<()>>()
        .await?;
    Ok(())
}

async fn converged(space: &Space, apps: usize) -> Result<()> {
    let limit = Instant::now() + Duration::from_mins(30);
    loop {
        let list = space.apps().list(&ListParams::default()).await?;
        let done = list
            .iter()
            .filter(|app| app.status.as_ref().is_some_and(|status| status.applied.is_some()))
            .count();
        if done == apps {
            return Ok(());
        }
        ensure!(
            Instant::now() < limit,
            "only {done} of {apps} apps have converged"
        );
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

fn changed(name: &str, number: usize) -> Result<serde_json::Value> {
    let mut app = serde_json::to_value(app(name)?)?;
    app["spec"]["image"] = format!("tasks:2-{number}").into();
    Ok(app)
}

/// Two changes a second, whether or not the last one is done: from the change to the status that says so.
async fn changes(space: &Space, apps: usize) -> Result<()> {
    let mut beat = tokio::time::interval(Duration::from_millis(500));
    let mut tasks = Vec::new();
    for number in 0..60 {
        beat.tick().await;
        let space = space.clone();
        tasks.push(tokio::spawn(async move {
            let name = name(number % apps);
            let changed = changed(&name, number)?;
            let events = kube::runtime::watcher::watch_object(space.apps(), &name).applied_objects_of();
            let mut events = std::pin::pin!(events);
            let began = Instant::now();
            let app = space
                .apps()
                .patch(
                    &name,
                    &PatchParams::apply("bench").force(),
                    &Patch::Apply(&changed),
                )
                .await?;
            while let Some(seen) = events.next().await {
                let current = seen.status.and_then(|status| status.observed_generation);
                if current >= app.metadata.generation {
                    break;
                }
            }
            anyhow::Ok(began.elapsed())
        }));
    }
    let mut took = Vec::new();
    for task in tasks {
        took.push(task.await??);
    }
    took.sort();
    let at = |percent: usize| took[(took.len() - 1) * percent / 100].as_millis();
    println!(
        "change to converged: p50 {} ms, p99 {} ms, of {}",
        at(50),
        at(99),
        took.len()
    );
    Ok(())
}

/// The objects of a watch of one, without its failures and absences.
trait AppliedObjects {
    fn applied_objects_of(self) -> impl futures::Stream<Item = ObservedApp>;
}

impl<S: futures::Stream<Item = watcher::Result<Option<ObservedApp>>>> AppliedObjects for S {
    fn applied_objects_of(self) -> impl futures::Stream<Item = ObservedApp> {
        self.filter_map(|seen| std::future::ready(seen.ok().flatten()))
    }
}
