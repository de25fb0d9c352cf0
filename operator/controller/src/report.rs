//! What a reconcile found out, written into the status and told: whatever happened, somebody reads it there.

use std::collections::BTreeSet;

use kube::ResourceExt;
use kube::api::{Api, Patch, PatchParams};
use kube::core::DynamicObject;
use kube::core::error_boundary::InvalidObject;
use observedapp_api::{
    BindingStatus, ConditionType, ExternalCache, ObservedApp, ObservedAppStatus, SecretKey,
};
use observedapp_desired::{Desired, Kind, Object};
use serde_json::json;
use tracing::{info, warn};

use crate::context::{AppCache, Context, Written};
use crate::error::{Class, Error};
use crate::metrics::AppState;
use crate::pod_events::PodEvents;
use crate::prometheus::{Expected, Proof};
use crate::request::with_timeout;
use crate::status::{AppFacts, Finding, Progress, Transition, carried, findings, merge, noteworthy, url};
use crate::watch::Key;

/// What a reconcile found out, for the status.
pub struct Story<'a> {
    pub app: &'a ObservedApp,
    pub namespace: String,
    pub name: String,
}

struct Composed {
    status: ObservedAppStatus,
    transitions: Vec<Transition>,
    state: AppState,
}

impl Context {
    /// Writes the status, if it says anything new.
    pub async fn report(
        &self,
        story: &Story<'_>,
        progress: Progress<'_>,
        applied: Option<String>,
        absent: &[Key],
        cache: &mut AppCache,
    ) -> Result<(), Error> {
        let Story { app, namespace, name } = story;
        let version = version_of(app);
        // The watch may not have brought back yet what was written last.
        if cache
            .written
            .as_ref()
            .is_some_and(|written| written.version <= version)
        {
            cache.written = None;
        }
        let before = cache
            .written
            .as_ref()
            .map(|written| written.status.clone())
            .or_else(|| app.status.clone())
            .unwrap_or_default();

        self.observe_pod_events(namespace, name, cache).await;
        let events = cache.pod_events.as_ref();
        let Composed {
            status,
            transitions,
            state,
        } = self.compose(story, progress, applied, absent, events, &before);
        self.metrics.apps.show(namespace, name, Some(state));
        if status == before {
            return Ok(());
        }
        if self.write(story, version, status, cache).await? {
            self.tell(story, &transitions, cache).await;
        }
        Ok(())
    }

