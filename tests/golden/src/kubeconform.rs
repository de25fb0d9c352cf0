//! kubeconform, strictly, by the schemas that Kubernetes, prometheus-operator, CloudNativePG and the Gateway API release with their code:
//! no schema is fetched from anywhere else.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, io};

use lab_tools::{Module, Tool, ensure, module_dir};
use observedapp_desired::Kind;
use serde_json::{Value, json};

/// Fails, with what kubeconform says, for a file in which anything is not as its schema has it, or has none.
pub fn kubeconform(paths: impl IntoIterator<Item = PathBuf>) -> io::Result<()> {
    let programs = ensure(&[Tool::Kubeconform]).map_err(io::Error::other)?;
    let schemas = tempfile::tempdir()?;
    write_schemas(schemas.path())?;
    let template = "{{.ResourceKind}}{{.KindSuffix}}.json";
    let output = Command::new(&programs[&Tool::Kubeconform])
        .args(["-strict", "-summary", "-schema-location"])
        .arg(schemas.path().join(template))
        .args(paths)
        .output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    if output.status.success() && said.contains("Skipped: 0") {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    )))
}

fn write_schemas(folder: &Path) -> io::Result<()> {
    let swagger = module_dir(Module::KUBERNETES)
        .map_err(io::Error::other)?
        .join("api/openapi-spec/swagger.json");
    let mut swagger: Value = serde_json::from_slice(&fs::read(&swagger)?)?;
    let Some(definitions) = swagger["definitions"].as_object_mut() else {
        return Err(io::Error::other("Kubernetes' swagger.json has no definitions"));
    };
    for definition in definitions.values_mut() {
        forbid_others(definition);
    }
    // Swagger has no words for a type that is either of two.
    definitions.insert(
        "io.k8s.apimachinery.pkg.util.intstr.IntOrString".to_owned(),
        json!({"oneOf": [{"type": "string"}, {"type": "integer"}]}),
    );
    fs::write(
        folder.join("definitions.json"),
        json!({"definitions": &*definitions}).to_string(),
    )?;
    for (name, definition) in definitions.iter() {
        let kinds = definition["x-kubernetes-group-version-kind"].as_array();
        // What has several, such as DeleteOptions, is no object.
        let Some([kind]) = kinds.map(Vec::as_slice) else {
            continue;
        };
        let text = |field: &str| kind[field].as_str().unwrap_or_default();
        let schema = json!({"$ref": format!("definitions.json#/definitions/{name}")});
        let file = file_name(text("group"), text("version"), text("kind"));
        fs::write(folder.join(file), schema.to_string())?;
    }
    for kind in Kind::ALL.iter().filter(|kind| kind.is_optional()) {
        let mut schema = crate::crd(*kind)?["spec"]["versions"][0]["schema"]["openAPIV3Schema"].take();
        forbid_others(&mut schema["properties"]["spec"]);
        let gvk = kind.gvk();
        let file = file_name(&gvk.group, &gvk.version, &gvk.kind);
        fs::write(folder.join(file), schema.to_string())?;
    }
    Ok(())
}

/// A field that is not there is a mistake.
fn forbid_others(definition: &mut Value) {
    if definition["properties"].is_object() && definition["additionalProperties"].is_null() {
        definition["additionalProperties"] = false.into();
    }
}

/// As the template above has it: `deployment-apps-v1.json`, `service-v1.json`.
fn file_name(group: &str, version: &str, kind: &str) -> String {
    let group = group.split('.').next().unwrap_or_default();
    let separator = if group.is_empty() { "" } else { "-" };
    format!("{}{separator}{group}-{version}.json", kind.to_lowercase())
}
