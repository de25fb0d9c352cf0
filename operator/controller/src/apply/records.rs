//! The records of releases: written before the pods follow them, and only onto what was read.

use k8s_openapi::api::apps::v1::ControllerRevision;
use kube::Resource;
use kube::api::{Api, PatchParams, PostParams, Request};
use observedapp_api::FIELD_MANAGER;
use observedapp_desired::{Desired, Kind, RecordWrite};
use tracing::info;

use super::Outcome;
use super::object::{Target, check_ownership};
use crate::context::Context;
use crate::error::{Class, Error};
use crate::key::Key;
use crate::request::with_timeout;
use crate::watch::{ChildState, Partial};

impl Context {
    /// Says whether all that is decided is recorded.
    pub(super) async fn write_records(
        &self,
        target: Target<'_>,
        desired: &Desired,
        outcome: &mut Outcome,
    ) -> bool {
        for write in desired.releases.iter().flat_map(|releases| &releases.writes) {
            if let Err(error) = self.write_record(target, write).await {
                outcome.fail(error, target);
                return false;
            }
        }
        true
    }

    async fn write_record(&self, target: Target<'_>, write: &RecordWrite) -> Result<(), Error> {
        self.check_leadership()?;
        let name = write.object.metadata.name.clone().unwrap_or_default();
        let key = Key::new(Kind::ControllerRevision, &target.app.namespace, &name);
        let mark = self.store.mark_request();
        let live = match write.version {
            Some(version) => {
                // What k8s-openapi's types hold can always be written as JSON.
                let mut value = serde_json::to_value(&write.object).unwrap_or_default();
                value["metadata"]["resourceVersion"] = version.to_string().into();
                let params = PatchParams {
                    field_manager: Some(FIELD_MANAGER.to_owned()),
                    force: true,
                    ..PatchParams::default()
                };
                self.patch::<false>(&key, &params, &value)
                    .await
                    .map_err(Error::or_stale)?
            }
            None => match with_timeout(
                "create",
                key.kind.as_str(),
                &name,
                self.create_record(&key, write),
            )
            .await
            {
                Ok(live) => live,
                Err(Error::Api {
                    class: Class::Conflict,
                    ..
                }) => return self.read_record(target, &key).await,
                Err(error) => return Err(error),
            },
        };
        info!(
            namespace = target.app.namespace,
            object = name,
            "the release is recorded"
        );
        self.record(mark, &key, live);
        Ok(())
    }

    async fn create_record(&self, key: &Key, write: &RecordWrite) -> kube::Result<ChildState> {
        let params = PostParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PostParams::default()
        };
        let body = serde_json::to_vec(&write.object).map_err(kube::Error::SerdeError)?;
        let request = Request::new(ControllerRevision::url_path(&(), Some(&key.namespace)))
            .create(&params, body)
            .map_err(kube::Error::BuildRequest)?;
        let seen: Partial<false> = self.client.request(request).await?;
        Ok(seen.into_state())
    }

    /// It exists, though no watch has shown it: the reconcile begins again with what it holds.
    async fn read_record(&self, target: Target<'_>, key: &Key) -> Result<(), Error> {
        let mark = self.store.mark_request();
        let api: Api<Partial<false>> = Api::namespaced_with(self.client.clone(), &key.namespace, &key.kind);
        let request = api.get_opt(&key.name);
        if let Some(seen) = with_timeout("get", key.kind.as_str(), &key.name, request).await? {
            let live = seen.into_state();
            check_ownership(target, key, &live)?;
            self.store.record_response(mark, key.clone(), live);
        }
        Err(Error::Stale)
    }
}
