//! The tables of refused specs, against the operator's own validation; the API server is asked the same of the first.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use observedapp_api::{Holds, ObservedApp, RULES};
use observedapp_desired::{Observed, Problems, Settings, validate};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Debug, Deserialize)]
struct Case {
    field: String,
    #[serde(default)]
    name: Option<String>,
    spec: Value,
}

impl Case {
    fn object(&self) -> Value {
        let mut spec = self.spec.clone();
        if spec.get("image").is_none() {
            spec["image"] = json!("app:1");
        }
        let mut object = json!({
            "apiVersion": "observedapp.dev/v1alpha1",
            "kind": "ObservedApp",
            "metadata": {"name": self.name.as_deref().unwrap_or("tasks"), "namespace": "shop"},
            "spec": spec,
        });
        observedapp_api::fill_in_defaults(&mut object);
        object
    }
}

fn cases(text: &str) -> Vec<Case> {
    serde_yaml::from_str(text).unwrap()
}

fn admission() -> Vec<Case> {
    cases(include_str!("../../../tests/golden/refused/admission.yaml"))
}

fn problems(object: Value) -> Problems {
    let app: ObservedApp = serde_json::from_value(object).unwrap();
    validate(&app, Observed::default(), Settings::default()).unwrap_err()
}

#[test]
fn what_admission_refuses_is_refused_at_the_same_field() {
    for case in admission() {
        let fields: Vec<String> = observedapp_api::refusals(&case.object())
            .into_iter()
            .map(|refusal| refusal.field)
            .collect();
        assert!(fields.contains(&case.field), "{case:?} is refused at {fields:?}");
    }
}

#[test]
fn every_rule_has_a_case() {
    let told: BTreeSet<String> = admission()
        .iter()
        .flat_map(|case| observedapp_api::refusals(&case.object()))
        .map(|refusal| refusal.remedy)
        .collect();
    for rule in RULES
        .iter()
        .filter(|rule| !matches!(rule.holds, Holds::Transition(_)))
    {
        assert!(told.contains(rule.message), "no case breaks: {}", rule.message);
    }
}

#[test]
fn what_only_the_operator_can_tell_is_no_refusal_of_admission() {
    for case in cases(include_str!("../../../tests/golden/refused/operator.yaml")) {
        let object = case.object();
        assert_eq!(observedapp_api::refusals(&object), [], "{case:?}");
        let problems = problems(object);
        assert!(
            problems.0.iter().any(|problem| problem.field == case.field),
            "{case:?}: {problems}"
        );
    }
}
