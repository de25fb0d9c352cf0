//! Which apps have converged, and when, by one watch.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use apiserver_tests::{TestNamespace, condition};
use futures::StreamExt;
use kube::ResourceExt;
use kube::api::Api;
use kube::runtime::{WatchStreamExt, watcher};
use observedapp_api::ObservedApp;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

const TIMEOUT: Duration = Duration::from_hours(1);

/// Per app, the newest generation that is applied in full, and since when.
type Converged = HashMap<String, (i64, Instant)>;

#[derive(Clone)]
pub struct Progress {
    seen: watch::Receiver<Converged>,
    _watch: Arc<AbortOnDropHandle<()>>,
}

impl Progress {
    /// Of all namespaces: app names are unique.
    pub fn follow(ns: &TestNamespace) -> Self {
        let (sender, seen) = watch::channel(Converged::new());
        let apps = Api::<ObservedApp>::all(ns.client.clone());
        let events = watcher(apps, watcher::Config::default())
            .default_backoff()
            .applied_objects();
        let follow = events.for_each(move |app| {
            if let Some(generation) = app.as_ref().ok().and_then(converged) {
                let name = app.as_ref().map(ResourceExt::name_any).unwrap_or_default();
                sender.send_modify(|all| {
                    if all.get(&name).is_none_or(|(known, _)| *known < generation) {
                        all.insert(name, (generation, Instant::now()));
                    }
                });
            }
            std::future::ready(())
        });
        Self {
            seen,
            _watch: Arc::new(AbortOnDropHandle::new(tokio::spawn(follow))),
        }
    }

    pub async fn all_converged(&self, apps: usize) -> Result<()> {
        let mut seen = self.seen.clone();
        let all = seen.wait_for(|all| all.len() >= apps);
        tokio::time::timeout(TIMEOUT, all)
            .await
            .with_context(|| format!("only {} of {apps} apps have converged", self.seen.borrow().len()))??;
        Ok(())
    }

    /// When this generation was applied in full.
    pub async fn converged(&self, name: &str, generation: i64) -> Result<Instant> {
        let mut seen = self.seen.clone();
        let of = |all: &Converged| all.get(name).filter(|(known, _)| *known >= generation).copied();
        let all = tokio::time::timeout(TIMEOUT, seen.wait_for(|all| of(all).is_some()))
            .await
            .with_context(|| format!("{name} has not converged"))??;
        of(&all).map(|(_, when)| when).context("the app is gone")
    }
}

/// The generation of an app, if it is applied in full.
fn converged(app: &ObservedApp) -> Option<i64> {
    let status = app.status.as_ref()?;
    let current = status.observed_generation == app.metadata.generation && status.applied.is_some();
    (current && condition(app, "Applied").0 == "True")
        .then_some(app.metadata.generation)
        .flatten()
}
