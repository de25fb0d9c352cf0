//! From the types to the `CustomResourceDefinition`: what `kube` derives is made structural, bounded and small.

use std::sync::LazyLock;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps,
};
use kube::CustomResourceExt;
use serde_json::{Map, Value, json};

use crate::path::change_at;
use crate::rules::RULES;
use crate::{GROUP, ObservedApp};

/// The label by which tools of servicebinding.io find resources that offer a binding.
const PROVISIONED_SERVICE_LABEL: &str = "servicebinding.io/provisioned-service";

/// Where types of Kubernetes itself begin: below these, one sentence of documentation a field is kept.
const KUBERNETES_TYPES: [&str; 15] = [
    "spec.imagePullSecrets[]",
    "spec.env[]",
    "spec.envFrom[]",
    "spec.volumeMounts[]",
    "spec.volumes[].configMap",
    "spec.volumes[].secret",
    "spec.volumes[].emptyDir",
    "spec.volumes[].persistentVolumeClaim",
    "spec.volumes[].projected",
    "spec.volumes[].downwardAPI",
    "spec.volumes[].csi",
    "spec.volumes[].ephemeral",
    "spec.resources",
    "spec.database.builtin.resources",
    "spec.networkPolicy.metricsFrom[]",
];

/// Those of `placement`, which are the longest of all.
const KUBERNETES_PLACEMENT_TYPES: [&str; 3] = [
    "spec.placement.tolerations[]",
    "spec.placement.affinity",
    "status.conditions[]",
];

/// Fields of Kubernetes types that would do nothing here, or that a restricted pod must not have.
const REMOVED: [(&str, &str); 5] = [
    ("spec.resources", "claims"),
    ("spec.database.builtin.resources", "claims"),
    ("spec.volumeMounts[]", "mountPropagation"),
    ("spec.volumes[].ephemeral.volumeClaimTemplate", "metadata"),
    ("spec.volumes[].projected.sources[]", "clusterTrustBundle"),
];

/// Values that Kubernetes would refuse later, refused at admission.
const ENUMERATIONS: [(&str, &[&str]); 5] = [
    ("spec.placement.tolerations[].operator", &["Exists", "Equal"]),
    (
        "spec.placement.tolerations[].effect",
        &["NoSchedule", "PreferNoSchedule", "NoExecute"],
    ),
    ("spec.volumes[].emptyDir.medium", &["", "Memory"]),
    (
        "spec.networkPolicy.metricsFrom[].podSelector.matchExpressions[].operator",
        SELECTOR_OPERATORS,
    ),
    (
        "spec.networkPolicy.metricsFrom[].namespaceSelector.matchExpressions[].operator",
        SELECTOR_OPERATORS,
    ),
];

const SELECTOR_OPERATORS: &[&str] = &["In", "NotIn", "Exists", "DoesNotExist"];

/// Names that Kubernetes' own types leave optional only for history's sake.
const REQUIRED: [(&str, &str); 8] = [
    ("spec.imagePullSecrets[]", "name"),
    ("spec.env[].valueFrom.secretKeyRef", "name"),
    ("spec.env[].valueFrom.configMapKeyRef", "name"),
    ("spec.envFrom[].secretRef", "name"),
    ("spec.envFrom[].configMapRef", "name"),
    ("spec.volumes[].configMap", "name"),
    ("spec.volumes[].secret", "secretName"),
    ("spec.volumes[].projected.sources[].serviceAccountToken", "path"),
];

/// Texts that may be longer than [`DEFAULT_MAX_LENGTH`], and why nothing else may.
const LONG_TEXTS: [(&str, u32); 3] = [
    ("spec.env[].value", 32_768),
    ("spec.command[]", 8_192),
    ("spec.args[]", 32_768),
];

