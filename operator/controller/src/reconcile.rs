//! One look at one app: observe, validate, build, apply, report. Whatever happens on the way, the status says it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kube::api::{Api, Patch, PatchParams};
use kube::core::DynamicObject;
use kube::runtime::controller::Action;
use kube::{Resource, ResourceExt};
use observedapp_api::{BindingStatus, ConditionType, ObservedApp, ObservedAppStatus, ServiceType};
use observedapp_desired::{Desired, Kind, Object, Problems, desired, references, validate};
use serde_json::json;
use traces::{Attribute, CURRENT, Span, SpanKind};
use tracing::{debug, info, warn};

use crate::App;
use crate::apply::{Outcome, Owner};
use crate::context::{AppMemory, Context, Written};
use crate::error::{Error, jittered};
use crate::metrics::{AppState, ErrorLabel, ResultLabel};
use crate::prometheus::{Expected, Proof};
use crate::request::within;
use crate::status::{AppFacts, Finding, Progress, carried, findings, merge, noteworthy};
use crate::watch::Key;

/// The longest that one look may take; it is only ever reached when the API server hangs.
const LIMIT: Duration = Duration::from_mins(3);

/// How many times in a row what was read may have changed meanwhile before the status says so.
const TOLD_AFTER: u32 = 5;

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
}

/// What a reconcile found out, for the status.
struct Story<'a> {
    app: &'a ObservedApp,
    namespace: String,
    name: String,
}

