//! The CRDs of others, as they release them with their code.

use std::{fs, io};

use lab_tools::{Module, module_dir};
use observedapp_desired::Kind;
use serde_json::Value;

/// The CRD of an optional kind.
pub fn crd(kind: Kind) -> io::Result<Value> {
    let (module, folder) = match kind {
        Kind::Cluster => (Module::CLOUDNATIVE_PG, "config/crd/bases"),
        _ => (Module::PROMETHEUS_OPERATOR, "example/prometheus-operator-crd"),
    };
    let path = module_dir(module)
        .map_err(io::Error::other)?
        .join(folder)
        .join(format!("{}_{}.yaml", kind.gvk().group, kind.plural()));
    serde_yaml::from_str(&fs::read_to_string(&path)?)
        .map_err(|error| io::Error::other(format!("{}: {error}", path.display())))
}
