//! What the app's pods read that the operator does not make: when its contents change, the pods roll.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{EnvFromSource, EnvVar, VolumeProjection};
use observedapp_api::{AppRef, AppVolume, ObservedAppSpec};

use crate::Kind;

/// A Secret or ConfigMap in the app's namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    /// [`Kind::Secret`] or [`Kind::ConfigMap`].
    pub kind: Kind,
    pub name: String,
}

impl Reference {
    fn secret(name: &str) -> Self {
        Self {
            kind: Kind::Secret,
            name: name.to_owned(),
        }
    }

    fn config_map(name: &str) -> Self {
        Self {
            kind: Kind::ConfigMap,
            name: name.to_owned(),
        }
    }
}

/// The Secrets and ConfigMaps whose contents [`crate::Observed::references_digest`] must cover. Those that the
/// operator makes itself are not among them: it knows what is in them.
pub fn references(app: &AppRef, spec: &ObservedAppSpec) -> BTreeSet<Reference> {
    let mut references: BTreeSet<Reference> = BTreeSet::new();
    if let Some(database) = &spec.database {
        let external = database.external.as_ref();
        references.extend(external.map(|secret| Reference::secret(&secret.secret_name)));
        if database.cloud_native_pg.is_some() {
            references.insert(Reference::secret(&app.database_secret()));
        }
    }
    references.extend(spec.env.iter().filter_map(of_variable));
    references.extend(spec.env_from.iter().filter_map(of_variables));
    references.extend(spec.volumes.iter().flat_map(of_volume));
    let cache = spec.cache.as_ref().and_then(|cache| cache.external.as_ref());
    references.extend(cache.map(|secret| Reference::secret(&secret.secret_name)));
    references
}

fn of_variable(variable: &EnvVar) -> Option<Reference> {
    let from = variable.value_from.as_ref()?;
    let secret = from.secret_key_ref.as_ref();
    let config_map = from.config_map_key_ref.as_ref();
    secret
        .map(|key| Reference::secret(&key.name))
        .or_else(|| config_map.map(|key| Reference::config_map(&key.name)))
}

fn of_variables(from: &EnvFromSource) -> Option<Reference> {
    let secret = from.secret_ref.as_ref();
    let config_map = from.config_map_ref.as_ref();
    secret
        .map(|source| Reference::secret(&source.name))
        .or_else(|| config_map.map(|source| Reference::config_map(&source.name)))
}

fn of_volume(volume: &AppVolume) -> Vec<Reference> {
    let secret = volume
        .secret
        .as_ref()
        .and_then(|source| source.secret_name.as_deref());
    let config_map = volume.config_map.as_ref().map(|source| source.name.as_str());
    let projected = volume
        .projected
        .iter()
        .flat_map(|source| source.sources.iter().flatten())
        .filter_map(of_projection);
    secret
        .map(Reference::secret)
        .into_iter()
        .chain(config_map.map(Reference::config_map))
        .chain(projected)
        .collect()
}

fn of_projection(projection: &VolumeProjection) -> Option<Reference> {
    let secret = projection.secret.as_ref();
    let config_map = projection.config_map.as_ref();
    secret
        .map(|source| Reference::secret(&source.name))
        .or_else(|| config_map.map(|source| Reference::config_map(&source.name)))
}
