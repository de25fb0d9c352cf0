//! The least that the same work costs: a client that knows what to write and looks at nothing.

use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use apiserver_tests::Space;
use futures::{StreamExt, TryStreamExt, stream};
use kube::ResourceExt;
use kube::api::{Api, DynamicObject, ListParams, Patch, PatchParams};
use kube::core::{ApiResource, PartialObjectMeta};
use kube::runtime::{WatchStreamExt, watcher};
use observedapp_api::ObservedApp;
use observedapp_desired::{Kind, Object, Observed, ObservedDatabase, Settings, desired, validate};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio_util::task::AbortOnDropHandle;

use crate::process::Servers;
use crate::{AT_ONCE, create_apps, prepare};

/// The environment variable that makes this program measure the floor alone: for so many apps.
const FLOOR: &str = "BENCH_FLOOR";

#[derive(Serialize, Deserialize)]
pub struct Floor {
    pub seconds: f64,
    pub writes: usize,
    pub cpu: String,
}

pub fn asked_for() -> Result<Option<usize>> {
    let apps = std::env::var(FLOOR).ok();
    Ok(apps.map(|apps| apps.parse()).transpose()?)
}

/// Measures it in a process of its own, which has an API server of its own.
pub fn measure_elsewhere(apps: usize) -> Result<Floor> {
    let output = Command::new(std::env::current_exe()?)
        .env(FLOOR, apps.to_string())
        .stderr(Stdio::inherit())
        .output()?;
    ensure!(output.status.success(), "the floor could not be measured");
    let told = String::from_utf8(output.stdout)?;
    let last = told.lines().last().context("the floor was not told")?;
    Ok(serde_json::from_str(last)?)
}

pub async fn measure_and_tell(apps: usize) -> Result<()> {
    let space = prepare("floor").await?;
    create_apps(&space, apps).await?;
    let _watches: Vec<_> = kinds()
        .map(|kind| {
            let api: Api<PartialObjectMeta<DynamicObject>> =
                Api::namespaced_with(space.client.clone(), &space.name, &resource(kind));
            let events = watcher(api, watcher::Config::default()).default_backoff();
            AbortOnDropHandle::new(tokio::spawn(events.for_each(|_| async {})))
        })
        .collect();
    let servers = Servers::now()?;
    let began = Instant::now();
    let writes = make_all(&space).await?;
    let floor = Floor {
        seconds: began.elapsed().as_secs_f64(),
        writes,
        cpu: servers.since(None)?,
    };
    println!("{}", serde_json::to_string(&floor)?);
    Ok(())
}

/// Makes the objects of all apps; says how many writes that took.
pub async fn make_all(space: &Space) -> Result<usize> {
    let list = space.apps().list(&ListParams::default()).await?;
    stream::iter(list)
        .map(|app| async move { make(space, &app).await })
        .buffer_unordered(AT_ONCE)
        .try_fold(0, |sum, made| async move { Ok(sum + made) })
        .await
}

/// The kinds that this server serves.
fn kinds() -> impl Iterator<Item = Kind> {
    Kind::ALL
        .iter()
        .copied()
        .filter(|kind| kind.as_str() != "Cluster")
}

/// Makes what an app consists of in the end; says how many writes that took.
async fn make(space: &Space, app: &ObservedApp) -> Result<usize> {
    let observed = Observed {
        optional_kinds: kinds().collect(),
        // As if there were Secrets already: so what is made of them is among the objects.
        database: ObservedDatabase {
            app_password: Some("drawn".to_owned()),
            superuser_password: Some("drawn".to_owned()),
            ..ObservedDatabase::default()
        },
        ..Observed::default()
    };
    let valid = validate(app, observed, Settings::default()).map_err(anyhow::Error::from)?;
    let wanted = desired(&valid).objects;
    for object in &wanted {
        create(space, object).await?;
    }
    let status = json!({"status": {"observedGeneration": app.metadata.generation}});
    space
        .apps()
        .patch_status(&app.name_any(), &PatchParams::default(), &Patch::Merge(status))
        .await?;
    Ok(wanted.len() + 1)
}

async fn create(space: &Space, object: &Object) -> Result<()> {
    let api: Api<DynamicObject> =
        Api::namespaced_with(space.client.clone(), &space.name, &resource(object.kind()));
    api.patch(object.name(), &PatchParams::apply("floor"), &Patch::Apply(object))
        .await?;
    Ok(())
}

fn resource(kind: Kind) -> ApiResource {
    ApiResource::from_gvk_with_plural(&kind.gvk(), kind.plural())
}
