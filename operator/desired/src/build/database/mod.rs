//! A Postgres for the app, and the variable that says where it is.

pub(super) mod builtin;
mod cloud_native_pg;
mod credentials;
mod tuning;

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::EnvVar;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use observedapp_api::DeletionPolicy;

use super::pod;
use crate::{Component, Database, Desired, ValidApp};

pub(super) const PORT: i32 = 5432;

pub(super) fn add(app: &ValidApp, desired: &mut Desired) {
    match &app.database {
        Some(Database::Builtin(database)) => builtin::add(app, database, desired),
        Some(Database::CloudNativePg(cluster)) => cloud_native_pg::add(app, cluster, desired),
        // Somebody else's: only the variable refers to it.
        Some(Database::External(_)) | None => {}
    }
}

/// The app's variable with the connection URI, always by reference to a Secret.
pub(super) fn variable(app: &ValidApp) -> Option<EnvVar> {
    let name = &app.spec.database.as_ref()?.env;
    Some(match app.database.as_ref()? {
        Database::Builtin(_) | Database::CloudNativePg(_) => {
            pod::secret_variable(name, credentials::app_secret(app), "uri")
        }
        Database::External(secret) => pod::secret_variable(name, &secret.secret_name, &secret.key),
    })
}

/// The password of a builtin database's user `app`, as far as it is known; CloudNativePG's is observed like
/// everybody else's.
pub(super) fn app_password(app: &ValidApp) -> Option<&str> {
    match &app.database {
        Some(Database::Builtin(_)) => {
            let passwords = credentials::Passwords::of(app);
            passwords.app
        }
        _ => None,
    }
}

/// Metadata that says on the thing itself whether it outlives its app.
fn metadata(app: &ValidApp, name: String, policy: DeletionPolicy) -> ObjectMeta {
    match policy {
        DeletionPolicy::Retain => app.retained_metadata(name, Component::Database),
        DeletionPolicy::Delete => app.metadata(name, Component::Database),
    }
}

fn name(app: &ValidApp) -> String {
    app.id.database()
}

/// What both kinds of database add to what the user gave: the user's own settings win.
fn with_parameters(
    mut ours: BTreeMap<String, String>,
    given: &BTreeMap<String, observedapp_api::Scalar>,
) -> BTreeMap<String, String> {
    ours.extend(
        given
            .iter()
            .map(|(name, value)| (name.clone(), value.to_string())),
    );
    ours
}
