//! Which app, and the names of what is made for it.

use std::fmt;

use kube::ResourceExt;

use crate::ObservedApp;

/// The namespace and name of an app.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AppRef {
    pub namespace: String,
    pub name: String,
}

impl AppRef {
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
        }
    }

    /// The StatefulSet, Service and claim of its database, or its `Cluster`; also the job of their metrics.
    pub fn database(&self) -> String {
        self.child("db")
    }

    /// The Secret that the app connects to its database with.
    pub fn database_secret(&self) -> String {
        self.child("db-app")
    }

    pub fn superuser_secret(&self) -> String {
        self.child("db-superuser")
    }

    /// The Secret that binds to the database, as servicebinding.io has it.
    pub fn binding_secret(&self) -> String {
        self.child("db-binding")
    }

    /// The Service through which CloudNativePG's primary is reached.
    pub fn primary_service(&self) -> String {
        self.child("db-rw")
    }

    /// The Deployment and Service of its cache; also the job of their metrics.
    pub fn cache(&self) -> String {
        self.child("cache")
    }

    pub fn metrics_service(&self) -> String {
        self.child("metrics")
    }

    /// The ConfigMap that Grafana's sidecar picks up.
    pub fn dashboards(&self) -> String {
        self.child("dashboards")
    }

    /// The job of the black-box check.
    pub fn probe_job(&self) -> String {
        self.child("probe")
    }

    /// The record of a release.
    pub fn release(&self, number: u64) -> String {
        self.child(&format!("release-{number}"))
    }

    fn child(&self, suffix: &str) -> String {
        format!("{}-{suffix}", self.name)
    }
}

impl From<&ObservedApp> for AppRef {
    fn from(app: &ObservedApp) -> Self {
        Self::new(app.namespace().unwrap_or_default(), app.name_any())
    }
}

impl fmt::Display for AppRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}
