//! kubeconform on every reviewed object, strictly, by the schemas that Kubernetes, prometheus-operator and CloudNativePG
//! release with their code: no schema is fetched from anywhere else.

use std::fs;
use std::path::Path;
use std::process::Command;

use golden_tests::Case;
use lab_tools::{Module, Tool, ensure, module_dir};
use observedapp_desired::Kind;
use serde_json::{Map, Value, json};

#[test]
fn kubeconform_accepts_every_object() {
    let kubeconform = &ensure(&[Tool::Kubeconform]).unwrap()[&Tool::Kubeconform];
    let schemas = tempfile::tempdir().unwrap();
    write_schemas(schemas.path());
    let template = "{{.ResourceKind}}{{.KindSuffix}}.json";
    let output = Command::new(kubeconform)
        .args(["-strict", "-summary", "-schema-location"])
        .arg(schemas.path().join(template))
        .args(
            Case::all()
                .unwrap()
                .iter()
                .map(|case| case.folder.join("objects")),
        )
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(said.contains("Skipped: 0"), "{said}");
}

fn write_schemas(folder: &Path) {
    let swagger = module_dir(Module::KUBERNETES)
        .unwrap()
        .join("api/openapi-spec/swagger.json");
    let mut swagger: Value = serde_json::from_slice(&fs::read(swagger).unwrap()).unwrap();
    let definitions = swagger["definitions"].as_object_mut().unwrap();
    for definition in definitions.values_mut() {
        forbid_others(definition);
    }
    // Swagger has no words for either of two types.
    definitions["io.k8s.apimachinery.pkg.util.intstr.IntOrString"] =
        json!({"oneOf": [{"type": "string"}, {"type": "integer"}]});
    fs::write(
        folder.join("definitions.json"),
        json!({"definitions": &*definitions}).to_string(),
    )
    .unwrap();
    for kind in Kind::ALL {
        let schema = if kind.is_optional() {
            of_crd(*kind)
        } else {
            json!({"$ref": format!("definitions.json#/definitions/{}", definition_of(definitions, *kind))})
        };
        fs::write(folder.join(file_name(*kind)), schema.to_string()).unwrap();
    }
}

/// A field that is not there is a mistake.
fn forbid_others(definition: &mut Value) {
    if definition["properties"].is_object() && definition["additionalProperties"].is_null() {
        definition["additionalProperties"] = false.into();
    }
}

fn definition_of(definitions: &Map<String, Value>, kind: Kind) -> &str {
    let gvk = kind.gvk();
    let wanted = json!({"group": gvk.group, "version": gvk.version, "kind": gvk.kind});
    let named = |definition: &Value| {
        let kinds = definition["x-kubernetes-group-version-kind"].as_array();
        kinds.is_some_and(|kinds| kinds.contains(&wanted))
    };
    let (name, _) = definitions
        .iter()
        .find(|(_, definition)| named(definition))
        .unwrap();
    name
}

fn of_crd(kind: Kind) -> Value {
    let folder = match kind {
        Kind::Cluster => module_dir(Module::CLOUDNATIVE_PG)
            .unwrap()
            .join("config/crd/bases"),
        _ => module_dir(Module::PROMETHEUS_OPERATOR)
            .unwrap()
            .join("example/prometheus-operator-crd"),
    };
    let path = folder.join(format!("{}_{}.yaml", kind.gvk().group, kind.plural()));
    let crd: Value = serde_yaml::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let mut schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone();
    forbid_others(&mut schema["properties"]["spec"]);
    schema
}

/// As the template above has it: `deployment-apps-v1.json`, `service-v1.json`.
fn file_name(kind: Kind) -> String {
    let gvk = kind.gvk();
    let group = gvk.group.split('.').next().unwrap_or_default();
    let separator = if group.is_empty() { "" } else { "-" };
    format!(
        "{}{separator}{group}-{}.json",
        gvk.kind.to_lowercase(),
        gvk.version
    )
}
