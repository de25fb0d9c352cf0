//! One look at one app: observe, validate, build, apply, report. Whatever happens on the way, the status says it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kube::runtime::controller::Action;
use kube::{Resource, ResourceExt};
use observedapp_api::ObservedApp;
use observedapp_desired::{Kind, Problems, desired, references, validate};
use traces::{Attribute, CURRENT, Span, SpanKind};
use tracing::{debug, info, warn};

use crate::App;
use crate::apply::{Outcome, Owner};
use crate::context::{AppMemory, Context};
use crate::error::{Error, jittered};
use crate::metrics::{ErrorLabel, ResultLabel};
use crate::report::Story;
use crate::status::Progress;
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
    context.queue.taken(&namespace, &name);
    let began = Instant::now();
    let mut memory = context.memory.take(&namespace, &name, &uid);
    memory.reference = app.object_ref(&());
    let span = context.traces.begin(None);
    let look = async {
        match &app.0 {
            _ if app.meta().deletion_timestamp.is_some() => Ok(Look::Done),
            Ok(app) => match tokio::time::timeout(LIMIT, Box::pin(context.look_at(app, &mut memory))).await {
                Ok(looked) => looked,
                Err(_) => Err(Error::timeout("reconcile", "ObservedApp", &name)),
            },
            Err(invalid) => context
                .report_unreadable(&namespace, &name, invalid)
                .await
                .map(|()| Look::Done),
        }
    };
    let looked = CURRENT.scope(span, look).await;
    let mut reason = None;
    let (result, wait) = match looked {
        Ok(Look::Done) => {
            memory.failures = 0;
            ("done", jittered(context.resync))
        }
        Ok(Look::Again(wait)) => {
            memory.failures = 0;
            ("again", jittered(wait))
        }
        // Drawn twice in one look: somebody deletes what is drawn.
        Ok(Look::GoOn) => ("again", jittered(Duration::from_secs(1))),
        Err(error) => {
            reason = Some(error.reason());
            let wait = error.patience(memory.failures);
            memory.failures = memory.failures.saturating_add(1);
            context
                .metrics
                .errors
                .get_or_create(&ErrorLabel {
                    error: error.reason(),
                })
                .inc();
            if !matches!(error, Error::Moved) {
                warn!(namespace, app = name, failures = memory.failures, %error, "tried again in {wait:.1?}");
            }
            ("failed", wait)
        }
    };
    context
        .metrics
        .reconciles
        .get_or_create(&ResultLabel { result })
        .inc();
    let duration = began.elapsed();
    context.metrics.duration.observe(duration.as_secs_f64());
    let attributes: Vec<_> = [
        ("k8s.namespace.name", namespace.as_str()),
        ("observedapp.app", &name),
        ("observedapp.result", result),
    ]
    .into_iter()
    .chain(reason.map(|reason| ("error.type", reason)))
    .map(|(key, value)| (key, Attribute::Text(value)))
    .collect();
    context.traces.record(&Span {
        context: span,
        parent: None,
        kind: SpanKind::Internal,
        name: "reconcile",
        duration,
        attributes: &attributes,
        failed: reason.is_some(),
    });
    context.memory.put(&namespace, &name, memory);
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
    async fn look_at(&self, app: &ObservedApp, memory: &mut AppMemory) -> Result<Look, Error> {
        memory.absent.clear();
        match self.look_once(app, memory).await {
            Ok(Look::GoOn) => self.look_once(app, memory).await,
            looked => looked,
        }
    }

    async fn look_once(&self, app: &ObservedApp, memory: &mut AppMemory) -> Result<Look, Error> {
        let story = Story {
            app,
            namespace: app.namespace().unwrap_or_default(),
            name: app.name_any(),
        };
        // Read before all else: whatever changes from here on makes a write that rests on it fail.
        let deployment = Key::new(Kind::Deployment, &story.namespace, &story.name);
        let count_read_at = self.store.get(&deployment).map(|live| live.resource_version);
        let observed = match self.observe(app, memory).await {
            Ok(observed) => observed,
            Err(error) => return self.unobserved(&story, error, memory).await,
        };
        let mut valid = match validate(app, observed, self.settings.clone()) {
            Ok(valid) => valid,
            Err(problems) => {
                self.report(&story, Progress::Invalid(&problems), None, &[], memory)
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
        let mut interests = referred.clone();
        if let Some(holder) = &valid.observed.host_holder {
            interests.insert(Key::new(Kind::Ingress, &holder.namespace, &holder.name));
        }
        self.set_interests(&story.namespace, &story.name, interests.clone());
        valid.observed.references_digest =
            match self.references.digest(&self.client, &self.store, &referred).await {
                Ok(digest) => digest,
                Err(error) => return self.unobserved(&story, error, memory).await,
            };
        let absent: Vec<Key> = referred
            .iter()
            .filter(|key| self.store.get(key).is_none())
            .cloned()
            .collect();
        let desired = desired(&valid);
        if app.spec.paused {
            self.set_interests(&story.namespace, &story.name, interests);
            self.report(&story, Progress::Paused(&desired), None, &absent, memory)
                .await?;
            return Ok(Look::Done);
        }
        let uid = app.uid().unwrap_or_default();
        let owner = Owner {
            namespace: &story.namespace,
            name: &story.name,
            uid: &uid,
            count_read_at: count_read_at.filter(|_| app.spec.autoscaling.is_some()),
        };
        let recorded = app.status.as_ref().and_then(|status| status.applied.as_deref());
        let outcome = self.converge(owner, &desired, recorded, memory).await;
        interests.extend(outcome.in_the_way.iter().cloned());
        self.set_interests(&story.namespace, &story.name, interests);
        self.tell_kept(memory, &outcome).await;
        if outcome.again || (desired.host_holder.is_none() && self.lost_host(app)) {
            return Ok(Look::GoOn);
        }
        let moved = matches!(outcome.errors.first(), Some(Error::Moved));
        if moved && memory.failures < TOLD_AFTER {
            // It is done again at once: there is nothing to tell yet.
            return Err(Error::Moved);
        }
        let progress = Progress::Applied {
            desired: &desired,
            errors: &outcome.errors,
        };
        let reported = self
            .report(&story, progress, outcome.hash.clone(), &absent, memory)
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

    fn set_interests(&self, namespace: &str, name: &str, keys: BTreeSet<Key>) {
        let dropped = self.queue.set_interests(namespace, name, keys);
        self.references.forget_contents(&dropped);
    }

    async fn unobserved(
        &self,
        story: &Story<'_>,
        error: Error,
        memory: &mut AppMemory,
    ) -> Result<Look, Error> {
        self.report(story, Progress::Unobserved(&error), None, &[], memory)
            .await?;
        Err(error)
    }

    async fn tell_kept(&self, memory: &AppMemory, outcome: &Outcome) {
        for key in &outcome.kept {
            let note = format!(
                "the {} {} is kept: its deletionPolicy is Retain; delete it by hand if it is not needed any more",
                key.kind.as_str(),
                key.name
            );
            self.events.tell(&memory.reference, true, "Kept", &note).await;
        }
    }

    /// An app is gone: nothing is remembered or shown of it any more.
    pub async fn forget(&self, namespace: &str, name: &str) {
        self.queue.taken(namespace, name);
        self.set_interests(namespace, name, BTreeSet::new());
        self.references.forget_passwords(namespace, name);
        self.metrics.apps.show(namespace, name, None);
        let Some(memory) = self.memory.remove(namespace, name) else {
            return;
        };
        let kept: Vec<Key> = memory
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
            self.tell_kept(&memory, &outcome).await;
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
