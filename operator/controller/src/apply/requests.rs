//! The writes themselves: each only as the leader, and only on what is known.

use k8s_openapi::api::core::v1::Secret;
use kube::Resource;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams, Preconditions, Request};
use observedapp_api::FIELD_MANAGER;
use observedapp_desired::Kind;
use serde::Serialize;
use serde_json::Value;
use tracing::info;

use super::object::{DesiredObject, Target, check_ownership};
use crate::context::Context;
use crate::error::{Class, Error};
use crate::key::Key;
use crate::request::with_timeout;
use crate::watch::{self, ChildState, Partial, RequestMark};

impl Context {
    /// Applies an object: by force, if it is known to be the app's, and then only to the version that is known. So a
    /// write that was decided on something older changes nothing, be it that of a leader that was frozen and is no
    /// leader any more.
    pub(super) async fn send(
        &self,
        object: &DesiredObject,
        known: Option<&ChildState>,
    ) -> Result<ChildState, Error> {
        self.check_leadership()?;
        let key = &object.key;
        let mark = self.store.mark_request();
        let mut value = object.value.clone();
        if let Some(live) = known {
            // A count that is repeated until its new owner has taken it never overwrites one that is newer than it.
            let version = object.replica_handover.unwrap_or(live.resource_version);
            value["metadata"]["resourceVersion"] = version.to_string().into();
        }
        let params = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            force: known.is_some(),
            ..PatchParams::default()
        };
        // Of most kinds the metadata is all that matters: the answer need not repeat a whole dashboard.
        let live = if watch::has_facts(key.kind) {
            self.patch::<false>(key, &params, &value).await
        } else {
            self.patch::<true>(key, &params, &value).await
        }
        .map_err(|error| if known.is_some() { error.or_stale() } else { error })?;
        info!(namespace = %key.namespace, kind = key.kind.as_str(), object = %key.name, "applied");
        if let Some(known) = known {
            self.references.applied(key, known, &live);
        }
        self.prometheus.request_poll();
        self.record(mark, key, live.clone());
        Ok(live)
    }

    pub(super) async fn patch<const META: bool>(
        &self,
        key: &Key,
        params: &PatchParams,
        value: &Value,
    ) -> Result<ChildState, Error> {
        let api: Api<Partial<META>> = Api::namespaced_with(self.client.clone(), &key.namespace, &key.kind);
        let patch = Patch::Apply(value);
        let request = api.patch(&key.name, params, &patch);
        let seen = with_timeout("apply", key.kind.as_str(), &key.name, request).await?;
        Ok(seen.into_state())
    }

    /// When the watch shows what this process has written itself nothing changes, so the apps that depend on it are
    /// enqueued here.
    pub(super) fn record(&self, mark: RequestMark, key: &Key, live: ChildState) {
        self.store.record_response(mark, key.clone(), live);
        self.queue.enqueue_dependents(key);
    }

    /// Creates a Secret with a generated password. One that exists is never written: it is read, and the reconcile
    /// begins again.
    pub(super) async fn create_secret(&self, target: Target<'_>, secret: &Secret) -> Result<(), Error> {
        self.check_leadership()?;
        let namespace = &target.app.namespace;
        let name = secret.metadata.name.clone().unwrap_or_default();
        let key = Key::new(Kind::Secret, namespace, &name);
        match self.create::<true>(target, &key, secret).await? {
            Some((mark, live)) => {
                info!(
                    namespace,
                    kind = "Secret",
                    object = name,
                    "created with a new password"
                );
                self.references.created(&key, &live, secret);
                self.record(mark, &key, live);
                Ok(())
            }
            None => Err(Error::Stale),
        }
    }

    /// Creates an object that must not exist yet. One that does is read, if it is the app's, for the reconcile to begin
    /// again with; then there is none. `Api::create` would answer with the whole object: here it is read as a watch
    /// reads it.
    pub(super) async fn create<const META: bool>(
        &self,
        target: Target<'_>,
        key: &Key,
        object: &impl Serialize,
    ) -> Result<Option<(RequestMark, ChildState)>, Error> {
        let mark = self.store.mark_request();
        let create = async {
            let params = PostParams {
                field_manager: Some(FIELD_MANAGER.to_owned()),
                ..PostParams::default()
            };
            let body = serde_json::to_vec(object).map_err(kube::Error::SerdeError)?;
            let path = Partial::<META>::url_path(&key.kind, Some(&key.namespace));
            let request = Request::new(path)
                .create(&params, body)
                .map_err(kube::Error::BuildRequest)?;
            self.client.request::<Partial<META>>(request).await
        };
        match with_timeout("create", key.kind.as_str(), &key.name, create).await {
            Ok(seen) => Ok(Some((mark, seen.into_state()))),
            Err(Error::Api {
                class: Class::Conflict,
                ..
            }) => {
                let mark = self.store.mark_request();
                if let Some(live) = self.fetch::<META>(key).await? {
                    check_ownership(target, key, &live)?;
                    self.store.record_response(mark, key.clone(), live);
                }
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Deletes an object as it is known: not one that somebody has changed meanwhile, nor another by the same name.
    pub(super) async fn delete(&self, key: &Key, live: &ChildState) -> Result<(), Error> {
        self.check_leadership()?;
        let api: Api<Partial<true>> = Api::namespaced_with(self.client.clone(), &key.namespace, &key.kind);
        let params = DeleteParams::background().preconditions(Preconditions {
            uid: Some(live.uid.clone()),
            resource_version: Some(live.resource_version.to_string()),
        });
        let request = api.delete(&key.name, &params);
        match with_timeout("delete", key.kind.as_str(), &key.name, request).await {
            Ok(_) => {
                info!(namespace = %key.namespace, kind = key.kind.as_str(), object = %key.name, "deleted: no longer wanted");
            }
            // It is gone already.
            Err(Error::Api {
                class: Class::ApiMissing,
                ..
            }) => {}
            Err(error) => return Err(error.or_stale()),
        }
        self.store.remove_deleted(key.clone(), live.resource_version);
        self.queue.enqueue_dependents(key);
        Ok(())
    }
}
