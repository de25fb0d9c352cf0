//! One reconcile of one app: observe, validate, build, apply, report.

use std::sync::Arc;
use std::time::Duration;

use kube::Resource;
use kube::runtime::controller::Action;
use observedapp_api::{AppRef, ObservedApp};
use observedapp_desired::{Kind, Problems, desired, validate};
use tracing::info;

use crate::App;
use crate::context::{AppCache, Context};
use crate::error::Error;
use crate::key::Key;
use crate::measured::{Next, measured};
use crate::status::Progress;
use crate::watch::app_ref;

/// The longest that one reconcile may take; it is only ever reached when the API server hangs.
pub const LIMIT: Duration = Duration::from_mins(3);

/// How many times in a row what was read may have changed meanwhile before the status says so.
const STALE_BEFORE_REPORTED: u32 = 5;

/// How soon an app is reconciled again where no watch shows what it waits for: a host that another app holds without
/// carrying it yet, and a StorageClass.
const RETRY: Duration = Duration::from_secs(30);

/// Reconciles one app. It never fails: what went wrong is in the status, and in how soon it is tried again.
pub async fn reconcile(app: Arc<App>, context: Arc<Context>) -> Action {
    let id = app_ref(&app);
    context.queue.dequeued(&id);
    let uid = app.meta().uid.clone().unwrap_or_default();
    let mut cache = context.caches.take(&id, &uid);
    cache.reference = app.object_ref(&());
    let action = measured(&context, &id, &mut cache, async |cache| match &app.0 {
        _ if app.meta().deletion_timestamp.is_some() => {
            cache.pod_events = None;
            Ok(Next::OnChange)
        }
        Ok(app) => tokio::time::timeout(LIMIT, Box::pin(context.reconcile_app(&id, app, cache)))
            .await
            .unwrap_or_else(|_| Err(Error::timeout("reconcile", "ObservedApp", &id.name))),
        Err(invalid) => {
            cache.pod_events = None;
            context
                .report_unreadable(&id, invalid)
                .await
                .map(|()| Next::OnChange)
        }
    })
    .await;
    context.caches.put(&id, cache);
    action
}

impl Context {
    async fn reconcile_app(
        &self,
        id: &AppRef,
        app: &ObservedApp,
        cache: &mut AppCache,
    ) -> Result<Next, Error> {
        cache.absent.clear();
        let mut progress = self.pass(id, app, cache).await;
        if self.must_repeat(app, &progress) {
            progress = self.pass(id, app, cache).await;
        }
        if matches!(progress.error(), Some(Error::Stale)) && cache.failures < STALE_BEFORE_REPORTED {
            return Err(Error::Stale);
        }
        let reported = self.report(id, app, &progress, cache).await;
        next(progress, reported)
    }

    /// The five steps but the last.
    async fn pass(&self, id: &AppRef, app: &ObservedApp, cache: &mut AppCache) -> Progress {
        // Read before all else: a write that rests on what changes from here on fails.
        let deployment = self.get(id, Kind::Deployment, &id.name);
        let replicas_version = deployment.map(|live| live.resource_version);
        let observed = match self.observe(id, app, cache).await {
            Ok(observed) => observed,
            Err(error) => return Progress::Unobserved(error),
        };
        // It may take some tens of milliseconds, for which other apps need not wait.
        let validated = tokio::task::block_in_place(|| validate(app, observed, self.settings.clone()));
        let valid = match validated {
            Ok(valid) => valid,
            Err(problems) => return Progress::Invalid(problems),
        };
        let desired = desired(&valid);
        let trial = desired
            .releases
            .as_ref()
            .and_then(|releases| releases.query.clone());
        self.prometheus.set_trial(id, trial);
        if app.spec.paused {
            return Progress::Paused(desired);
        }
        let outcome = self.apply(id, app, &desired, replicas_version, cache).await;
        Progress::Applied { desired, outcome }
    }

    /// Whether more can be done at once: Secrets were created that other objects are built from, or a host was lost to
    /// an app that asked for it at the same moment.
    fn must_repeat(&self, app: &ObservedApp, progress: &Progress) -> bool {
        match progress {
            Progress::Applied { desired, outcome } => {
                outcome.secrets_created || self.lost_host(app, &desired.held_routes)
            }
            _ => false,
        }
    }

    /// An app is gone: nothing is kept or shown of it any more.
    pub async fn forget(&self, app: &AppRef) {
        self.queue.dequeued(app);
        self.set_dependencies(app, std::collections::BTreeSet::new());
        self.references.forget_passwords(app);
        self.metrics.apps.show(app, None);
        self.prometheus.set_trial(app, None);
        let Some(cache) = self.caches.remove(app) else {
            return;
        };
        let retained: Vec<Key> = cache
            .applied
            .keys()
            .map(|(kind, name)| Key::new(*kind, &app.namespace, name))
            .filter(|key| self.store.get(key).is_some_and(|live| live.retained))
            .collect();
        info!(
            namespace = app.namespace,
            app = app.name,
            retained = retained.len(),
            "the app is gone"
        );
        if self.leadership.holds() {
            self.emit_retained_events(&cache, &retained).await;
        }
    }
}

fn next(progress: Progress, reported: Result<(), Error>) -> Result<Next, Error> {
    match progress {
        Progress::Unobserved(error) => Err(error),
        Progress::Invalid(problems) => reported.map(|()| {
            if waits_for_storage(&problems) {
                Next::After(RETRY)
            } else {
                Next::OnChange
            }
        }),
        Progress::Paused(_) => reported.map(|()| Next::OnChange),
        Progress::Applied { desired, outcome } => match outcome.errors.into_iter().next() {
            Some(error) => Err(error),
            None => reported.map(|()| {
                if outcome.secrets_created {
                    // Somebody deletes the Secrets as they are created.
                    Next::After(Duration::from_secs(1))
                } else if !desired.held_routes.is_empty() {
                    Next::After(RETRY)
                } else {
                    let releases = desired.releases.as_ref();
                    releases
                        .and_then(|releases| releases.plan.again_after)
                        .map_or(Next::OnChange, Next::After)
                }
            }),
        },
    }
}

/// An administrator may let the StorageClass's claims grow.
fn waits_for_storage(problems: &Problems) -> bool {
    problems
        .0
        .iter()
        .any(|problem| problem.field == "spec.database.builtin.storage.size")
}