impl Context {
    async fn look_at(&self, app: &ObservedApp, memory: &mut AppMemory) -> Result<Look, Error> {
        let story = Story {
            app,
            namespace: app.namespace().unwrap_or_default(),
            name: app.name_any(),
        };
        // Read before all else: whatever changes from here on makes a write that rests on it fail.
        let deployment = Key::new(Kind::Deployment, &story.namespace, &story.name);
        let count_read_at = self.store.get(&deployment).map(|live| live.resource_version);
        let observed = match self.observe(app).await {
            Ok(observed) => observed,
            Err(error) => return self.unobserved(&story, error, memory).await,
        };
        let mut valid = match validate(app, observed, self.settings.clone()) {
            Ok(valid) => valid,
            Err(problems) => {
                self.report(&story, Progress::Invalid(&problems), None, &[], memory)
                    .await?;
                return Ok(look_again_at(&problems));
            }
        };
        let mut interests: BTreeSet<Key> = references(&valid)
            .iter()
            .map(|reference| Key::new(reference.kind, &story.namespace, &reference.name))
            .collect();
        self.queue
            .set_interests(&story.namespace, &story.name, interests.clone());
        valid.observed.references_digest = match self
            .references
            .digest(&self.client, &self.store, &interests)
            .await
        {
            Ok(digest) => digest,
            Err(error) => return self.unobserved(&story, error, memory).await,
        };
        let absent: Vec<Key> = interests
            .iter()
            .filter(|key| self.store.get(key).is_none())
            .cloned()
            .collect();
        let desired = desired(&valid);
        if app.spec.paused {
            self.queue.set_interests(&story.namespace, &story.name, interests);
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
        self.queue.set_interests(&story.namespace, &story.name, interests);
        self.tell_kept(memory, &outcome).await;
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
        let generated = !desired.generated.is_empty();
        match outcome.errors.into_iter().next() {
            Some(error) => Err(error),
            None => reported.map(|()| {
                if generated {
                    Look::Again(Duration::from_millis(1))
                } else {
                    Look::Done
                }
            }),
        }
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

    /// Writes the status, if it says anything new.
    async fn report(
        &self,
        story: &Story<'_>,
        progress: Progress<'_>,
        applied: Option<String>,
        absent: &[Key],
        memory: &mut AppMemory,
    ) -> Result<(), Error> {
        let Story { app, namespace, name } = story;
        let version = app
            .resource_version()
            .and_then(|version| version.parse::<u64>().ok())
            .unwrap_or_default();
        // The watch may not have brought back yet what was written last.
        if memory
            .written
            .as_ref()
            .is_some_and(|written| written.version <= version)
        {
            memory.written = None;
        }
        let before = memory
            .written
            .as_ref()
            .map(|written| written.status.clone())
            .or_else(|| app.status.clone())
            .unwrap_or_default();

        let get = |kind: Kind, name: &str| self.store.get(&Key::new(kind, namespace, name));
        let deployment = get(Kind::Deployment, name);
        let service = get(Kind::Service, name);
        let ingress = get(Kind::Ingress, name);
        let database_name = format!("{name}-db");
        let database = match app.spec.database.as_ref() {
            Some(database) if database.cloud_native_pg.is_some() => get(Kind::Cluster, &database_name),
            Some(_) => get(Kind::StatefulSet, &database_name),
            None => None,
        };
        let cache = get(Kind::Deployment, &format!("{name}-cache"));
        let pods = self.pods.of(namespace, name);
        let classes = self.ingress_classes.known();
        let recorded_binding = binding(&progress, name);
        let kept_applied = matches!(
            progress,
            Progress::Unobserved(_) | Progress::Invalid(_) | Progress::Paused(_)
        );
        let (rules_hash, missing) = match &progress {
            Progress::Applied { desired, .. } | Progress::Paused(desired) => {
                (rules_hash(desired), desired.missing.clone())
            }
            Progress::Unobserved(_) | Progress::Invalid(_) => (None, Vec::new()),
        };
        let facts = AppFacts {
            name,
            spec: &app.spec,
            progress,
            deployment: deployment.as_deref(),
            service: service.as_deref(),
            ingress: ingress.as_deref(),
            database: database.as_deref(),
            cache: cache.as_deref(),
            pods: &pods,
            absent,
            ingress_classes: classes.as_deref(),
        };
        let mut all: Vec<Finding> = findings(&facts);
        let expected = Expected {
            settings: &self.settings,
            rules_hash: rules_hash.as_deref(),
            missing: &missing,
            wanted: deployment
                .as_deref()
                .and_then(|live| live.facts.as_deref()?.wanted)
                .unwrap_or(app.spec.replicas),
        };
        let mut proof = self.prometheus.proof(app, &expected);
        all.extend(
            proof
                .iter_mut()
                .flat_map(|proof| std::mem::take(&mut proof.findings)),
        );
        let now = jiff::Timestamp::now();
        let (mut conditions, transitions) = merge(&before.conditions, all, app.metadata.generation, now);
        // Until Prometheus was asked once, what was last known of it stays.
        let proof = proof.unwrap_or_else(|| {
            conditions.extend(carried(&before.conditions));
            Proof {
                findings: Vec::new(),
                firing_alerts: before.firing_alerts,
                alerts: before.alerts.clone(),
                worst_slo: before.worst_slo.clone(),
                slos: before.slos.clone(),
            }
        });
        let rank = |type_: &str| {
            ConditionType::ALL
                .iter()
                .position(|known| known.as_str() == type_)
        };
        conditions.sort_by_key(|condition| rank(&condition.type_));
        let standing = deployment
            .as_ref()
            .and_then(|live| live.facts.as_deref())
            .cloned()
            .unwrap_or_default();
        let status = ObservedAppStatus {
            observed_generation: app.metadata.generation,
            replicas: standing.replicas,
            ready_replicas: standing.ready,
            selector: Some(format!(
                "app.kubernetes.io/component=app,app.kubernetes.io/instance={name},app.kubernetes.io/name={name}"
            )),
            url: Some(url(
                app,
                namespace,
                service.as_deref().and_then(|live| live.facts.as_deref()),
            )),
            binding: recorded_binding
                .or_else(|| before.binding.clone().filter(|_| app.spec.database.is_some())),
            applied: applied.or_else(|| before.applied.clone().filter(|_| kept_applied)),
            firing_alerts: proof.firing_alerts,
            alerts: proof.alerts,
            worst_slo: proof.worst_slo,
            slos: proof.slos,
            conditions,
        };
        self.metrics.apps.show(
            namespace,
            name,
            Some(app_state(app, &status, standing.wanted, standing.updated)),
        );
        if status == before {
            return Ok(());
        }
        self.check_lead()?;
        let api: Api<ObservedApp> = Api::namespaced(self.client.clone(), namespace);
        // The whole status is replaced, and only that of the app as it was read: not of another by the same name, nor
        // one that another leader has looked at since.
        let read_at = memory.written.as_ref().map_or(version, |written| written.version);
        let patch: json_patch::Patch = match serde_json::from_value(json!([
            {"op": "test", "path": "/metadata/uid", "value": app.metadata.uid},
            {"op": "replace", "path": "/metadata/resourceVersion", "value": read_at.to_string()},
            {"op": "add", "path": "/status", "value": status},
        ])) {
            Ok(patch) => patch,
            Err(error) => {
                warn!(namespace, app = name, %error, "the status cannot be written as JSON");
                return Ok(());
            }
        };
        let patched = within(
            "patch",
            "ObservedApp/status",
            name,
            api.patch_status(name, &PatchParams::default(), &Patch::<()>::Json(patch)),
        )
        .await;
        match patched {
            Ok(patched) => {
                memory.written = Some(Written {
                    version: patched
                        .resource_version()
                        .and_then(|version| version.parse().ok())
                        .unwrap_or_default(),
                    status,
                });
            }
            // It is gone: there is nobody to tell.
            Err(Error::Api {
                class: crate::error::Class::ApiMissing,
                ..
            }) => return Ok(()),
            Err(error) => return Err(error.or_moved()),
        }
        // One cause may turn several conditions; it is told once.
        let mut told = BTreeSet::new();
        for transition in transitions.iter().filter(|transition| noteworthy(transition)) {
            if !told.insert(transition.reason.as_str()) {
                continue;
            }
            let reason = if transition.good {
                transition.type_.as_str().to_owned()
            } else {
                transition.reason.clone()
            };
            info!(
                namespace,
                app = name,
                condition = transition.type_.as_str(),
                reason,
                "{}",
                transition.message
            );
            self.events
                .tell(&memory.reference, transition.good, &reason, &transition.message)
                .await;
        }
        Ok(())
    }

    /// An object that cannot be read as an ObservedApp, stored under an older or a foreign schema.
    async fn report_unreadable(
        &self,
        namespace: &str,
        name: &str,
        invalid: &kube::core::error_boundary::InvalidObject,
    ) -> Result<(), Error> {
        warn!(
            namespace,
            app = name,
            error = invalid.error,
            "the object cannot be read"
        );
        let message = format!(
            "the object cannot be read: {}: correct the field with `kubectl edit oapp {name}`, or delete the object",
            invalid.error
        );
        let resource = kube::core::ApiResource::erase::<ObservedApp>(&());
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), namespace, &resource);
        let Some(object) = within("get", "ObservedApp", name, api.get_opt(name)).await? else {
            return Ok(());
        };
        let old: Vec<_> = object
            .data
            .get("status")
            .and_then(|status| status.get("conditions"))
            .and_then(|conditions| serde_json::from_value(conditions.clone()).ok())
            .unwrap_or_default();
        let found = vec![
            Finding::no(ConditionType::Ready, "Unreadable", message.clone()),
            Finding::no(ConditionType::Valid, "Unreadable", message),
        ];
        let (conditions, _) = merge(&old, found, invalid.metadata.generation, jiff::Timestamp::now());
        if conditions == old {
            return Ok(());
        }
        self.check_lead()?;
        let status =
            json!({"status": {"observedGeneration": invalid.metadata.generation, "conditions": conditions}});
        within(
            "patch",
            "ObservedApp/status",
            name,
            api.patch_status(name, &PatchParams::default(), &Patch::Merge(status)),
        )
        .await?;
        Ok(())
    }

