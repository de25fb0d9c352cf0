//! Generates specs from the schema: for each field one with it, one with another value, and one without it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex};

use anyhow::Result;
use apiserver_tests::TestNamespace;
use golden_tests::{Case, default_observed, default_settings};
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::ApiResource;
use observedapp_api::{ObservedApp, fill_in_defaults, refusals, schema};
use observedapp_desired::{Object, desired, validate};
use serde_json::{Value, json};

use super::values::others;

/// A field and the specs that test it.
#[derive(Clone, Debug)]
pub struct Trial {
    pub field: String,
    pub first: Value,
    pub other: Value,
    /// `None` if the field is required.
    pub without: Option<Value>,
}

/// A field's value in a sample.
struct Place<'a> {
    spec: &'a Value,
    pointer: String,
    schema: &'a Value,
}

/// Every field of the schema that has a scalar value: `slos[].indicator.latency.threshold`.
pub fn fields() -> Vec<String> {
    let mut fields = Vec::new();
    of_schema(&schema()["properties"]["spec"], "", &mut fields);
    fields
}

fn of_schema(schema: &Value, field: &str, fields: &mut Vec<String>) {
    if let Some(properties) = schema["properties"].as_object() {
        for (name, inner) in properties {
            of_schema(inner, &below(field, name), fields);
        }
    } else if schema["items"].is_object() {
        of_schema(&schema["items"], &format!("{field}[]"), fields);
    } else {
        fields.push(field.to_owned());
    }
}

fn below(field: &str, name: &str) -> String {
    if field.is_empty() {
        name.to_owned()
    } else {
        format!("{field}.{name}")
    }
}

fn places<'a>(
    spec: &'a Value,
    value: &Value,
    schema: &'a Value,
    (field, pointer): (&str, &str),
    found: &mut BTreeMap<String, Vec<Place<'a>>>,
) {
    if let Some(properties) = schema["properties"].as_object() {
        for (name, inner) in value.as_object().into_iter().flatten() {
            if let Some(schema) = properties.get(name) {
                let at = (&*below(field, name), &*format!("{pointer}/{name}"));
                places(spec, inner, schema, at, found);
            }
        }
    } else if schema["items"].is_object() {
        for (number, inner) in value.as_array().into_iter().flatten().enumerate() {
            let at = (&*format!("{field}[]"), &*format!("{pointer}/{number}"));
            places(spec, inner, &schema["items"], at, found);
        }
    } else {
        found.entry(field.to_owned()).or_default().push(Place {
            spec,
            pointer: pointer.to_owned(),
            schema,
        });
    }
}

/// The golden cases have every field of the operator's own; the samples have those of Kubernetes' types.
fn samples() -> Result<Vec<Value>> {
    let mut samples = Vec::new();
    for case in Case::all()? {
        samples.push(serde_json::to_value(&case.app.spec)?);
        let text = std::fs::read_to_string(case.folder.join("app.yaml"))?;
        let written: Value = serde_yaml::from_str(&text)?;
        samples.push(written["spec"].clone());
    }
    samples.extend(serde_yaml::from_multiple::<Value>(include_str!("samples.yaml"))?);
    Ok(samples)
}

/// Checks which specs the API server accepts, with all objects built from them.
pub struct Judge {
    ns: TestNamespace,
    samples: Vec<Value>,
    taken: Mutex<HashSet<String>>,
    /// The objects of each spec that was built already: many fields share specs.
    made: Mutex<HashMap<String, Made>>,
}

type Made = Option<Arc<Vec<Object>>>;

impl Judge {
    pub fn new(ns: TestNamespace) -> Result<Self> {
        Ok(Self {
            ns,
            samples: samples()?,
            taken: Mutex::default(),
            made: Mutex::default(),
        })
    }

