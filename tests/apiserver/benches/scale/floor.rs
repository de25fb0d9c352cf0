//! The least that the same work costs: a client that knows what to write and looks at nothing.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use apiserver_tests::Space;
use futures::{StreamExt, TryStreamExt, stream};
use kube::ResourceExt;
use kube::api::{Api, DynamicObject, ListParams, Patch, PatchParams};
use kube::core::{ApiResource, PartialObjectMeta};
use kube::runtime::{WatchStreamExt, watcher};
use observedapp_api::ObservedApp;
use observedapp_desired::{Kind, Object, Observed, ObservedDatabase, Settings, desired, validate};
use serde_json::json;
use tokio_util::task::AbortOnDropHandle;

use crate::{AT_ONCE, create_apps};

pub struct Floor {
    pub took: Duration,
    pub writes: usize,
}

pub async fn measure(space: &Space, apps: usize) -> Result<Floor> {
    create_apps(space, apps).await?;
    let list = space.apps().list(&ListParams::default()).await?;
    let _watches: Vec<_> = Kind::ALL
        .iter()
        .filter(|kind| kind.as_str() != "Cluster")
        .map(|&kind| {
            let api: Api<PartialObjectMeta<DynamicObject>> =
                Api::namespaced_with(space.client.clone(), &space.name, &resource(kind));
            let events = watcher(api, watcher::Config::default()).default_backoff();
            AbortOnDropHandle::new(tokio::spawn(events.for_each(|_| async {})))
        })
        .collect();
    let writes = &AtomicUsize::new(0);
    let began = Instant::now();
    stream::iter(list)
        .map(|app| async move {
            let made = make(space, &app).await?;
            writes.fetch_add(made, Ordering::Relaxed);
            anyhow::Ok(())
        })
        .buffer_unordered(AT_ONCE)
        .try_collect::<Vec<()>>()
        .await?;
    Ok(Floor {
        took: began.elapsed(),
        writes: writes.load(Ordering::Relaxed),
    })
}

/// Makes what an app consists of in the end; says how many writes that took.
async fn make(space: &Space, app: &ObservedApp) -> Result<usize> {
    let kinds = Kind::ALL.iter().copied();
    let observed = Observed {
        optional_kinds: kinds.filter(|kind| kind.as_str() != "Cluster").collect(),
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
