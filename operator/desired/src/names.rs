//! Names, labels and owners: said once.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta, OwnerReference};
use observedapp_api::{AppRef, BuiltinCache, BuiltinDatabase, GROUP};

use crate::{Database, ValidApp, digest};

/// The value of `app.kubernetes.io/managed-by`.
pub const MANAGED_BY: &str = "observedapp";
/// Written on what outlives its app.
pub const RETAIN_ANNOTATION: &str = "observedapp.dev/retain";
/// Written on a builtin database's claim: the major version that wrote it.
pub const POSTGRES_VERSION_ANNOTATION: &str = "observedapp.dev/postgres-version";
/// Written on the app's pods: it moves when the contents of a Secret or ConfigMap they read do, and they roll.
pub const REFERENCES_ANNOTATION: &str = "observedapp.dev/references";

pub(crate) const VERSION_LABEL: &str = "app.kubernetes.io/version";

/// The part of an app that an object belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Component {
    App,
    Database,
    Cache,
    Metrics,
}

impl Component {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::App => "app",
            Self::Database => "database",
            Self::Cache => "cache",
            Self::Metrics => "metrics",
        }
    }
}

/// The uid of an app's dashboard: the same in every Grafana and after every change, and short enough for one.
pub fn dashboard_uid(app: &AppRef) -> String {
    let digest = digest([app.namespace.as_bytes(), app.name.as_bytes()]);
    format!("oapp-{digest}")
}

/// The tag of an image's reference: `1.2` of `registry:5000/team/app:1.2@sha256:…`.
fn image_tag(image: &str) -> Option<&str> {
    let named = image.split_once('@').map_or(image, |(named, _)| named);
    let last = named.rsplit_once('/').map_or(named, |(_, last)| last);
    last.split_once(':').map(|(_, tag)| tag)
}

/// Whether a label of Kubernetes can have this value; one that is empty is left to the caller.
pub fn is_label_value(text: &str) -> bool {
    let ends = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    text.len() <= 63 && ends(text.bytes().next()) && ends(text.bytes().next_back()) && text.bytes().all(inner)
}

impl ValidApp {
    /// The labels that selectors use: they never change.
    pub(crate) fn selector_labels(&self, component: Component) -> BTreeMap<String, String> {
        [
            ("name", self.id.name.as_str()),
            ("instance", self.id.name.as_str()),
            ("component", component.as_str()),
        ]
        .into_iter()
        .map(|(key, value)| (format!("app.kubernetes.io/{key}"), value.to_owned()))
        .collect()
    }

    /// The labels of every object of a component, and of its pods.
    pub(crate) fn labels(&self, component: Component) -> BTreeMap<String, String> {
        let mut labels = self.selector_labels(component);
        labels.insert("app.kubernetes.io/part-of".to_owned(), self.id.name.clone());
        labels.insert("app.kubernetes.io/managed-by".to_owned(), MANAGED_BY.to_owned());
        if let Some(version) = self.version(component).filter(|version| is_label_value(version)) {
            labels.insert(VERSION_LABEL.to_owned(), version);
        }
        labels
    }

    /// The version of what a component runs: its image's tag.
    fn version(&self, component: Component) -> Option<String> {
        let image = match component {
            Component::App | Component::Metrics => self.spec.image.clone(),
            Component::Database => match &self.database {
                Some(Database::Builtin(builtin)) => self.postgres_image(builtin),
                Some(Database::CloudNativePg(cluster)) => return Some(cluster.version.to_string()),
                Some(Database::External(_)) | None => return None,
            },
            Component::Cache => self.redis_image(self.builtin_cache()?),
        };
        image_tag(&image).map(str::to_owned)
    }

    pub(crate) fn postgres_image(&self, builtin: &BuiltinDatabase) -> String {
        let usual = || format!("{}:{}", self.settings.postgres_image, builtin.version);
        builtin.image.clone().unwrap_or_else(usual)
    }

    pub(crate) fn redis_image(&self, builtin: &BuiltinCache) -> String {
        let usual = || format!("{}:{}", self.settings.redis_image, builtin.version);
        builtin.image.clone().unwrap_or_else(usual)
    }

    pub(crate) fn selector(&self, component: Component) -> LabelSelector {
        LabelSelector {
            match_labels: Some(self.selector_labels(component)),
            ..Default::default()
        }
    }

    /// Metadata of an object that goes with its app.
    pub(crate) fn metadata(&self, name: String, component: Component) -> ObjectMeta {
        ObjectMeta {
            name: Some(name),
            namespace: Some(self.id.namespace.clone()),
            labels: Some(self.labels(component)),
            owner_references: self.owner_reference().map(|owner| vec![owner]),
            ..Default::default()
        }
    }

    /// Metadata of an object that outlives its app: no owner, and a mark that says so.
    pub(crate) fn retained_metadata(&self, name: String, component: Component) -> ObjectMeta {
        let mut metadata = self.metadata(name, component);
        metadata.owner_references = None;
        metadata
            .annotations
            .get_or_insert_default()
            .insert(RETAIN_ANNOTATION.to_owned(), "true".to_owned());
        metadata
    }

    fn owner_reference(&self) -> Option<OwnerReference> {
        Some(OwnerReference {
            api_version: format!("{GROUP}/v1alpha1"),
            kind: "ObservedApp".to_owned(),
            name: self.id.name.clone(),
            uid: self.uid.clone()?,
            controller: Some(true),
            block_owner_deletion: Some(true),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_told_from_its_registry_and_digest() {
        for (image, tag) in [
            ("tasks:0.1.0", Some("0.1.0")),
            ("ghcr.io/team/tasks:0.1.0@sha256:abc", Some("0.1.0")),
            ("localhost:5000/tasks", None),
            ("localhost:5000/tasks:2", Some("2")),
            ("tasks@sha256:abc", None),
        ] {
            assert_eq!(image_tag(image), tag, "{image}");
        }
    }

    #[test]
    fn not_every_tag_can_be_a_label() {
        for (tag, can) in [
            ("1.2.3", true),
            ("v1_2-rc.1", true),
            ("_1", false),
            ("1-", false),
            ("", false),
        ] {
            assert_eq!(is_label_value(tag), can, "{tag}");
        }
        assert!(!is_label_value(&"a".repeat(64)));
    }
}
