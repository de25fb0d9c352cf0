//! The tables of refused specs, `refused/*.yaml`: asked of the operator's own validation and of a real API server.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// A spec that is refused at a field.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refused {
    pub field: String,
    /// The app's name, where it is not `tasks`.
    #[serde(default)]
    name: Option<String>,
    spec: Value,
}

/// A change of a spec, refused at a field or allowed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transition {
    #[serde(default)]
    pub field: Option<String>,
    from: Value,
    to: Value,
}

impl Refused {
    /// As its author would write it: without the defaults.
    pub fn object(&self) -> Value {
        json!({
            "apiVersion": "observedapp.dev/v1alpha1",
            "kind": "ObservedApp",
            "metadata": {"name": self.name.as_deref().unwrap_or("tasks"), "namespace": "shop"},
            "spec": with_image(&self.spec),
        })
    }
}

impl Transition {
    pub fn from(&self) -> Value {
        with_image(&self.from)
    }

    pub fn to(&self) -> Value {
        with_image(&self.to)
    }
}

/// What the API server and `observedapp check` refuse, at least one for every admission rule.
pub fn admission() -> Vec<Refused> {
    table(include_str!("../refused/admission.yaml"))
}

/// What only `observedapp check` and the operator can tell.
pub fn operator() -> Vec<Refused> {
    table(include_str!("../refused/operator.yaml"))
}

/// What only the API server can tell: it knows the old spec too.
pub fn transitions() -> Vec<Transition> {
    table(include_str!("../refused/transitions.yaml"))
}

fn table<T: DeserializeOwned>(text: &str) -> Vec<T> {
    serde_yaml::from_str(text).unwrap_or_else(|error| panic!("a table of refused specs: {error}"))
}

fn with_image(spec: &Value) -> Value {
    let mut spec = spec.clone();
    if spec.get("image").is_none() {
        spec["image"] = json!("app:1");
    }
    spec
}