const DEFAULT_MAX_LENGTH: u32 = 1_024;
const DEFAULT_MAX_ITEMS: u32 = 64;
const DEFAULT_MAX_PROPERTIES: u32 = 64;
/// Values of annotations hold certificates' and load balancers' settings, and now and then a JSON document.
const MAX_ANNOTATION_LENGTH: u32 = 8_192;

/// The `CustomResourceDefinition` that `crds/` holds.
pub fn crd() -> CustomResourceDefinition {
    let mut crd = ObservedApp::crd();
    crd.metadata
        .labels
        .get_or_insert_default()
        .insert(PROVISIONED_SERVICE_LABEL.to_owned(), "true".to_owned());
    debug_assert_eq!(crd.spec.group, GROUP);
    let schema = serde_json::from_value::<JSONSchemaProps>(build()).ok();
    for version in &mut crd.spec.versions {
        version
            .schema
            .get_or_insert_default()
            .open_api_v3_schema
            .clone_from(&schema);
    }
    crd
}

/// What [`build`] makes of the types, as a test compares: to derive it anew takes longer than all else that `observedapp
/// check` does.
const BUILT: &str = include_str!("../schema.json");

/// The resource's OpenAPI v3 schema, as JSON.
pub fn schema() -> &'static Value {
    static SCHEMA: LazyLock<Value> =
        LazyLock::new(|| serde_json::from_str(BUILT).expect("a test compares the file with what was built"));
    &SCHEMA
}

/// The first that `kubectl explain oapp` says.
const DESCRIPTION: &str = "An ObservedApp is an HTTP service with everything it takes to run it well, in one object. \
    The spec says what is wanted: only `image` is required, and each further capability (database, cache, ingress, \
    gateway, autoscaling, metrics, probe, slos) is switched on by its presence. The operator makes the objects that follow and \
    keeps them so: Deployment, Services, database, monitors, recording rules, alerts, a dashboard, network policies. The \
    status says what has come of it: conditions that name a cause and a remedy, the error budget left of every \
    objective, and the alerts that are firing. `observedapp check` and `observedapp render` show beforehand, without a \
    cluster, what is wrong with it and what would be made of it.";

fn build() -> Value {
    let derived = ObservedApp::crd()
        .spec
        .versions
        .into_iter()
        .find_map(|version| version.schema?.open_api_v3_schema);
    let mut root = serde_json::to_value(derived).unwrap_or_default();
    root["description"] = json!(DESCRIPTION);
    for (path, field) in REMOVED {
        change_at(&mut root, path, &mut |schema| remove_property(schema, field));
    }
    for path in KUBERNETES_TYPES.into_iter().chain(KUBERNETES_PLACEMENT_TYPES) {
        change_at(&mut root, path, &mut |schema| {
            walk(schema, &mut keep_one_sentence);
        });
    }
    for (path, values) in ENUMERATIONS {
        change_at(&mut root, path, &mut |schema| schema["enum"] = json!(values));
    }
    for (path, field) in REQUIRED {
        change_at(&mut root, path, &mut |schema| require(schema, field));
    }
    for (path, length) in LONG_TEXTS {
        change_at(&mut root, path, &mut |schema| schema["maxLength"] = json!(length));
    }
    walk(&mut root, &mut forget_nulls);
    walk(&mut root, &mut bound_integers);
    walk(&mut root, &mut hand_down_defaults);
    walk(&mut root, &mut bound);
    // Tools that follow kstatus take an object without a status for one that is done.
    root["properties"]["status"]["default"] = json!({"observedGeneration": -1});
    for rule in RULES {
        change_at(&mut root, rule.at, &mut |schema| rule.add_to(schema));
    }
    root
}

/// Calls `change` on a schema and on every schema in it, the outer one first.
fn walk(schema: &mut Value, change: &mut impl FnMut(&mut Map<String, Value>)) {
    let Some(object) = schema.as_object_mut() else {
        return;
    };
    change(object);
    if let Some(properties) = object.get_mut("properties").and_then(Value::as_object_mut) {
        for property in properties.values_mut() {
            walk(property, change);
        }
    }
    for inner in ["items", "additionalProperties"] {
        if let Some(inner) = object.get_mut(inner) {
            walk(inner, change);
        }
    }
}

