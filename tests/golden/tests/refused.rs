//! The tables of refused specs, against the operator's own validation; the API server is asked the same in
//! `apiserver-admission`.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use golden_tests::refused::{self, Refused};
use observedapp_api::{Holds, ObservedApp, RULES};
use observedapp_desired::{Observed, Problems, Settings, validate};
use serde_json::Value;

/// As the API server would hand it to the operator.
fn object(case: &Refused) -> Value {
    let mut object = case.object();
    observedapp_api::fill_in_defaults(&mut object);
    object
}

fn problems(object: Value) -> Problems {
    let app: ObservedApp = serde_json::from_value(object).unwrap();
    validate(&app, Observed::default(), Settings::default()).unwrap_err()
}

#[test]
fn what_admission_refuses_is_refused_at_the_same_field() {
    for case in refused::admission() {
        let fields: Vec<String> = observedapp_api::refusals(&object(&case))
            .into_iter()
            .map(|refusal| refusal.field)
            .collect();
        assert!(fields.contains(&case.field), "{case:?} is refused at {fields:?}");
    }
}

#[test]
fn every_rule_has_a_case() {
    let told: BTreeSet<String> = refused::admission()
        .iter()
        .flat_map(|case| observedapp_api::refusals(&object(case)))
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
    for case in refused::operator() {
        let object = object(&case);
        assert_eq!(observedapp_api::refusals(&object), [], "{case:?}");
        let problems = problems(object);
        assert!(
            problems.0.iter().any(|problem| problem.field == case.field),
            "{case:?}: {problems}"
        );
    }
}
