//! How the app itself runs: pods, scaling, health, shutdown, placement.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Affinity, CSIVolumeSource, ConfigMapVolumeSource, DownwardAPIVolumeSource, EmptyDirVolumeSource,
    EphemeralVolumeSource, PersistentVolumeClaimVolumeSource, ProjectedVolumeSource, SecretVolumeSource,
};
pub use k8s_openapi::api::core::v1::{
    EnvFromSource, EnvVar, LocalObjectReference, ResourceRequirements, Toleration, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A HorizontalPodAutoscaler on the CPU used, as a share of the CPU requested.
#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AutoscalingSpec {
    /// Never fewer pods than this.
    #[serde(default = "two")]
    #[schemars(range(min = 1, max = 10_000))]
    pub min_replicas: i32,
    /// Never more pods than this.
    #[schemars(range(min = 1, max = 10_000))]
    pub max_replicas: i32,
    /// The CPU use to aim at, in percent of the CPU request.
    #[serde(default = "seventy", rename = "targetCPUUtilization")]
    #[schemars(range(min = 1, max = 1000))]
    pub target_cpu_utilization: i32,
}

/// A volume of the app's pod. The kinds are those of the restricted Pod Security Standard; exactly one is given.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AppVolume {
    /// The name that `volumeMounts` refer to.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// The keys of a ConfigMap as files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_map: Option<ConfigMapVolumeSource>,
    /// The keys of a Secret as files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretVolumeSource>,
    /// An empty folder that lives as long as the pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub empty_dir: Option<EmptyDirVolumeSource>,
    /// A claim in this namespace that already exists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub persistent_volume_claim: Option<PersistentVolumeClaimVolumeSource>,
    /// Several sources in one folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub projected: Option<ProjectedVolumeSource>,
    /// Facts about the pod as files.
    #[serde(rename = "downwardAPI", skip_serializing_if = "Option::is_none")]
    pub downward_api: Option<DownwardAPIVolumeSource>,
    /// A volume that a CSI driver makes for this pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub csi: Option<CSIVolumeSource>,
    /// A claim made for each pod and deleted with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ephemeral: Option<EphemeralVolumeSource>,
}

/// The settings of the restricted Pod Security Standard in which apps differ.
#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SecuritySpec {
    /// The user id to run as; without it the image's own, which must not be 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 2_147_483_647))]
    pub run_as_user: Option<i64>,
    /// The group id to run as.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 2_147_483_647))]
    pub run_as_group: Option<i64>,
    /// The group that owns the volumes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 2_147_483_647))]
    pub fs_group: Option<i64>,
    /// Refuse to start as root. False only helps on namespaces that allow it.
    pub run_as_non_root: bool,
    /// Mount the image's file system read-only; an emptyDir lies on /tmp.
    pub read_only_root_filesystem: bool,
    /// Allow to listen on ports below 1024.
    pub add_net_bind_service: bool,
}

impl Default for SecuritySpec {
    fn default() -> Self {
        Self {
            run_as_user: None,
            run_as_group: None,
            fs_group: None,
            run_as_non_root: true,
            read_only_root_filesystem: true,
            add_net_bind_service: false,
        }
    }
}

/// The app's ServiceAccount.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ServiceAccountSpec {
    /// Annotations, as cloud providers' workload identities ask for.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// HTTP health checks on the app's port.
#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct HealthSpec {
    /// Answers below 400 while the process works; a pod that fails here is restarted.
    #[schemars(length(min = 1, max = 1024))]
    pub liveness_path: String,
    /// Answers below 400 while the pod can serve; a pod that fails here gets no requests.
    #[schemars(length(min = 1, max = 1024))]
    pub readiness_path: String,
    /// How long a pod may take to start before it is restarted.
    #[schemars(range(min = 1, max = 3600))]
    pub startup_seconds: i32,
}

impl Default for HealthSpec {
    fn default() -> Self {
        Self {
            liveness_path: "/healthz".to_owned(),
            readiness_path: "/readyz".to_owned(),
            startup_seconds: 60,
        }
    }
}

