//! Postgres' settings, from the memory that its container may use.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ResourceRequirements;
use observedapp_api::BuiltinDatabase;

use super::with_parameters;
use crate::resources::{self, Defaults, amount};

const DEFAULTS: Defaults = Defaults {
    cpu_request: "100m",
    memory_request: "256Mi",
    memory_limit: "512Mi",
};
const DEFAULT_CONNECTIONS: u64 = 100;
/// From this version on a connection can be kept for a role that is no superuser.
pub(super) const RESERVES_CONNECTIONS: u32 = 16;

pub(super) fn resources(database: &BuiltinDatabase) -> ResourceRequirements {
    resources::fill(&database.resources, DEFAULTS)
}

/// What the container may use, in bytes.
pub(super) fn memory(database: &BuiltinDatabase) -> u64 {
    let limit = amount(resources(database).limits.as_ref(), "memory");
    limit.map_or(0, observedapp_api::Amount::units)
}

/// The settings that differ from Postgres' own; the user's win, but for those that the pod depends on.
pub(super) fn parameters(database: &BuiltinDatabase) -> BTreeMap<String, String> {
    let memory = memory(database);
    let connections = database
        .parameters
        .get("max_connections")
        .and_then(|given| given.as_str().parse().ok())
        .unwrap_or(DEFAULT_CONNECTIONS)
        .max(1);
    let shared = memory / 4;
    // A query may sort more than once, and not every connection works at the same time.
    let sort = ((memory - shared) / connections / 3).max(1 << 20);
    let maintenance = (memory / 16).clamp(16 << 20, 2 << 30);
    let mut parameters: BTreeMap<_, _> = [
        ("max_connections", connections.to_string()),
        ("shared_buffers", megabytes(shared)),
        ("effective_cache_size", megabytes(memory / 4 * 3)),
        ("maintenance_work_mem", megabytes(maintenance)),
        ("work_mem", format!("{}kB", sort >> 10)),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    if major(database) >= RESERVES_CONNECTIONS {
        // For the exporter: a database that has run out of connections is just when its metrics matter.
        parameters.insert("reserved_connections".to_owned(), "1".to_owned());
    }
    let mut parameters = with_parameters(parameters, &database.parameters);
    parameters.extend(
        [
            ("listen_addresses", "*".to_owned()),
            ("port", super::PORT.to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    parameters
}

/// 18 of `18` and of `18.1`.
pub(super) fn major(database: &BuiltinDatabase) -> u32 {
    let version = database.version.as_str();
    let digits = version
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(version.len());
    version[..digits].parse().unwrap_or_default()
}

fn megabytes(bytes: u64) -> String {
    format!("{}MB", bytes >> 20)
}
