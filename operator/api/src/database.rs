//! A Postgres for the app.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Scalar;

/// A Postgres for the app: exactly one of `builtin`, `cloudNativePG`, `external`. Its connection URI reaches the
/// app in the variable `env`.
#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DatabaseSpec {
    /// A single Postgres that the operator runs itself: right for development, labs and small services.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub builtin: Option<BuiltinDatabase>,
    /// A replicated Postgres that CloudNativePG runs; its operator must be installed.
    #[serde(rename = "cloudNativePG", skip_serializing_if = "Option::is_none")]
    pub cloud_native_pg: Option<CloudNativePgDatabase>,
    /// A Postgres that exists already; a Secret says where.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external: Option<SecretKey>,
    /// The variable that carries the connection URI into the app.
    #[serde(default = "database_url")]
    #[schemars(length(min = 1, max = 128))]
    pub env: String,
}

/// A single Postgres that the operator runs.
#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BuiltinDatabase {
    /// The major version of Postgres.
    #[serde(default = "postgres_version")]
    pub version: Scalar,
    /// An image to use instead of the operator's; it must keep to the official image's contract.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub image: Option<String>,
    /// The disk.
    #[serde(default = "builtin_storage")]
    pub storage: StorageSpec,
    /// CPU and memory of the database's container. What is not given is filled in: requests 100m and 256Mi, memory limit
    /// 512Mi. Its exporter has requests 10m and 32Mi and the memory limit 128Mi.
    #[serde(default)]
    pub resources: ResourceRequirements,
    /// Settings of `postgresql.conf`; `max_connections` is 100 unless given.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, Scalar>,
    /// Whether the data outlives the app: `Retain` or `Delete`.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
}

impl Default for BuiltinDatabase {
    fn default() -> Self {
        Self {
            version: postgres_version(),
            image: None,
            storage: builtin_storage(),
            resources: ResourceRequirements::default(),
            parameters: BTreeMap::new(),
            deletion_policy: DeletionPolicy::default(),
        }
    }
}

/// A replicated Postgres that CloudNativePG runs.
#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CloudNativePgDatabase {
    /// How many instances: one primary, the others replicas.
    #[serde(default = "three")]
    #[schemars(range(min = 1, max = 15))]
    pub instances: i32,
    /// The disk of each instance.
    #[serde(default = "cluster_storage")]
    pub storage: StorageSpec,
    /// The major version of Postgres.
    #[serde(default = "postgres_version")]
    pub version: Scalar,
    /// Settings of `postgresql.conf`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, Scalar>,
    /// Whether the whole cluster outlives the app: `Retain` or `Delete`.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
}

impl Default for CloudNativePgDatabase {
    fn default() -> Self {
        Self {
            instances: three(),
            storage: cluster_storage(),
            version: postgres_version(),
            parameters: BTreeMap::new(),
            deletion_policy: DeletionPolicy::default(),
        }
    }
}

/// A disk.
#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StorageSpec {
    /// Its size. It may grow, where the StorageClass lets claims grow; no claim shrinks.
    pub size: Quantity,
    /// Its StorageClass; without one the cluster's default. It cannot be changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub class_name: Option<String>,
}

/// One key of a Secret in this namespace.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretKey {
    /// The Secret.
    #[schemars(length(min = 1, max = 253))]
    pub secret_name: String,
    /// The key in it that holds the URI.
    #[serde(default = "uri")]
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// Whether data outlives the app.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    #[default]
    Retain,
    Delete,
}

fn database_url() -> String {
    "DATABASE_URL".to_owned()
}
fn postgres_version() -> Scalar {
    "18".into()
}
fn builtin_storage() -> StorageSpec {
    StorageSpec {
        size: Quantity("1Gi".to_owned()),
        class_name: None,
    }
}
fn cluster_storage() -> StorageSpec {
    StorageSpec {
        size: Quantity("10Gi".to_owned()),
        class_name: None,
    }
}
fn three() -> i32 {
    3
}
fn uri() -> String {
    "uri".to_owned()
}
