//! The IngressClasses of the cluster.

use parking_lot::RwLock;
use std::collections::BTreeMap;

use k8s_openapi::api::networking::v1::IngressClass;
use kube::ResourceExt;

const DEFAULT: &str = "ingressclass.kubernetes.io/is-default-class";

/// Names, and whether each is the default. Unknown where they may not be read: they belong to no namespace, so an
/// operator that is confined to some does not see them.
#[derive(Debug, Default)]
pub struct IngressClasses(RwLock<Option<BTreeMap<String, bool>>>);

impl IngressClasses {
    pub fn known(&self) -> Option<Vec<(String, bool)>> {
        let classes = self.0.read();
        classes.as_ref().map(|classes| {
            classes
                .iter()
                .map(|(name, default)| (name.clone(), *default))
                .collect()
        })
    }

    pub fn replace(&self, list: &[IngressClass]) {
        *self.0.write() = Some(list.iter().map(entry).collect());
    }

    pub fn put(&self, class: &IngressClass) {
        let (name, default) = entry(class);
        self.0.write().get_or_insert_default().insert(name, default);
    }

    pub fn remove(&self, class: &IngressClass) {
        self.0.write().get_or_insert_default().remove(&class.name_any());
    }
}

fn entry(class: &IngressClass) -> (String, bool) {
    let default = class
        .annotations()
        .get(DEFAULT)
        .is_some_and(|value| value == "true");
    (class.name_any(), default)
}
