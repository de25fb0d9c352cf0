//! The programs that are built.

mod recipe;

use std::fmt;

pub(crate) use recipe::Recipe;

/// A program of the lab or of tests, in build order: what others wait for comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tool {
    Etcd,
    KubeApiserver,
    Kubectl,
    Promtool,
    Kubeconform,
    Kstatus,
    Helm,
    KubeControllerManager,
    KubeScheduler,
    Kubelet,
    KubeProxy,
    Pause,
    Coredns,
    LocalPathProvisioner,
    Prometheus,
    Alertmanager,
    PrometheusOperator,
    PrometheusConfigReloader,
    BlackboxExporter,
    PostgresExporter,
    RedisExporter,
    MetricsServer,
    Traefik,
    Loki,
    Otelcol,
}

impl Tool {
    /// The programs that a lab without add-ons and its tests need.
    pub const BASE: &[Self] = &[
        Self::Etcd,
        Self::KubeApiserver,
        Self::Kubectl,
        Self::Promtool,
        Self::Kubeconform,
        Self::Kstatus,
        Self::Helm,
        Self::KubeControllerManager,
        Self::KubeScheduler,
        Self::Kubelet,
        Self::KubeProxy,
        Self::Pause,
        Self::Coredns,
        Self::LocalPathProvisioner,
        Self::Prometheus,
        Self::Alertmanager,
        Self::PrometheusOperator,
        Self::PrometheusConfigReloader,
        Self::BlackboxExporter,
        Self::PostgresExporter,
        Self::RedisExporter,
    ];

    /// The programs of add-ons.
    pub const ADD_ONS: &[Self] = &[Self::MetricsServer, Self::Traefik, Self::Loki, Self::Otelcol];

    /// The program's file name.
    pub fn name(self) -> &'static str {
        self.recipe().name
    }

    /// The version, without a leading `v`.
    pub fn version(self) -> &'static str {
        self.recipe().version
    }
}

impl fmt::Display for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name(), self.version())
    }
}
