//! The golden cases: `cases/NAME/app.yaml`, what is observed of the cluster, and the objects that follow.
//!
//! A case's cluster is [`default_observed`] with what its `cluster.yaml`, if it has one, says otherwise.

#![allow(clippy::missing_errors_doc)]

pub mod commands;
mod kubeconform;
pub mod prometheus;
pub mod refused;
mod released;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::{fs, io};

use observedapp_api::ObservedApp;
use observedapp_desired::{
    FreshPasswords, Kind, Observed, ObservedClaim, ObservedPrometheus, ObservedReplicas, Problems, Settings,
    ValidApp, validate,
};
use serde::Deserialize;

pub use kubeconform::kubeconform;
pub use released::{crd, gateway_crd};

/// The fields of the spec that are Kubernetes' own types and passed on whole.
pub const PASSED_ON: &[&str] = &[
    "env[]",
    "envFrom[]",
    "imagePullSecrets[]",
    "volumeMounts[]",
    "volumes[].configMap",
    "volumes[].secret",
    "volumes[].emptyDir",
    "volumes[].persistentVolumeClaim",
    "volumes[].projected",
    "volumes[].downwardAPI",
    "volumes[].csi",
    "volumes[].ephemeral",
    "resources",
    "database.builtin.resources",
    "placement.affinity",
    "placement.tolerations[]",
    "networkPolicy.metricsFrom[]",
];

/// One folder under `cases/`.
#[derive(Debug)]
pub struct Case {
    pub name: String,
    pub folder: PathBuf,
    pub app: ObservedApp,
    pub cluster: Cluster,
}

/// What a case's `cluster.yaml` says of its cluster and of the operator's settings.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Cluster {
    /// Optional kinds whose APIs are not served.
    pub without: BTreeSet<String>,
    pub replicas: Option<Replicas>,
    pub claim: Option<Claim>,
    pub app_password: Option<String>,
    pub superuser_password: Option<String>,
    pub references_digest: Option<String>,
    /// No Prometheus is found.
    pub no_prometheus: bool,
    /// No Prometheus can be read, and those of these namespaces are trusted.
    pub unread_prometheus: BTreeSet<String>,
    pub monitor_labels: Option<BTreeMap<String, String>>,
    /// No blackbox exporter is set.
    pub no_prober: bool,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Replicas {
    pub count: i32,
    pub owned_by_other: bool,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    pub size: String,
    pub version: Option<String>,
}

impl Case {
    /// Every case, by name.
    pub fn all() -> io::Result<Vec<Self>> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
        let mut cases = Vec::new();
        for entry in fs::read_dir(&root)? {
            cases.push(Self::read(entry?.path())?);
        }
        cases.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(cases)
    }

    fn read(folder: PathBuf) -> io::Result<Self> {
        let in_folder = |error: String| io::Error::other(format!("{}: {error}", folder.display()));
        let text = fs::read_to_string(folder.join("app.yaml"))?;
        let app = serde_yaml::from_str(&text).map_err(|error| in_folder(error.to_string()))?;
        let cluster = match fs::read_to_string(folder.join("cluster.yaml")) {
            Ok(text) => serde_yaml::from_str(&text).map_err(|error| in_folder(error.to_string()))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Cluster::default(),
            Err(error) => return Err(error),
        };
        let name = folder
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        Ok(Self {
            name,
            folder,
            app,
            cluster,
        })
    }

    /// The case's app as the operator would see it.
    pub fn validate(&self) -> Result<ValidApp, Problems> {
        let cluster = &self.cluster;
        let mut observed = default_observed();
        observed
            .optional_kinds
            .retain(|kind| !cluster.without.contains(kind.as_str()));
        if cluster.no_prometheus {
            observed.prometheus = ObservedPrometheus::default();
        }
        if !cluster.unread_prometheus.is_empty() {
            observed.prometheus = ObservedPrometheus {
                namespaces: cluster.unread_prometheus.clone(),
                ..ObservedPrometheus::default()
            };
        }
        observed.replicas = cluster.replicas.as_ref().map(|replicas| ObservedReplicas {
            count: replicas.count,
            owned_by_other: replicas.owned_by_other,
        });
        observed.references_digest.clone_from(&cluster.references_digest);
        let database = &mut observed.database;
        database.app_password.clone_from(&cluster.app_password);
        database
            .superuser_password
            .clone_from(&cluster.superuser_password);
        database.claim = cluster.claim.as_ref().map(|claim| ObservedClaim {
            size: claim.size.clone(),
            version: claim.version.clone(),
            ..ObservedClaim::default()
        });
        let mut settings = default_settings();
        settings.monitor_labels.clone_from(&cluster.monitor_labels);
        if cluster.no_prober {
            settings.prober_url = None;
        }
        validate(&self.app, observed, settings)
    }
}

/// A cluster with everything installed, in which the app answers and nothing else is known of it.
pub fn default_observed() -> Observed {
    let release: BTreeMap<_, _> = [("release".to_owned(), "prometheus".to_owned())].into();
    Observed {
        optional_kinds: Kind::ALL
            .iter()
            .copied()
            .filter(|kind| kind.is_optional())
            .collect(),
        prometheus: ObservedPrometheus {
            monitor_labels: release.clone(),
            probe_labels: release.clone(),
            rule_labels: release,
            namespaces: ["monitoring".to_owned()].into(),
            prober_namespace: Some("probing".to_owned()),
        },
        has_answered: true,
        database: observedapp_desired::ObservedDatabase {
            fresh_passwords: Some(FreshPasswords {
                app: "fresh/app:password".to_owned(),
                superuser: "fresh-superuser-password".to_owned(),
            }),
            ..Default::default()
        },
        ..Default::default()
    }
}

/// The operator's settings, with a prober and a Grafana.
pub fn default_settings() -> Settings {
    Settings {
        prober_url: Some("blackbox-exporter.probing:9115".to_owned()),
        grafana_url: Some("https://grafana.example.com".to_owned()),
        ..Default::default()
    }
}
