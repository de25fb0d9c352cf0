//! What is read from the cluster before it can be decided what should exist.

use std::collections::{BTreeMap, BTreeSet};

use observedapp_api::{AppRef, Route};

use crate::{Kind, ObservedReleases};

/// The cluster as far as it bears on one app. Everything here is an input to pure code; `Default` is a cluster of
/// which nothing is known and in which nothing exists.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    /// The optional kinds whose APIs the cluster serves.
    pub optional_kinds: BTreeSet<Kind>,
    /// What the app's Prometheus asks for, and who may scrape.
    pub prometheus: ObservedPrometheus,
    /// What exists of the app's builtin database.
    pub database: ObservedDatabase,
    /// Who decides the number of pods now.
    pub replicas: Option<ObservedReplicas>,
    /// Whether the app has answered before: a pod of it is available, or its Probe, which was made then, exists. Until
    /// then nobody was promised anything, and a check from outside would fail while the app starts.
    pub has_answered: bool,
    /// A digest of the contents of what [`crate::references`] names: when it moves, pods roll.
    pub references_digest: Option<String>,
    /// What this app asks for and other apps hold: it gets none of that.
    pub held_routes: BTreeMap<Route, AppRef>,
    /// The host names of `spec.gateway` that a Gateway serves by HTTPS, as far as Gateways can be read.
    pub https_hosts: BTreeSet<String>,
    /// Its releases; none in a preview.
    pub releases: Option<ObservedReleases>,
}

/// What the Prometheus of an app's namespace asks for, and who may scrape.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObservedPrometheus {
    /// Labels that make a ServiceMonitor selected.
    pub monitor_labels: BTreeMap<String, String>,
    /// Labels that make a Probe selected.
    pub probe_labels: BTreeMap<String, String>,
    /// Labels that make a PrometheusRule selected.
    pub rule_labels: BTreeMap<String, String>,
    /// The namespaces whose Prometheuses are trusted: they may reach the metrics ports.
    pub namespaces: BTreeSet<String>,
    /// The namespace in which the prober runs.
    pub prober_namespace: Option<String>,
}

/// What exists of the app's builtin database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObservedDatabase {
    /// The claim, if it exists.
    pub claim: Option<ObservedClaim>,
    /// The password of the user `app` in the Secret `NAME-db-app`, if that exists: the operator's own of a builtin
    /// database, or the one that CloudNativePG makes.
    pub app_password: Option<String>,
    /// The password of the superuser in the Secret `NAME-db-superuser`, if that exists.
    pub superuser_password: Option<String>,
    /// Fresh random passwords, used only for a database that has neither claim nor Secret. Without them, as in a
    /// preview, the Secrets to be generated hold no data.
    pub fresh_passwords: Option<FreshPasswords>,
}

/// A claim that exists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObservedClaim {
    /// The size it asks for, as it is written there.
    pub size: String,
    /// The major version of the Postgres that wrote it, from the operator's annotation.
    pub version: Option<String>,
    /// Its StorageClass, if that is known not to let claims grow.
    pub class_that_cannot_grow: Option<String>,
}

/// Two passwords that the controller generated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FreshPasswords {
    pub app: String,
    pub superuser: String,
}

/// The Deployment's replicas as they stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObservedReplicas {
    /// The wanted count that the Deployment holds now.
    pub count: i32,
    /// Whether a manager other than the operator owns the field, so that leaving it out does not reset it.
    pub owned_by_other: bool,
}