    /// The specs that test a field, or why there are none.
    pub async fn draw(&self, field: &str) -> Result<Trial, String> {
        let mut found = BTreeMap::new();
        for sample in &self.samples {
            places(
                sample,
                sample,
                &schema()["properties"]["spec"],
                ("", ""),
                &mut found,
            );
        }
        let places = found.remove(field).unwrap_or_default();
        if places.is_empty() {
            return Err("no sample has it".to_owned());
        }
        for place in &places {
            for first in bases(place) {
                let Some(made) = self.made(&first) else { continue };
                for other in others(
                    place.schema,
                    first.pointer(&place.pointer).unwrap_or(&Value::Null),
                ) {
                    let mut changed = first.clone();
                    if let Some(there) = changed.pointer_mut(&place.pointer) {
                        *there = other;
                    }
                    let follows = self.made(&changed).is_some_and(|changed| changed != made);
                    if follows && self.takes(&first).await && self.takes(&changed).await {
                        return Ok(Trial {
                            field: field.to_owned(),
                            without: self.without(&first, &place.pointer).await,
                            first,
                            other: changed,
                        });
                    }
                }
            }
        }
        Err("no other accepted value changes an object".to_owned())
    }

    /// The spec without the field or, if that is invalid, without the innermost parent that can be removed.
    async fn without(&self, spec: &Value, pointer: &str) -> Option<Value> {
        let mut pointer = pointer;
        while !pointer.is_empty() {
            let (parent, last) = pointer.rsplit_once('/')?;
            let mut without = spec.clone();
            match without.pointer_mut(parent)? {
                Value::Object(members) => {
                    members.remove(last);
                }
                Value::Array(items) => {
                    items.remove(last.parse().ok()?);
                }
                _ => {}
            }
            if self.takes(&without).await {
                return Some(without);
            }
            pointer = parent;
        }
        None
    }

    /// The objects of a spec, if it is valid.
    fn made(&self, spec: &Value) -> Made {
        let text = spec.to_string();
        if let Some(made) = self.made.lock().unwrap().get(&text) {
            return made.clone();
        }
        let made = self.make(spec).map(Arc::new);
        self.made.lock().unwrap().insert(text, made.clone());
        made
    }

    fn make(&self, spec: &Value) -> Option<Vec<Object>> {
        let mut app = json!({
            "apiVersion": "observedapp.dev/v1alpha1", "kind": "ObservedApp",
            "metadata": {"name": "draw", "namespace": self.ns.name, "uid": "00000000-0000-0000-0000-000000000000"},
            "spec": spec,
        });
        fill_in_defaults(&mut app);
        if !refusals(&app).is_empty() {
            return None;
        }
        let app: ObservedApp = serde_json::from_value(app).ok()?;
        let valid = validate(&app, default_observed(), default_settings()).ok()?;
        Some(desired(&valid).objects)
    }

    /// Whether the API server would accept every object of a spec.
    async fn takes(&self, spec: &Value) -> bool {
        let Some(objects) = self.made(spec) else {
            return false;
        };
        for object in &*objects {
            let text = serde_json::to_string(object).unwrap_or_default();
            if self.taken.lock().unwrap().contains(&text) {
                continue;
            }
            let kind = object.kind();
            let resource = ApiResource::from_gvk_with_plural(&kind.gvk(), kind.plural());
            let api: Api<DynamicObject> =
                Api::namespaced_with(self.ns.client.clone(), &self.ns.name, &resource);
            let params = PatchParams::apply("draw").dry_run();
            if api
                .patch(object.name(), &params, &Patch::Apply(object))
                .await
                .is_err()
            {
                return false;
            }
            self.taken.lock().unwrap().insert(text);
        }
        true
    }
}

/// Disables the capabilities that are on by default.
fn without_extras() -> Value {
    json!({
        "replicas": 1, "dashboards": {"enabled": false}, "networkPolicy": {"enabled": false},
        "alerts": {
            "highCPU": {"enabled": false}, "highMemory": {"enabled": false}, "replicasUnavailable": {"enabled": false},
        },
    })
}

/// Reduced samples that contain the field, the smallest first: one capability, two, all.
fn bases(place: &Place<'_>) -> Vec<Value> {
    let top = place.pointer.split('/').nth(1).unwrap_or_default();
    let Some(all) = place.spec.as_object() else {
        return Vec::new();
    };
    let of = |keys: &[&str]| -> Value {
        all.iter()
            .filter(|(key, _)| keys.contains(&key.as_str()))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    };
    let mut alone = without_extras();
    for (key, value) in of(&["image", top]).as_object().into_iter().flatten() {
        alone[key] = value.clone();
    }
    let mut bases = vec![alone, of(&["image", top])];
    bases.extend(all.keys().map(|key| of(&["image", top, key])));
    bases.push(place.spec.clone());
    bases
}
