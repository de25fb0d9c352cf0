//! What every pod of ours shares: the restricted Pod Security Standard, and folders to write to.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Capabilities, Container, ContainerPort, EmptyDirVolumeSource, EnvVar, EnvVarSource, ExecAction,
    PodSecurityContext, PodSpec, Probe, ResourceRequirements, SeccompProfile, SecretKeySelector,
    SecurityContext, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

/// The name of the port that serves the app.
pub(crate) const HTTP: &str = "http";
/// The name of every port that serves metrics.
pub(crate) const METRICS: &str = "metrics";

/// The user and group of the official Postgres and Redis images.
pub(crate) const OFFICIAL_UID: i64 = 999;

/// Where Kubernetes' tools look for the container that a person means.
pub(crate) const DEFAULT_CONTAINER_ANNOTATION: &str = "kubectl.kubernetes.io/default-container";

/// A pod with neither a token nor the variables of every Service of its namespace.
pub(crate) fn bare(security_context: PodSecurityContext, containers: Vec<Container>) -> PodSpec {
    PodSpec {
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        security_context: Some(security_context),
        containers,
        ..Default::default()
    }
}

pub(crate) fn restricted_pod() -> PodSecurityContext {
    PodSecurityContext {
        run_as_non_root: Some(true),
        seccomp_profile: Some(SeccompProfile {
            type_: "RuntimeDefault".to_owned(),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// The restricted pod of an official image.
pub(crate) fn official_pod() -> PodSecurityContext {
    PodSecurityContext {
        run_as_user: Some(OFFICIAL_UID),
        run_as_group: Some(OFFICIAL_UID),
        fs_group: Some(OFFICIAL_UID),
        // A large volume takes minutes to change the owner of: only do it where it is needed.
        fs_group_change_policy: Some("OnRootMismatch".to_owned()),
        ..restricted_pod()
    }
}

pub(crate) fn restricted_container() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        read_only_root_filesystem: Some(true),
        capabilities: Some(Capabilities {
            drop: Some(vec!["ALL".to_owned()]),
            ..Default::default()
        }),
        ..Default::default()
    }
}

pub(crate) fn empty_dir(name: &str) -> Volume {
    Volume {
        name: name.to_owned(),
        empty_dir: Some(EmptyDirVolumeSource::default()),
        ..Default::default()
    }
}

/// An emptyDir in memory: what is written there counts as the container's memory.
pub(crate) fn memory_dir(name: &str, size: Quantity) -> Volume {
    Volume {
        name: name.to_owned(),
        empty_dir: Some(EmptyDirVolumeSource {
            medium: Some("Memory".to_owned()),
            size_limit: Some(size),
        }),
        ..Default::default()
    }
}

pub(crate) fn mount(name: &str, path: &str) -> VolumeMount {
    VolumeMount {
        name: name.to_owned(),
        mount_path: path.to_owned(),
        ..Default::default()
    }
}

pub(crate) fn variable(name: &str, value: impl Into<String>) -> EnvVar {
    EnvVar {
        name: name.to_owned(),
        value: Some(value.into()),
        ..Default::default()
    }
}

pub(crate) fn secret_variable(name: &str, secret: impl Into<String>, key: impl Into<String>) -> EnvVar {
    EnvVar {
        name: name.to_owned(),
        value_from: Some(EnvVarSource {
            secret_key_ref: Some(SecretKeySelector {
                name: secret.into(),
                key: key.into(),
                ..Default::default()
            }),
            ..Default::default()
        }),
        ..Default::default()
    }
}

pub(crate) fn exec(command: &[&str]) -> ExecAction {
    ExecAction {
        command: Some(command.iter().map(|&word| word.to_owned()).collect()),
    }
}

/// A probe's rhythm; what it does is the caller's.
pub(crate) fn every(seconds: i32, failures: i32) -> Probe {
    Probe {
        period_seconds: Some(seconds),
        failure_threshold: Some(failures),
        timeout_seconds: Some(5),
        ..Default::default()
    }
}

pub(crate) fn port(name: &str, number: i32) -> ContainerPort {
    ContainerPort {
        name: Some(name.to_owned()),
        container_port: number,
        // A part of the key that server-side apply merges by.
        protocol: Some("TCP".to_owned()),
        ..Default::default()
    }
}

/// What an exporter beside a database or a cache may use.
pub(crate) fn exporter_resources() -> ResourceRequirements {
    ResourceRequirements {
        requests: Some(quantities(&[("cpu", "10m"), ("memory", "32Mi")])),
        limits: Some(quantities(&[("memory", "128Mi")])),
        ..Default::default()
    }
}

pub(crate) fn quantities(amounts: &[(&str, &str)]) -> BTreeMap<String, Quantity> {
    let amounts = amounts.iter();
    amounts
        .map(|&(resource, amount)| (resource.to_owned(), Quantity(amount.to_owned())))
        .collect()
}

/// Whole mebibytes, rounded up: sizes that people can read.
pub(crate) fn mebibytes(bytes: u64) -> Quantity {
    Quantity(format!("{}Mi", bytes.div_ceil(1 << 20)))
}