    /// An app is gone: nothing is remembered or shown of it any more.
    pub async fn forget(&self, namespace: &str, name: &str) {
        self.queue.taken(namespace, name);
        self.queue.set_interests(namespace, name, BTreeSet::new());
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

/// A route that an older app has is given back without anybody telling us.
fn look_again_at(problems: &Problems) -> Look {
    if problems
        .0
        .iter()
        .any(|problem| problem.field.starts_with("spec.ingress"))
    {
        Look::Again(Duration::from_secs(30))
    } else {
        Look::Done
    }
}

/// The Secret that binds to the database, as soon as it is among the objects.
fn binding(progress: &Progress<'_>, name: &str) -> Option<BindingStatus> {
    let (Progress::Applied { desired, .. } | Progress::Paused(desired)) = progress else {
        return None;
    };
    let binding = format!("{name}-db-binding");
    has_secret(desired, &binding).then_some(BindingStatus { name: binding })
}

fn has_secret(desired: &Desired, name: &str) -> bool {
    desired
        .objects
        .iter()
        .any(|object| object.kind() == Kind::Secret && object.name() == name)
}

/// The hash by which Prometheus proves that it has loaded the app's rules.
fn rules_hash(desired: &Desired) -> Option<String> {
    desired.objects.iter().find_map(|object| match object {
        Object::PrometheusRule(rule) => rule
            .spec
            .groups
            .iter()
            .flat_map(|group| &group.rules)
            .find(|rule| rule.record.as_deref() == Some(observedapp_slo::names::RULES_INFO))
            .and_then(|rule| rule.labels.get("hash").cloned()),
        _ => None,
    })
}

/// Where the app is reached: through its Ingress, its load balancer, or within the cluster.
fn url(app: &ObservedApp, namespace: &str, service: Option<&crate::watch::Facts>) -> String {
    if let Some(ingress) = &app.spec.ingress {
        let scheme = if ingress.tls_secret_name.is_some() {
            "https"
        } else {
            "http"
        };
        return format!("{scheme}://{}{}", ingress.host, ingress.path);
    }
    let port = match app.spec.service.port {
        80 => String::new(),
        port => format!(":{port}"),
    };
    let address = service.and_then(|facts| facts.addresses.first());
    if app.spec.service.type_ == ServiceType::LoadBalancer
        && let Some(address) = address
    {
        let host = if address.contains(':') {
            format!("[{address}]")
        } else {
            address.clone()
        };
        return format!("http://{host}{port}/");
    }
    format!("http://{}.{namespace}.svc{port}/", app.name_any())
}

fn app_state(app: &ObservedApp, status: &ObservedAppStatus, wanted: Option<i32>, updated: i32) -> AppState {
    let lower = |status: &str| match status {
        "True" => "true",
        "False" => "false",
        _ => "unknown",
    };
    AppState {
        ready: status
            .conditions
            .iter()
            .any(|condition| condition.type_ == "Ready" && condition.status == "True"),
        conditions: status
            .conditions
            .iter()
            .map(|condition| (condition.type_.clone(), lower(&condition.status)))
            .collect(),
        wanted: wanted.unwrap_or(app.spec.replicas).into(),
        ready_replicas: status.ready_replicas.into(),
        updated: updated.into(),
        slos: status
            .slos
            .iter()
            .map(|slo| (slo.name.clone(), slo_state(slo.state)))
            .collect(),
    }
}

fn slo_state(state: observedapp_api::SloState) -> &'static str {
    match state {
        observedapp_api::SloState::Met => "Met",
        observedapp_api::SloState::AtRisk => "AtRisk",
        observedapp_api::SloState::Violated => "Violated",
        observedapp_api::SloState::NoData => "NoData",
    }
}
