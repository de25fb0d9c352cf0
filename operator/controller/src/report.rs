//! Report: what a reconcile found, written into the status and into Events.

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;
use kube::api::{Api, Patch, PatchParams};
use kube::core::DynamicObject;
use kube::core::error_boundary::InvalidObject;
use observedapp_api::{AppRef, ObservedApp, ObservedAppStatus};
use observedapp_desired::Kind;
use serde_json::json;
use tracing::{info, warn};

use crate::context::{AppCache, Context, Written};
use crate::error::{Class, Error};
use crate::key::Key;
use crate::metrics::AppState;
use crate::observe::references_of;
use crate::pod_events;
use crate::request::with_timeout;
use crate::status::{Composed, Facts, Progress, Transition, compose, noteworthy, unreadable};

impl Context {
    /// Writes the status, if it says anything new.
    pub async fn report(
        &self,
        id: &AppRef,
        app: &ObservedApp,
        progress: &Progress,
        cache: &mut AppCache,
    ) -> Result<(), Error> {
        let version = version_of(app);
        // The watch may not have brought back yet what was written last.
        cache.written = cache.written.take().filter(|written| written.version > version);
        let before = cache
            .written
            .as_ref()
            .map(|written| written.status.clone())
            .or_else(|| app.status.clone())
            .unwrap_or_default();
        self.observe_pod_events(id, cache).await;
        let facts = self.facts(app, id, progress, cache);
        let generation = app.metadata.generation;
        let Composed { status, transitions } = compose(&facts, &before, generation, jiff::Timestamp::now());
        self.metrics.apps.show(id, Some(app_state(&status, &facts)));
        drop(facts);
        if status != before && self.write(app, id, version, status, cache).await? {
            self.emit_transitions(id, &transitions, cache).await;
        }
        Ok(())
    }

    /// Lists the Events about the pod that keeps an app from being available, when that is due.
    async fn observe_pod_events(&self, id: &AppRef, cache: &mut AppCache) {
        let deployment = self.get(id, Kind::Deployment, &id.name);
        let facts = deployment.as_deref().and_then(|live| live.facts.as_deref());
        let waits = facts.is_some_and(|facts| !facts.all_answer());
        let known = cache.pod_events.take();
        if waits {
            cache.pod_events =
                pod_events::observe(&self.client, &id.namespace, &self.pods.of(id), known).await;
        }
    }

