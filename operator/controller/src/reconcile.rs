//! One look at one app: observe, validate, build, apply, report. Whatever happens on the way, the status says it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kube::runtime::controller::Action;
use kube::{Resource, ResourceExt};
use observedapp_api::ObservedApp;
use observedapp_desired::{Kind, Problems, desired, references, validate};
use opentelemetry::trace::{FutureExt as _, Status, TraceContextExt as _, Tracer as _};
use opentelemetry::{KeyValue, global};
use tracing::{debug, info, warn};

use crate::App;
use crate::apply::{Outcome, Owner};
use crate::context::{AppCache, Context};
use crate::error::{Error, jittered};
use crate::metrics::{ErrorLabel, ResultLabel};
use crate::report::Story;
use crate::status::Progress;
use crate::traces::TRACER;
use crate::watch::Key;

/// The longest that one look may take; it is only ever reached when the API server hangs.
pub const LIMIT: Duration = Duration::from_mins(3);

/// How many times in a row what was read may have changed meanwhile before the status says so.
const TOLD_AFTER: u32 = 5;

/// How soon is looked again at what no watch tells of: a host that is held, where its holder has no Ingress yet, and a
/// StorageClass.
const RETRY: Duration = Duration::from_secs(30);

/// Looks at one app. It never fails: what went wrong is in the status, and in how soon it is tried again.
pub async fn reconcile(app: Arc<App>, context: Arc<Context>) -> Action {
    let namespace = app.namespace().unwrap_or_default();
    let name = app.name_any();
    let uid = app.uid().unwrap_or_default();
    context.queue.dequeued(&namespace, &name);
    let began = Instant::now();
    let mut cache = context.caches.take(&namespace, &name, &uid);
    cache.reference = app.object_ref(&());
    let trace = opentelemetry::Context::new().with_span(global::tracer(TRACER).start("reconcile"));
    let look = async {
        match &app.0 {
            _ if app.meta().deletion_timestamp.is_some() => {
                cache.pod_events = None;
                Ok(Look::Done)
            }
            Ok(app) => match tokio::time::timeout(LIMIT, Box::pin(context.look_at(app, &mut cache))).await {
                Ok(looked) => looked,
                Err(_) => Err(Error::timeout("reconcile", "ObservedApp", &name)),
            },
            Err(invalid) => {
                cache.pod_events = None;
                context
                    .report_unreadable(&namespace, &name, invalid)
                    .await
                    .map(|()| Look::Done)
            }
        }
    };
    let looked = look.with_context(trace.clone()).await;
    let mut reason = None;
    let (result, wait) = match looked {
        Ok(Look::Done) => {
            cache.failures = 0;
            ("done", jittered(context.resync))
        }
        Ok(Look::Again(wait)) => {
            cache.failures = 0;
            ("again", jittered(wait))
        }
        // Drawn twice in one look: somebody deletes what is drawn.
        Ok(Look::GoOn) => ("again", jittered(Duration::from_secs(1))),
        Err(error) => {
            reason = Some(error.reason());
            let wait = error.patience(cache.failures);
            cache.failures = cache.failures.saturating_add(1);
            context
                .metrics
                .errors
                .get_or_create(&ErrorLabel {
                    error: error.reason(),
                })
                .inc();
            if !matches!(error, Error::Stale) {
                warn!(namespace, app = name, failures = cache.failures, %error, "tried again in {wait:.1?}");
            }
            ("failed", wait)
        }
    };
    let wait = cache.pod_events.as_ref().map_or(wait, |pod| {
        wait.min(pod.due_in(Instant::now()).max(Duration::from_secs(1)))
    });
    context
        .metrics
        .reconciles
        .get_or_create(&ResultLabel { result })
        .inc();
    context
        .metrics
        .apps
        .show_failures(&namespace, &name, cache.failures);
    context.metrics.duration.observe(began.elapsed().as_secs_f64());
    let span = trace.span();
    span.set_attributes([
        KeyValue::new("k8s.namespace.name", namespace.clone()),
        KeyValue::new("observedapp.app", name.clone()),
        KeyValue::new("observedapp.result", result),
    ]);
    if let Some(reason) = reason {
        span.set_attribute(KeyValue::new("error.type", reason));
        span.set_status(Status::error(""));
    }
    span.end();
    context.caches.put(&namespace, &name, cache);
    debug!(namespace, app = name, result, "looked at");
    Action::requeue(wait)
}

enum Look {
    Done,
    /// All went well, and something is to be looked at again soon.
    Again(Duration),
    /// What was drawn at random is there and all else can be made with it, or a host was lost to an app that asked for
    /// it at the same moment.
    GoOn,
}

impl Context {
    async fn look_at(&self, app: &ObservedApp, cache: &mut AppCache) -> Result<Look, Error> {
        cache.absent.clear();
        match self.look_once(app, cache).await {
            Ok(Look::GoOn) => self.look_once(app, cache).await,
            looked => looked,
        }
    }