fn remove_property(schema: &mut Value, field: &str) {
    if let Some(properties) = schema["properties"].as_object_mut() {
        properties.remove(field);
    }
}

fn require(schema: &mut Value, field: &str) {
    let name = json!(field);
    match schema["required"].as_array_mut() {
        Some(required) if required.contains(&name) => {}
        Some(required) => required.push(name),
        None => schema["required"] = json!([name]),
    }
    if let Some(property) = schema["properties"][field].as_object_mut() {
        property.remove("default");
        property.entry("minLength").or_insert(json!(1));
    }
}

/// A `CustomResourceDefinition` must stay small enough for `kubectl apply`, and Kubernetes documents its own types.
fn keep_one_sentence(schema: &mut Map<String, Value>) {
    if let Some(Value::String(text)) = schema.get_mut("description") {
        let end = text
            .find(". ")
            .or_else(|| text.find(".\n"))
            .map_or(text.len(), |stop| stop + 1);
        text.truncate(end);
    }
}

/// A null is the same as nothing, as everywhere in Kubernetes: the API server drops it before it fills in defaults.
fn forget_nulls(schema: &mut Map<String, Value>) {
    schema.remove("nullable");
}

/// Formats of numbers are not known to the API server, which says so in a warning; bounds say the same.
fn bound_integers(schema: &mut Map<String, Value>) {
    let format = schema.get("format").and_then(Value::as_str).unwrap_or_default();
    let (is_int32, is_number) = (format == "int32", matches!(format, "int32" | "int64" | "double"));
    if is_int32 {
        schema.entry("minimum").or_insert(json!(i32::MIN));
        schema.entry("maximum").or_insert(json!(i32::MAX));
    }
    if is_number {
        schema.remove("format");
    }
}

/// Defaults are filled in from the outside inwards, and a value that is given takes the place of the whole default. What
/// an object's default says is therefore said of its fields too, so that giving one leaves the others theirs.
fn hand_down_defaults(schema: &mut Map<String, Value>) {
    let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) else {
        return;
    };
    for property in properties.values_mut().filter_map(Value::as_object_mut) {
        let Some(fields) = property.get("default").and_then(Value::as_object).cloned() else {
            continue;
        };
        let Some(inner) = property.get_mut("properties").and_then(Value::as_object_mut) else {
            continue;
        };
        for (name, default) in fields {
            if let Some(Value::Object(field)) = inner.get_mut(&name) {
                field.insert("default".to_owned(), default);
            }
        }
    }
}

/// Everything that can be long has a bound: without one the API server cannot estimate what its rules cost.
fn bound(schema: &mut Map<String, Value>) {
    let is_text = schema.get("type") == Some(&json!("string")) && !schema.contains_key("enum");
    if is_text && !schema.contains_key("format") {
        schema.entry("maxLength").or_insert(json!(DEFAULT_MAX_LENGTH));
    }
    if schema.get("x-kubernetes-int-or-string") == Some(&json!(true)) {
        schema.entry("maxLength").or_insert(json!(64));
    }
    if schema.get("type") == Some(&json!("array")) {
        schema.entry("maxItems").or_insert(json!(DEFAULT_MAX_ITEMS));
    }
    if schema.contains_key("additionalProperties") {
        schema
            .entry("maxProperties")
            .or_insert(json!(DEFAULT_MAX_PROPERTIES));
    }
    if let Some(annotations) = schema
        .get_mut("properties")
        .and_then(|properties| properties.get_mut("annotations"))
        .and_then(|annotations| annotations.get_mut("additionalProperties"))
    {
        annotations["maxLength"] = json!(MAX_ANNOTATION_LENGTH);
    }
}

#[cfg(test)]
mod tests;
