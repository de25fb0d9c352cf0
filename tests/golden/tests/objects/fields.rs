//! Every field of the schema is used by at least one case.

use std::collections::BTreeSet;

use golden_tests::{Case, PASSED_ON};
use serde_json::Value;

#[test]
fn every_field_is_in_a_case() {
    let crd = serde_json::to_value(observedapp_api::crd()).unwrap();
    let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    let mut wanted = BTreeSet::new();
    of_schema(schema, "", &mut wanted);
    assert!(wanted.len() > 100, "the schema was not read: {wanted:?}");

    let mut used = BTreeSet::new();
    for case in Case::all().unwrap() {
        let text = std::fs::read_to_string(case.folder.join("app.yaml")).unwrap();
        let app: Value = serde_yaml::from_str(&text).unwrap();
        of_value(&app["spec"], "", &mut used);
    }
    let unused: Vec<_> = wanted.difference(&used).collect();
    assert!(unused.is_empty(), "fields in no golden case: {unused:#?}");
}

fn of_schema(schema: &Value, path: &str, fields: &mut BTreeSet<String>) {
    if !path.is_empty() {
        fields.insert(path.to_owned());
    }
    if PASSED_ON.contains(&path) {
        return;
    }
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let separator = if path.is_empty() { "" } else { "." };
        of_schema(field, &format!("{path}{separator}{name}"), fields);
    }
    if schema["items"].is_object() {
        of_schema(&schema["items"], &format!("{path}[]"), fields);
    }
}

fn of_value(value: &Value, path: &str, fields: &mut BTreeSet<String>) {
    if !path.is_empty() {
        fields.insert(path.to_owned());
    }
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                let separator = if path.is_empty() { "" } else { "." };
                of_value(member, &format!("{path}{separator}{name}"), fields);
            }
        }
        Value::Array(items) => {
            for item in items {
                of_value(item, &format!("{path}[]"), fields);
            }
        }
        _ => {}
    }
}