/// How a pod is stopped: it goes on serving for `delaySeconds` while it is taken out of the load
/// balancing, then it gets SIGTERM and has `graceSeconds` to finish.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ShutdownSpec {
    /// Seconds between a pod's removal from the load balancing and its SIGTERM.
    #[schemars(range(min = 0, max = 3600))]
    pub delay_seconds: i32,
    /// Seconds between SIGTERM and SIGKILL.
    #[schemars(range(min = 1, max = 86_400))]
    pub grace_seconds: i32,
}

impl Default for ShutdownSpec {
    fn default() -> Self {
        Self {
            delay_seconds: 5,
            grace_seconds: 30,
        }
    }
}

/// How a new version replaces the old one, as in a Deployment.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct RolloutSpec {
    /// How many pods more than wanted may run during a rollout: a number or a percentage.
    pub max_surge: IntOrString,
    /// How many pods fewer than wanted may run during a rollout: a number or a percentage.
    pub max_unavailable: IntOrString,
    /// Tries each release on one pod, compares it with the pods of the release before, and takes it back if it fails
    /// more. `{}` takes all defaults. The comparison needs objectives, two replicas or more, and traffic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guard: Option<GuardSpec>,
}

/// How carefully a release is let onto all pods. Each release is recorded in a ControllerRevision `NAME-release-N`.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct GuardSpec {
    /// How long one pod of the release serves beside all old ones before the rest follow; what is bad is taken back at
    /// once.
    #[schemars(length(min = 1, max = 32))]
    pub bake_time: String,
    /// How many requests the release must have answered to be called good.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub min_requests: i32,
    /// What becomes of a release that was asked for less, or of which Prometheus says nothing for as long as
    /// `watchTime`: `Proceed` lets it go on, `Hold` waits for requests, `RollBack` takes it back.
    pub without_traffic: WithoutTrafficPolicy,
    /// How long a release that runs on all pods is watched: a fast burn that was not there before takes it back.
    #[schemars(length(min = 1, max = 32))]
    pub watch_time: String,
    /// A release waits while an objective has less than this percentage of its error budget left. Off by default: a fix
    /// must not wait for the budget that it mends. The annotation `observedapp.dev/release-anyway: "why"` overrides it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub hold_when_budget_below: Option<i32>,
}

impl Default for GuardSpec {
    fn default() -> Self {
        Self {
            bake_time: "5m".to_owned(),
            min_requests: 200,
            without_traffic: WithoutTrafficPolicy::default(),
            watch_time: "1h".to_owned(),
            hold_when_budget_below: None,
        }
    }
}

/// What becomes of a release that is hardly asked for anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum WithoutTrafficPolicy {
    #[default]
    Proceed,
    Hold,
    RollBack,
}

impl Default for RolloutSpec {
    fn default() -> Self {
        Self {
            max_surge: IntOrString::Int(1),
            max_unavailable: IntOrString::Int(0),
            guard: None,
        }
    }
}

/// Where the pods may run.
#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PlacementSpec {
    /// Labels a node must have.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub node_selector: BTreeMap<String, String>,
    /// Taints the pods tolerate.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub tolerations: Vec<Toleration>,
    /// Affinities, as in a pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Affinity>,
    /// Spread the pods over nodes and zones where that is possible.
    pub topology_spread: bool,
    /// The PriorityClass of the pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub priority_class_name: Option<String>,
}

impl Default for PlacementSpec {
    fn default() -> Self {
        Self {
            node_selector: BTreeMap::new(),
            tolerations: Vec::new(),
            affinity: None,
            topology_spread: true,
            priority_class_name: None,
        }
    }
}

/// Labels and annotations added to the app's pods.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PodTemplateSpec {
    /// Labels beside the operator's own.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations beside the operator's own.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

fn two() -> i32 {
    2
}
fn seventy() -> i32 {
    70
}