    fn facts<'a>(
        &self,
        app: &'a ObservedApp,
        id: &'a AppRef,
        progress: &'a Progress,
        cache: &'a AppCache,
    ) -> Facts<'a> {
        let spec = &app.spec;
        let database = spec.database.as_ref();
        let cloud_native_pg = database.and_then(|database| database.cloud_native_pg.as_ref());
        let database_kind = cloud_native_pg.map_or(Kind::StatefulSet, |_| Kind::Cluster);
        let gateway = spec.gateway.as_ref();
        let external_database = database.and_then(|database| database.external.as_ref());
        let external_cache = spec.cache.as_ref().and_then(|cache| cache.external.as_ref());
        let keys_of = |secret: Option<&String>| {
            let key = Key::new(Kind::Secret, &id.namespace, secret?);
            self.references.secret_keys(&self.store, &key)
        };
        let referred = match progress {
            Progress::Applied { .. } | Progress::Paused(_) => references_of(id, app),
            Progress::Unobserved(_) | Progress::Invalid(_) => BTreeSet::new(),
        };
        Facts {
            app: id,
            uid: &cache.uid,
            spec,
            progress,
            deployment: self.get(id, Kind::Deployment, &id.name),
            service: self.get(id, Kind::Service, &id.name),
            ingress: self.get(id, Kind::Ingress, &id.name),
            http_route: self.get(id, Kind::HTTPRoute, &id.name),
            probe: self.get(id, Kind::Probe, &id.name),
            database: database.and_then(|_| self.get(id, database_kind, &id.database())),
            cache: self.get(id, Kind::Deployment, &id.cache()),
            autoscaler: self.get(id, Kind::HorizontalPodAutoscaler, &id.name),
            database_secret_keys: keys_of(external_database.map(|secret| &secret.secret_name)),
            cache_secret_keys: keys_of(external_cache.map(|secret| &secret.secret_name)),
            pods: self.pods.of(id),
            events: cache.pod_events.as_ref(),
            absent: referred
                .into_iter()
                .filter(|key| self.store.get(key).is_none())
                .collect(),
            ingress_classes: self.ingress_classes.known(),
            absent_gateways: gateway
                .map(|gateway| self.gateways.absent(&id.namespace, gateway))
                .unwrap_or_default(),
            https_hosts: self.https_hosts(app),
            has_prober: self.settings.prober_url.is_some(),
            prometheus: self.prometheus.facts(id),
        }
    }

    /// Says whether the app still exists.
    async fn write(
        &self,
        app: &ObservedApp,
        id: &AppRef,
        version: u64,
        status: ObservedAppStatus,
        cache: &mut AppCache,
    ) -> Result<bool, Error> {
        self.check_leadership()?;
        let api: Api<ObservedApp> = Api::namespaced(self.client.clone(), &id.namespace);
        // The whole status is replaced, and only that of the app as it was read: not of another by the same name, nor
        // one that another leader has reconciled since.
        let read_at = cache.written.as_ref().map_or(version, |written| written.version);
        let patch: json_patch::Patch = match serde_json::from_value(json!([
            {"op": "test", "path": "/metadata/uid", "value": app.metadata.uid},
            {"op": "replace", "path": "/metadata/resourceVersion", "value": read_at.to_string()},
            {"op": "add", "path": "/status", "value": status},
        ])) {
            Ok(patch) => patch,
            Err(error) => {
                warn!(namespace = id.namespace, app = id.name, %error, "the status cannot be written as JSON");
                return Ok(false);
            }
        };
        let params = PatchParams::default();
        let patch = Patch::<()>::Json(patch);
        let request = api.patch_status(&id.name, &params, &patch);
        match with_timeout("patch", "ObservedApp/status", &id.name, request).await {
            Ok(patched) => {
                cache.written = Some(Written {
                    version: version_of(&patched),
                    status,
                });
                Ok(true)
            }
            Err(Error::Api {
                class: Class::ApiMissing,
                ..
            }) => Ok(false),
            Err(error) => Err(error.or_stale()),
        }
    }

    async fn emit_transitions(&self, id: &AppRef, transitions: &[Transition], cache: &AppCache) {
        // One cause may change several conditions; it is one Event.
        let mut emitted = BTreeSet::new();
        for transition in transitions.iter().filter(|transition| noteworthy(transition)) {
            if !emitted.insert(&transition.reason) {
                continue;
            }
            let reason = if transition.good {
                transition.type_.as_str()
            } else {
                transition.reason.as_str()
            };
            info!(
                namespace = id.namespace,
                app = id.name,
                condition = transition.type_.as_str(),
                reason,
                "{}",
                transition.message
            );
            self.events
                .emit(&cache.reference, transition.good, reason, &transition.message)
                .await;
        }
    }

    pub async fn emit_retained_events(&self, cache: &AppCache, retained: &[Key]) {
        for key in retained {
            let note = format!(
                "the {} {} is kept: its deletionPolicy is Retain; delete it by hand if it is not needed any more",
                key.kind.as_str(),
                key.name
            );
            self.events.emit(&cache.reference, true, "Kept", &note).await;
        }
    }

    /// An object that cannot be read as an ObservedApp, stored under an older or a foreign schema.
    pub async fn report_unreadable(&self, id: &AppRef, invalid: &InvalidObject) -> Result<(), Error> {
        let AppRef { namespace, name } = id;
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
        let conditions = &object.data["status"]["conditions"];
        let before: Vec<Condition> = serde_json::from_value(conditions.clone()).unwrap_or_default();
        let generation = invalid.metadata.generation;
        let conditions = unreadable(&before, &message, generation, jiff::Timestamp::now());
        if conditions == before {
            return Ok(());
        }
        self.check_leadership()?;
        let status = json!({"status": {"observedGeneration": generation, "conditions": conditions}});
        let params = PatchParams::default();
        let patch = Patch::Merge(status);
        let request = api.patch_status(name, &params, &patch);
        with_timeout("patch", "ObservedApp/status", name, request).await?;
        Ok(())
    }
}

/// What the operator's own metrics show of an app.
fn app_state(status: &ObservedAppStatus, facts: &Facts<'_>) -> AppState {
    let updated = facts.deployment_facts().map_or(0, |facts| facts.updated);
    let restarts = facts.pods.iter();
    let restarts = restarts.map(|(name, pod)| (name.clone(), pod.restarts.into()));
    AppState::new(status, facts.wanted(), updated, restarts.collect())
}

/// Which write of an app this is; a later one has a higher number.
fn version_of(app: &ObservedApp) -> u64 {
    app.resource_version()
        .and_then(|version| version.parse().ok())
        .unwrap_or_default()
}
