//! A replicated Postgres that CloudNativePG runs: one object, from which its operator makes the rest.

use std::collections::BTreeMap;

use observedapp_api::CloudNativePgDatabase;

use super::credentials::{self, APP_USER};
use super::{metadata, name, with_parameters};
use crate::cloud_native_pg::{
    Bootstrap, Cluster, ClusterSpec, ClusterStorage, InitDb, PostgresConfiguration,
};
use crate::{Desired, ValidApp};

/// Where CloudNativePG publishes its images of Postgres; the tag is the version.
const IMAGE: &str = "ghcr.io/cloudnative-pg/postgresql";

pub(super) fn add(app: &ValidApp, database: &CloudNativePgDatabase, desired: &mut Desired) {
    desired.objects.push(cluster(app, database).into());
    // Its operator makes the app's Secret; the binding follows once that exists.
    if let Some(password) = &app.observed.database.app_password {
        let host = app.id.primary_service();
        let binding = credentials::for_binding(app, &host, password, database.deletion_policy);
        desired.objects.push(binding.into());
        desired.binding = Some(app.id.binding_secret());
    }
}

fn cluster(app: &ValidApp, database: &CloudNativePgDatabase) -> Cluster {
    Cluster {
        metadata: metadata(app, name(app), database.deletion_policy),
        spec: ClusterSpec {
            instances: database.instances,
            image_name: format!("{IMAGE}:{}", database.version),
            bootstrap: Bootstrap {
                initdb: InitDb {
                    database: APP_USER.to_owned(),
                    owner: APP_USER.to_owned(),
                    data_checksums: true,
                },
            },
            storage: ClusterStorage {
                size: database.storage.size.0.clone(),
                storage_class: database.storage.class_name.clone(),
            },
            postgresql: (!database.parameters.is_empty()).then(|| PostgresConfiguration {
                parameters: with_parameters(BTreeMap::new(), &database.parameters),
            }),
        },
    }
}
