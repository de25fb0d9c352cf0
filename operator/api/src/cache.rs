//! A Redis for the app.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Scalar;

/// A Redis for the app: exactly one of `builtin`, `external`. Its URL reaches the app in the variable `env`.
#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CacheSpec {
    /// A single Redis that the operator runs: a cache, so nothing is kept on disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub builtin: Option<BuiltinCache>,
    /// A Redis that exists already; a Secret says where.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external: Option<ExternalCache>,
    /// The variable that carries the URL into the app.
    #[serde(default = "redis_url")]
    #[schemars(length(min = 1, max = 128))]
    pub env: String,
}

/// A single Redis that the operator runs.
#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BuiltinCache {
    /// The major version of Redis.
    #[serde(default = "redis_version")]
    pub version: Scalar,
    /// An image to use instead of the operator's; it must keep to the official image's contract.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub image: Option<String>,
    /// How much the cache may hold, at most 1Ti; beyond it the least recently used keys go. The container requests 50m
    /// and 1.25 × this + 32Mi, its memory limit is 1.5 × this + 64Mi; its exporter has 10m, 32Mi and the limit 128Mi.
    #[serde(default = "cache_memory")]
    pub memory: Quantity,
}

impl Default for BuiltinCache {
    fn default() -> Self {
        Self {
            version: redis_version(),
            image: None,
            memory: cache_memory(),
        }
    }
}

/// One key of a Secret in this namespace.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExternalCache {
    /// The Secret.
    #[schemars(length(min = 1, max = 253))]
    pub secret_name: String,
    /// The key in it that holds the URL.
    #[serde(default = "url")]
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

fn redis_url() -> String {
    "REDIS_URL".to_owned()
}
fn redis_version() -> Scalar {
    "8".into()
}
fn cache_memory() -> Quantity {
    Quantity("64Mi".to_owned())
}
fn url() -> String {
    "url".to_owned()
}