    /// All that is to be said of an app, with what was said `before` where nothing newer is known.
    fn compose(
        &self,
        story: &Story<'_>,
        progress: Progress<'_>,
        applied: Option<String>,
        absent: &[Key],
        events: Option<&PodEvents>,
        before: &ObservedAppStatus,
    ) -> Composed {
        let Story { app, namespace, name } = story;
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
        let autoscaler = get(Kind::HorizontalPodAutoscaler, name);
        let keys_of = |secret: Option<&String>| {
            let key = Key::new(Kind::Secret, namespace, secret?);
            self.references.secret_keys(&self.store, &key)
        };
        let database_keys = keys_of(external_database(app).map(|external| &external.secret_name));
        let cache_keys = keys_of(external_cache(app).map(|external| &external.secret_name));
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
            autoscaler: autoscaler.as_deref(),
            database_secret_keys: database_keys.as_deref(),
            cache_secret_keys: cache_keys.as_deref(),
            pods: &pods,
            events,
            absent,
            ingress_classes: classes.as_deref(),
        };
        let mut all: Vec<Finding> = findings(&facts);
        let expected = Expected {
            settings: &self.settings,
            rules_hash: rules_hash.as_deref(),
            missing: &missing,
            is_probed: get(Kind::Probe, name).is_some(),
            wanted: deployment
                .as_deref()
                .and_then(|live| live.facts.as_deref()?.wanted)
                .unwrap_or(app.spec.replicas),
        };
        let mut proof = self.prometheus.proof(app, &expected, &before.slos);
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
            url: Some(url(app, service.as_deref(), ingress.as_deref())),
            binding: recorded_binding
                .or_else(|| before.binding.clone().filter(|_| app.spec.database.is_some())),
            applied: applied.or_else(|| before.applied.clone().filter(|_| kept_applied)),
            firing_alerts: proof.firing_alerts,
            alerts: proof.alerts,
            worst_slo: proof.worst_slo,
            slos: proof.slos,
            conditions,
        };
        let state = AppState::new(
            &status,
            standing.wanted.unwrap_or(app.spec.replicas),
            standing.updated,
            pods.iter()
                .map(|(name, pod)| (name.clone(), pod.restarts.into()))
                .collect(),
        );
        Composed {
            status,
            transitions,
            state,
        }
    }

    /// Says whether there was still somebody to tell.
    async fn write(
        &self,
        story: &Story<'_>,
        version: u64,
        status: ObservedAppStatus,
        cache: &mut AppCache,
    ) -> Result<bool, Error> {
        let Story { app, namespace, name } = story;
        self.check_lead()?;
        let api: Api<ObservedApp> = Api::namespaced(self.client.clone(), namespace);
        // The whole status is replaced, and only that of the app as it was read: not of another by the same name, nor
        // one that another leader has looked at since.
        let read_at = cache.written.as_ref().map_or(version, |written| written.version);
        let patch: json_patch::Patch = match serde_json::from_value(json!([
            {"op": "test", "path": "/metadata/uid", "value": app.metadata.uid},
            {"op": "replace", "path": "/metadata/resourceVersion", "value": read_at.to_string()},
            {"op": "add", "path": "/status", "value": status},
        ])) {
            Ok(patch) => patch,
            Err(error) => {
                warn!(namespace, app = name, %error, "the status cannot be written as JSON");
                return Ok(false);
            }
        };
        let patched = with_timeout(
            "patch",
            "ObservedApp/status",
            name,
            api.patch_status(name, &PatchParams::default(), &Patch::<()>::Json(patch)),
        )
        .await;
        match patched {
            Ok(patched) => {
                cache.written = Some(Written {
                    version: version_of(&patched),
                    status,
                });
                Ok(true)
            }
            // It is gone: there is nobody to tell.
            Err(Error::Api {
                class: Class::ApiMissing,
                ..
            }) => Ok(false),
            Err(error) => Err(error.or_stale()),
        }
    }

    async fn tell(&self, story: &Story<'_>, transitions: &[Transition], cache: &AppCache) {
        let Story { namespace, name, .. } = story;
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
                .tell(&cache.reference, transition.good, &reason, &transition.message)
                .await;
        }
    }

    /// An object that cannot be read as an ObservedApp, stored under an older or a foreign schema.
    pub async fn report_unreadable(
        &self,
        namespace: &str,
        name: &str,
        invalid: &InvalidObject,
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
        let Some(object) = with_timeout("get", "ObservedApp", name, api.get_opt(name)).await? else {
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
            Finding::no(ConditionType::Valid, "Unreadable", message.clone()),
            Finding::yes(ConditionType::Stalled, "Unreadable", message),
        ];
        let (conditions, _) = merge(&old, found, invalid.metadata.generation, jiff::Timestamp::now());
        if conditions == old {
            return Ok(());
        }
        self.check_lead()?;
        let status =
            json!({"status": {"observedGeneration": invalid.metadata.generation, "conditions": conditions}});
        with_timeout(
            "patch",
            "ObservedApp/status",
            name,
            api.patch_status(name, &PatchParams::default(), &Patch::Merge(status)),
        )
        .await?;
        Ok(())
    }
}

fn external_database(app: &ObservedApp) -> Option<&SecretKey> {
    app.spec.database.as_ref()?.external.as_ref()
}

fn external_cache(app: &ObservedApp) -> Option<&ExternalCache> {
    app.spec.cache.as_ref()?.external.as_ref()
}

/// Which write of an app this is; a later one has a higher number.
fn version_of(app: &ObservedApp) -> u64 {
    app.resource_version()
        .and_then(|version| version.parse().ok())
        .unwrap_or_default()
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
