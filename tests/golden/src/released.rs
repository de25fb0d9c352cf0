//! The CRDs of others, as they release them with their code.

use std::{fs, io};

use lab_tools::{Module, module_dir};
use observedapp_desired::Kind;
use serde_json::Value;

/// The CRD of an optional kind.
pub fn crd(kind: Kind) -> io::Result<Value> {
    let (module, folder) = match kind {
        Kind::Cluster => (Module::CLOUDNATIVE_PG, "config/crd/bases"),
        Kind::HTTPRoute => return gateway_crd(kind.plural()),
        _ => (Module::PROMETHEUS_OPERATOR, "example/prometheus-operator-crd"),
    };
    read(
        module,
        folder,
        &format!("{}_{}.yaml", kind.gvk().group, kind.plural()),
    )
}

/// A CRD of the Gateway API.
pub fn gateway_crd(plural: &str) -> io::Result<Value> {
    let file = format!("gateway.networking.k8s.io_{plural}.yaml");
    read(Module::GATEWAY_API, "config/crd/standard", &file)
}

fn read(module: Module, folder: &str, file: &str) -> io::Result<Value> {
    let path = module_dir(module)
        .map_err(io::Error::other)?
        .join(folder)
        .join(file);
    serde_yaml::from_str(&fs::read_to_string(&path)?)
        .map_err(|error| io::Error::other(format!("{}: {error}", path.display())))
}
