//! The root of the resource: one field a capability.

#![allow(clippy::duplicated_attributes, reason = "every printer column has a type")]

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    AlertsSpec, AppVolume, AutoscalingSpec, CacheSpec, DashboardsSpec, DatabaseSpec, EnvFromSource, EnvVar,
    GatewaySpec, HealthSpec, IngressSpec, LocalObjectReference, MetricsSpec, NetworkPolicySpec,
    ObservedAppStatus, PlacementSpec, PodTemplateSpec, ProbeSpec, ResourceRequirements, RolloutSpec, Route,
    SecuritySpec, ServiceAccountSpec, ServiceSpec, ShutdownSpec, SloSpec, VolumeMount,
};

/// An application with everything it takes to run it well: its Deployment, database, cache, metrics,
/// dashboard, objectives and alerts. Only `image` is required; every other capability is switched on
/// by its presence.
#[derive(CustomResource, JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "observedapp.dev",
    version = "v1alpha1",
    kind = "ObservedApp",
    plural = "observedapps",
    singular = "observedapp",
    shortname = "oapp",
    category = "all",
    namespaced,
    status = "ObservedAppStatus",
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        description = "Whether the app serves",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#
    ),
    printcolumn(
        name = "Replicas",
        type_ = "integer",
        description = "Pods that answer",
        json_path = ".status.readyReplicas"
    ),
    printcolumn(
        name = "SLI",
        type_ = "string",
        description = "Share of good events, of the objective with the least budget left",
        json_path = ".status.worstSLO.sli"
    ),
    printcolumn(
        name = "Budget",
        type_ = "string",
        description = "Error budget left, of the objective with the least",
        json_path = ".status.worstSLO.budgetRemaining"
    ),
    printcolumn(
        name = "Burn",
        type_ = "string",
        description = "How many times faster than sustainable that budget burns",
        json_path = ".status.worstSLO.burnRate"
    ),
    printcolumn(
        name = "Alerts",
        type_ = "integer",
        description = "Alerts that are firing",
        json_path = ".status.firingAlerts"
    ),
    printcolumn(
        name = "Objective",
        type_ = "string",
        description = "The objective with the least budget left",
        json_path = ".status.worstSLO.name",
        priority = 1
    ),
    printcolumn(
        name = "URL",
        type_ = "string",
        description = "Where the app answers",
        json_path = ".status.url",
        priority = 1
    ),
    printcolumn(
        name = "Image",
        type_ = "string",
        description = "What runs",
        json_path = ".spec.image",
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct ObservedAppSpec {
    /// The container image to run, with a tag or a digest: `ghcr.io/acme/shop:1.4.2`.
    #[schemars(length(min = 1, max = 512))]
    pub image: String,

    /// When the node pulls the image: `Always`, `IfNotPresent` or `Never`.
    #[serde(default)]
    pub image_pull_policy: ImagePullPolicy,

    /// Secrets in this namespace that hold credentials for the image's registry.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub image_pull_secrets: Vec<LocalObjectReference>,

    /// The port the app serves HTTP on.
    #[serde(default = "default_port")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,

    /// How many pods run. 0 is allowed, and nothing alerts then. Ignored while `autoscaling` is set.
    #[serde(default = "default_replicas")]
    #[schemars(range(min = 0, max = 10_000))]
    pub replicas: i32,

    /// Lets a HorizontalPodAutoscaler choose the number of pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub autoscaling: Option<AutoscalingSpec>,

    /// Replaces the image's entrypoint.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128))]
    pub command: Vec<String>,

    /// Arguments to the entrypoint.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub args: Vec<String>,

    /// Environment variables of the app's container, as in a pod.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 200), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub env: Vec<EnvVar>,

    /// ConfigMaps and Secrets whose every key becomes an environment variable, as in a pod.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub env_from: Vec<EnvFromSource>,

    /// Where the volumes appear in the app's container, as in a pod.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["mountPath"]))]
    pub volume_mounts: Vec<VolumeMount>,

    /// Volumes of the pod: what the restricted Pod Security Standard allows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub volumes: Vec<AppVolume>,

    /// CPU and memory of the app's container. What is not given is filled in: requests 100m and 128Mi, memory limit
    /// 512Mi, and a default never makes a limit below its request.
    #[serde(default)]
    pub resources: ResourceRequirements,

    /// The few settings of the restricted Pod Security Standard that apps differ in; the rest is fixed.
    #[serde(default)]
    pub security_context: SecuritySpec,

    /// The app's ServiceAccount. It carries no rights, and no token is mounted.
    #[serde(default)]
    pub service_account: ServiceAccountSpec,

    /// HTTP health checks. Without them the port is checked for an open TCP socket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<HealthSpec>,

    /// How a pod is stopped so that no request is lost.
    #[serde(default)]
    pub shutdown: ShutdownSpec,

    /// The Service in front of the pods.
    #[serde(default)]
    pub service: ServiceSpec,

    /// A host name and path through the cluster's ingress controller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ingress: Option<IngressSpec>,

    /// Host names and a path through a Gateway (the Gateway API), beside an ingress or in its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway: Option<GatewaySpec>,

    /// How a new version replaces the old one.
    #[serde(default)]
    pub rollout: RolloutSpec,

    /// A Postgres database for the app: exactly one of `builtin`, `cloudNativePG`, `external`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<DatabaseSpec>,

    /// A Redis cache for the app: exactly one of `builtin`, `external`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache: Option<CacheSpec>,

    /// Where and how Prometheus scrapes the app, and which of its series mean what.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics: Option<MetricsSpec>,

    /// A check from outside, by a blackbox exporter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probe: Option<ProbeSpec>,

    /// Service level objectives: each becomes recording rules, two burn-rate alerts and an entry in status.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub slos: Vec<SloSpec>,

    /// Symptom alerts beside the objectives; each that applies is on by default.
    #[serde(default)]
    pub alerts: AlertsSpec,

    /// The Grafana dashboard.
    #[serde(default)]
    pub dashboards: DashboardsSpec,

    /// Who may reach the app's pods.
    #[serde(default)]
    pub network_policy: NetworkPolicySpec,

    /// Where the pods may run.
    #[serde(default)]
    pub placement: PlacementSpec,

    /// Labels and annotations added to the app's pods.
    #[serde(default)]
    pub pod_template: PodTemplateSpec,

    /// While true no object is written; status goes on, deletion still works.
    #[serde(default)]
    pub paused: bool,
}

impl ObservedAppSpec {
    /// Every host and path that the app asks for, whichever object is to carry it.
    pub fn routes(&self) -> impl Iterator<Item = Route> {
        let ingress = self.ingress.iter().map(IngressSpec::route);
        ingress.chain(self.gateway.iter().flat_map(GatewaySpec::routes))
    }
}

/// When a node pulls an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ImagePullPolicy {
    Always,
    #[default]
    IfNotPresent,
    Never,
}

impl ImagePullPolicy {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Always => "Always",
            Self::IfNotPresent => "IfNotPresent",
            Self::Never => "Never",
        }
    }
}

fn default_port() -> i32 {
    8080
}

/// How many pods are wanted where nothing is said.
pub const DEFAULT_REPLICAS: i32 = 2;

fn default_replicas() -> i32 {
    DEFAULT_REPLICAS
}