    async fn look_once(&self, app: &ObservedApp, cache: &mut AppCache) -> Result<Look, Error> {
        let story = Story {
            app,
            namespace: app.namespace().unwrap_or_default(),
            name: app.name_any(),
        };
        // Read before all else: whatever changes from here on makes a write that rests on it fail.
        let deployment = Key::new(Kind::Deployment, &story.namespace, &story.name);
        let replicas_version = self.store.get(&deployment).map(|live| live.resource_version);
        let observed = match self.observe(app, cache).await {
            Ok(observed) => observed,
            Err(error) => return self.unobserved(&story, error, cache).await,
        };
        // Bounded to some tens of milliseconds by what it lets in; the other apps need not wait for even that.
        let validated = tokio::task::block_in_place(|| validate(app, observed, self.settings.clone()));
        let mut valid = match validated {
            Ok(valid) => valid,
            Err(problems) => {
                self.report(&story, Progress::Invalid(&problems), None, &[], cache)
                    .await?;
                return Ok(if waits_for_storage(&problems) {
                    Look::Again(RETRY)
                } else {
                    Look::Done
                });
            }
        };
        let referred: BTreeSet<Key> = references(&valid)
            .iter()
            .map(|reference| Key::new(reference.kind, &story.namespace, &reference.name))
            .collect();
        let mut dependencies = referred.clone();
        if let Some(holder) = &valid.observed.host_holder {
            dependencies.insert(Key::new(Kind::Ingress, &holder.namespace, &holder.name));
        }
        self.set_dependencies(&story.namespace, &story.name, dependencies.clone());
        valid.observed.references_digest =
            match self.references.digest(&self.client, &self.store, &referred).await {
                Ok(digest) => digest,
                Err(error) => return self.unobserved(&story, error, cache).await,
            };
        let absent: Vec<Key> = referred
            .iter()
            .filter(|key| self.store.get(key).is_none())
            .cloned()
            .collect();
        let desired = desired(&valid);
        if app.spec.paused {
            self.set_dependencies(&story.namespace, &story.name, dependencies);
            self.report(&story, Progress::Paused(&desired), None, &absent, cache)
                .await?;
            return Ok(Look::Done);
        }
        let uid = app.uid().unwrap_or_default();
        let owner = Owner {
            namespace: &story.namespace,
            name: &story.name,
            uid: &uid,
            replicas_version: replicas_version.filter(|_| app.spec.autoscaling.is_some()),
        };
        let recorded = app.status.as_ref().and_then(|status| status.applied.as_deref());
        let outcome = self.converge(owner, &desired, recorded, cache).await;
        dependencies.extend(outcome.blockers.iter().cloned());
        self.set_dependencies(&story.namespace, &story.name, dependencies);
        self.tell_kept(cache, &outcome).await;
        if outcome.again || (desired.host_holder.is_none() && self.lost_host(app)) {
            return Ok(Look::GoOn);
        }
        let moved = matches!(outcome.errors.first(), Some(Error::Stale));
        if moved && cache.failures < TOLD_AFTER {
            // It is done again at once: there is nothing to tell yet.
            return Err(Error::Stale);
        }
        let progress = Progress::Applied {
            desired: &desired,
            errors: &outcome.errors,
        };
        let reported = self
            .report(&story, progress, outcome.hash.clone(), &absent, cache)
            .await;
        match outcome.errors.into_iter().next() {
            Some(error) => Err(error),
            None => reported.map(|()| {
                if desired.host_holder.is_some() {
                    Look::Again(RETRY)
                } else {
                    Look::Done
                }
            }),
        }
    }

    fn set_dependencies(&self, namespace: &str, name: &str, keys: BTreeSet<Key>) {
        let dropped = self.queue.set_dependencies(namespace, name, keys);
        self.references.forget_contents(&dropped);
    }

    async fn unobserved(&self, story: &Story<'_>, error: Error, cache: &mut AppCache) -> Result<Look, Error> {
        self.report(story, Progress::Unobserved(&error), None, &[], cache)
            .await?;
        Err(error)
    }

    async fn tell_kept(&self, cache: &AppCache, outcome: &Outcome) {
        for key in &outcome.kept {
            let note = format!(
                "the {} {} is kept: its deletionPolicy is Retain; delete it by hand if it is not needed any more",
                key.kind.as_str(),
                key.name
            );
            self.events.tell(&cache.reference, true, "Kept", &note).await;
        }
    }

    /// An app is gone: nothing is remembered or shown of it any more.
    pub async fn forget(&self, namespace: &str, name: &str) {
        self.queue.dequeued(namespace, name);
        self.set_dependencies(namespace, name, BTreeSet::new());
        self.references.forget_passwords(namespace, name);
        self.metrics.apps.show(namespace, name, None);
        let Some(cache) = self.caches.remove(namespace, name) else {
            return;
        };
        let kept: Vec<Key> = cache
            .applied
            .keys()
            .map(|(kind, object)| Key::new(*kind, namespace, object))
            .filter(|key| self.store.get(key).is_some_and(|live| live.retained))
            .collect();
        info!(namespace, app = name, kept = kept.len(), "the app is gone");
        let outcome = Outcome {
            kept,
            ..Outcome::default()
        };
        if self.lead.holds() {
            self.tell_kept(&cache, &outcome).await;
        }
    }
}

/// An administrator may let the StorageClass's claims grow.
fn waits_for_storage(problems: &Problems) -> bool {
    problems
        .0
        .iter()
        .any(|problem| problem.field == "spec.database.builtin.storage.size")
}
