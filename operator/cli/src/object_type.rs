//! Which objects are apps, and which were meant to be.

use observedapp_api::GROUP;
use observedapp_desired::Problem;
use serde_json::Value;

const API_VERSION: &str = "observedapp.dev/v1alpha1";
pub(crate) const KIND: &str = "ObservedApp";
pub(crate) const BEGINNING: &str =
    "an app begins with apiVersion: observedapp.dev/v1alpha1 and kind: ObservedApp";

pub(crate) enum ObjectType {
    App,
    /// It was meant to be an app.
    Wrong(Problem),
    Other,
}

pub(crate) fn object_type(api_version: &str, kind: &str, value: &Value) -> ObjectType {
    let group = api_version.split('/').next().unwrap_or_default();
    let is_ours = group == GROUP;
    let is_kind = kind.eq_ignore_ascii_case(KIND);
    match (is_ours, is_kind) {
        _ if api_version == API_VERSION && kind == KIND => ObjectType::App,
        _ if value.is_object()
            && (api_version.is_empty() != kind.is_empty())
            && value.get("spec").is_some() =>
        {
            let missing = if kind.is_empty() { "kind" } else { "apiVersion" };
            ObjectType::Wrong(Problem::new(
                "",
                format!("the object has no {missing}"),
                BEGINNING,
            ))
        }
        (true | false, true) if kind == KIND => ObjectType::Wrong(Problem::new(
            "apiVersion",
            format!("{api_version:?} is no version of {KIND}"),
            format!("write apiVersion: {API_VERSION}"),
        )),
        (true, _) => ObjectType::Wrong(Problem::new(
            "kind",
            format!("{GROUP} has no kind {kind:?}"),
            format!("write kind: {KIND}"),
        )),
        (false, true) => ObjectType::Wrong(Problem::new(
            "kind",
            format!("{kind:?} is not written as the API has it"),
            format!("write kind: {KIND} and apiVersion: {API_VERSION}"),
        )),
        (false, false) if is_nearly(kind, KIND) => ObjectType::Wrong(Problem::new(
            "kind",
            format!("there is no kind {kind:?}: did you mean {KIND}?"),
            format!("write kind: {KIND} and apiVersion: {API_VERSION}"),
        )),
        (false, false) => ObjectType::Other,
    }
}

/// Whether one word is the other but for a slip or two.
fn is_nearly(word: &str, meant: &str) -> bool {
    const SLIPS: usize = 2;
    strsim::damerau_levenshtein(&word.to_lowercase(), &meant.to_lowercase()) <= SLIPS
}
