#![allow(clippy::unwrap_used)]

use super::*;

fn schemas() -> Vec<(String, Map<String, Value>)> {
    fn gather(path: String, schema: &Value, all: &mut Vec<(String, Map<String, Value>)>) {
        let Some(object) = schema.as_object() else { return };
        all.push((path.clone(), object.clone()));
        for (name, property) in object
            .get("properties")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            gather(format!("{path}.{name}"), property, all);
        }
        for (suffix, inner) in [("[]", "items"), ("{}", "additionalProperties")] {
            if let Some(inner) = object.get(inner) {
                gather(format!("{path}{suffix}"), inner, all);
            }
        }
    }
    let mut all = Vec::new();
    gather(String::new(), schema(), &mut all);
    all
}

#[test]
fn the_schema_that_is_read_is_the_one_of_the_types() {
    let built = format!("{}\n", build());
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("schema.json");
        std::fs::write(file, &built).unwrap();
    } else {
        assert!(
            built == BUILT,
            "the types have changed: run `UPDATE_GOLDEN=1 cargo test -p observedapp-api`"
        );
    }
}

#[test]
fn fits_into_a_client_side_apply() {
    let size = serde_json::to_string(&crd()).unwrap().len();
    assert!(size <= 200 * 1024, "{size} bytes");
}

#[test]
fn every_rule_has_its_place() {
    let placed: usize = schemas()
        .iter()
        .filter_map(|(_, schema)| schema.get("x-kubernetes-validations")?.as_array().map(Vec::len))
        .sum();
    assert_eq!(placed, RULES.len());
    for rule in RULES {
        assert!(
            !rule.message.ends_with('.') && !rule.message.contains('\n'),
            "{}",
            rule.message
        );
    }
}

#[test]
fn every_change_to_kubernetes_types_has_its_place() {
    let there: std::collections::BTreeSet<String> = schemas()
        .into_iter()
        .map(|(path, _)| path.trim_start_matches('.').to_owned())
        .collect();
    let of_enumerations = ENUMERATIONS.iter().map(|(path, _)| *path);
    let of_requirements = REQUIRED.iter().map(|(path, _)| *path);
    let of_removals = REMOVED.iter().map(|(path, _)| *path);
    let of_texts = LONG_TEXTS.iter().map(|(path, _)| *path);
    for path in KUBERNETES_TYPES
        .into_iter()
        .chain(KUBERNETES_PLACEMENT_TYPES)
        .chain(of_enumerations)
        .chain(of_requirements)
        .chain(of_removals)
        .chain(of_texts)
    {
        assert!(there.contains(path), "{path}");
    }
}

#[test]
fn everything_has_a_bound_and_our_own_fields_a_description() {
    for (path, schema) in schemas() {
        let typ = schema.get("type").and_then(Value::as_str).unwrap_or_default();
        let bound = match typ {
            "string" => ["maxLength", "enum", "format"]
                .iter()
                .any(|key| schema.contains_key(*key)),
            "array" => schema.contains_key("maxItems"),
            _ => !schema.contains_key("additionalProperties") || schema.contains_key("maxProperties"),
        };
        assert!(bound, "{path} is unbounded");
        assert!(!schema.contains_key("nullable"), "{path} is nullable");
        let inner = path.ends_with("[]") || path.ends_with("{}");
        if path.starts_with(".spec") && !inner && !path.contains("matchExpressions") {
            assert!(schema.contains_key("description"), "{path} has no description");
        }
    }
}

#[test]
fn names_kept_for_later_are_not_taken() {
    let paths: Vec<String> = schemas().into_iter().map(|(path, _)| path).collect();
    for later in [
        ".spec.migration",
        ".spec.database.builtin.backup",
        ".spec.database.builtin.restoreFrom",
        ".spec.dashboards.logs",
    ] {
        assert!(!paths.iter().any(|path| path == later), "{later}");
    }
}

#[test]
fn giving_one_field_leaves_the_others_their_defaults() {
    let at = |pointer: &str| schema().pointer(pointer).cloned().unwrap_or_default();
    let alerts = "/properties/spec/properties/alerts/properties";
    assert_eq!(
        at(&format!("{alerts}/highCPU/properties/percent/default")),
        json!(80)
    );
    assert_eq!(
        at(&format!("{alerts}/highMemory/properties/percent/default")),
        json!(90)
    );
    assert_eq!(
        at(&format!("{alerts}/metricsAbsent/properties/for/default")),
        json!("10m")
    );
    assert_eq!(
        at(
            "/properties/spec/properties/database/properties/builtin/properties/storage/properties/size/default"
        ),
        json!("1Gi")
    );
}

#[test]
fn columns_are_those_that_people_read() {
    let crd = crd();
    let columns = crd.spec.versions[0].additional_printer_columns.as_ref().unwrap();
    let names = |is_wide: bool| -> Vec<&str> {
        let columns = columns
            .iter()
            .filter(|column| column.priority.is_some_and(|priority| priority > 0) == is_wide);
        columns.map(|column| column.name.as_str()).collect()
    };
    assert_eq!(
        names(false),
        ["Ready", "Replicas", "SLI", "Budget", "Burn", "Alerts", "Age"]
    );
    assert_eq!(names(true), ["Objective", "URL", "Image"]);
    assert_eq!(crd.metadata.labels.unwrap()[PROVISIONED_SERVICE_LABEL], "true");
}
