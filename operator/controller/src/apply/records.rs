//! The records of releases: written before the pods follow them, and only onto what was read.

use kube::api::PatchParams;
use observedapp_api::FIELD_MANAGER;
use observedapp_desired::{Desired, Kind, RecordWrite};
use tracing::info;

use super::Outcome;
use super::object::Target;
use crate::context::Context;
use crate::error::Error;
use crate::key::Key;

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
        let written = match write.version {
            Some(version) => {
                let mark = self.store.mark_request();
                // What k8s-openapi's types hold can always be written as JSON.
                let mut value = serde_json::to_value(&write.object).unwrap_or_default();
                value["metadata"]["resourceVersion"] = version.to_string().into();
                let params = PatchParams {
                    field_manager: Some(FIELD_MANAGER.to_owned()),
                    force: true,
                    ..PatchParams::default()
                };
                let live = self.patch::<false>(&key, &params, &value).await;
                Some((mark, live.map_err(Error::or_stale)?))
            }
            None => self.create::<false>(target, &key, &write.object).await?,
        };
        let (mark, live) = written.ok_or(Error::Stale)?;
        info!(
            namespace = target.app.namespace,
            object = name,
            "the release is recorded"
        );
        self.record(mark, &key, live);
        Ok(())
    }
}
