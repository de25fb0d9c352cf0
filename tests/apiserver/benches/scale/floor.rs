//! The floor of the benchmark: a client that knows what to write and reads nothing; and one that, like the operator,
//! never overwrites an object of another owner.

use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, ensure};
use apiserver_tests::TestNamespace;
use futures::{StreamExt, TryStreamExt, stream};
use kube::api::{Api, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, PartialObjectMeta};
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Resource, ResourceExt};
use observedapp_api::ObservedApp;
use observedapp_desired::{Kind, Object, Observed, ObservedDatabase, Settings, desired, validate};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio_util::task::AbortOnDropHandle;

use crate::process::Servers;
use crate::{CONCURRENCY, create_apps, prepare};

/// If set, this program measures the floor: the number of apps and the mode.
const FLOOR: &str = "BENCH_FLOOR";
/// Printed by that process once it waits for a line on stdin.
const READY: &str = "ready";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// Each object is written once, and the status.
    Plain,
    /// A metadata GET before each first apply; Secrets by POST, then by apply; one Event per app.
    Careful,
}

/// The result that the process prints.
#[derive(Serialize, Deserialize)]
pub struct Measured {
    pub writes: usize,
    pub cpu: String,
}

/// The process that measures the floor.
pub struct Floor {
    child: Child,
    begin: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

pub fn requested() -> Result<Option<(usize, Mode)>> {
    let request = std::env::var(FLOOR).ok();
    Ok(request
        .map(|request| serde_json::from_str(&request))
        .transpose()?)
}

impl Floor {
    /// Starts a process with an API server of its own; it ends with this one.
    pub fn prepare(apps: usize, mode: Mode) -> Result<Self> {
        let mut child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL"])
            .arg(std::env::current_exe()?)
            .env(FLOOR, serde_json::to_string(&(apps, mode))?)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let begin = child.stdin.take().context("no standard input")?;
        let output = child.stdout.take().context("no standard output")?;
        let mut output = BufReader::new(output).lines();
        let ready = output
            .next()
            .context("the floor's process ended before it was ready")??;
        ensure!(ready == READY, "the floor's process printed {ready:?}");
        Ok(Self { child, begin, output })
    }

    pub fn process(&self) -> u32 {
        self.child.id()
    }

    pub fn begin(&mut self) -> Result<()> {
        Ok(writeln!(self.begin)?)
    }

    /// Waits until all objects are written.
    pub fn result(&mut self) -> Result<Measured> {
        let line = self
            .output
            .next()
            .context("the floor's process ended without a result")??;
        Ok(serde_json::from_str(&line)?)
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub async fn measure_and_print(apps: usize, mode: Mode) -> Result<()> {
    let test_namespaces = prepare("floor").await?;
    create_apps(&test_namespaces, apps).await?;
    let _watches: Vec<_> = kinds()
        .map(|kind| {
            let api: Api<PartialObjectMeta<DynamicObject>> =
                Api::all_with(test_namespaces[0].client.clone(), &resource(kind));
            let events = watcher(api, watcher::Config::default()).default_backoff();
            AbortOnDropHandle::new(tokio::spawn(events.for_each(|_| async {})))
        })
        .collect();
    println!("{READY}");
    std::io::stdin().read_line(&mut String::new())?;
    let servers = Servers::now()?;
    let writes = make_all(&test_namespaces, mode).await?;
    let cpu = servers.since(None)?;
    println!("{}", serde_json::to_string(&Measured { writes, cpu })?);
    Ok(())
}

/// Creates the objects of all apps; returns the number of writes.
pub async fn make_all(test_namespaces: &[TestNamespace], mode: Mode) -> Result<usize> {
    let mut all = Vec::new();
    for ns in test_namespaces {
        let list = ns.apps().list(&ListParams::default()).await?;
        all.extend(list.into_iter().map(|app| (ns, app)));
    }
    stream::iter(all)
        .map(|(ns, app)| async move { make(ns, &app, mode).await })
        .buffer_unordered(CONCURRENCY)
        .try_fold(0, |sum, made| async move { Ok(sum + made) })
        .await
}

/// The kinds that this server serves.
fn kinds() -> impl Iterator<Item = Kind> {
    Kind::ALL
        .iter()
        .copied()
        .filter(|kind| !matches!(kind.as_str(), "Cluster" | "HTTPRoute"))
}

/// All objects of an app.
pub fn objects_of(app: &ObservedApp) -> Result<Vec<Object>> {
    let observed = Observed {
        optional_kinds: kinds().collect(),
        // With the passwords given, the objects that depend on them are included.
        database: ObservedDatabase {
            app_password: Some("drawn".to_owned()),
            superuser_password: Some("drawn".to_owned()),
            ..ObservedDatabase::default()
        },
        ..Observed::default()
    };
    let valid = validate(app, observed, Settings::default()).map_err(anyhow::Error::from)?;
    Ok(desired(&valid).objects)
}

/// Creates the objects of one app; returns the number of writes.
async fn make(ns: &TestNamespace, app: &ObservedApp, mode: Mode) -> Result<usize> {
    let wanted = objects_of(app)?;
    let mut writes = 1;
    for object in &wanted {
        writes += create(ns, object, mode).await?;
    }
    if mode == Mode::Careful {
        writes += 1;
        publish_event(ns, app).await?;
    }
    let status = json!({"status": {"observedGeneration": app.metadata.generation}});
    ns.apps()
        .patch_status(&app.name_any(), &PatchParams::default(), &Patch::Merge(status))
        .await?;
    Ok(writes)
}

async fn create(ns: &TestNamespace, object: &Object, mode: Mode) -> Result<usize> {
    let api: Api<DynamicObject> = Api::namespaced_with(ns.client.clone(), &ns.name, &resource(object.kind()));
    let mut writes = 1;
    match (mode, object) {
        (Mode::Plain, _) => {}
        // The binding Secret is derived from another one and can be applied.
        (Mode::Careful, Object::Secret(_)) if !object.name().ends_with("db-binding") => {
            let secret = serde_json::from_value(serde_json::to_value(object)?)?;
            api.create(&PostParams::default(), &secret).await?;
            writes += 1;
        }
        (Mode::Careful, _) => {
            api.get_metadata_opt(object.name()).await?;
        }
    }
    api.patch(object.name(), &PatchParams::apply("floor"), &Patch::Apply(object))
        .await?;
    Ok(writes)
}

async fn publish_event(ns: &TestNamespace, app: &ObservedApp) -> Result<()> {
    let reporter = Reporter {
        controller: "floor".to_owned(),
        instance: None,
    };
    let event = Event {
        type_: EventType::Normal,
        reason: "Made".to_owned(),
        note: None,
        action: "Make".to_owned(),
        secondary: None,
    };
    let recorder = Recorder::new(ns.client.clone(), reporter);
    Ok(recorder.publish(&event, &app.object_ref(&())).await?)
}

fn resource(kind: Kind) -> ApiResource {
    ApiResource::from_gvk_with_plural(&kind.gvk(), kind.plural())
}
