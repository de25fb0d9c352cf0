//! Which objects a Prometheus takes up, as its selectors say it.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::{Selector, SelectorExt};
use observedapp_desired::is_label_value;
use serde::Deserialize;
use serde_json::Value;

/// As many labels and values as a selector may name: what is read is kept in memory, and anybody may have written it.
const MOST_TERMS: usize = 64;

pub type Labels = BTreeMap<String, String>;

/// What a Prometheus selects of one kind of object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// Labels that satisfy the selector, or why there are none.
    pub labels: Result<Labels, Unusable>,
    pub namespaces: Namespaces,
    selector: Option<Selector>,
}

/// Why no labels satisfy a selector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// It selects nothing.
    Nothing,
    /// It asks for what no object can carry.
    Invalid(String),
}

/// The namespaces in which a Prometheus selects objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Namespaces {
    Own,
    Labelled(Selector),
}

impl Selection {
    /// An absent selector selects nothing, an empty one everything; an absent namespace selector only the own one.
    pub fn read(selector: &Value, namespaces: &Value) -> Self {
        let wanted = if selector.is_object() {
            parse(selector).map(Some)
        } else {
            Ok(None)
        };
        let places = if namespaces.is_object() {
            parse(namespaces).map(|(_, selector)| Namespaces::Labelled(selector))
        } else {
            Ok(Namespaces::Own)
        };
        match (wanted, places) {
            (Ok(wanted), Ok(namespaces)) => {
                let labels = wanted.as_ref().and_then(|(labels, _)| satisfying(labels));
                Self {
                    labels: labels.ok_or(Unusable::Nothing),
                    namespaces,
                    selector: wanted.map(|(_, selector)| selector),
                }
            }
            (Err(problem), _) | (_, Err(problem)) => Self {
                labels: Err(Unusable::Invalid(problem)),
                namespaces: Namespaces::Own,
                selector: None,
            },
        }
    }

    /// Whether an object with these labels is selected, if its namespace is.
    pub fn selects(&self, labels: &Labels) -> bool {
        self.selector
            .as_ref()
            .is_some_and(|selector| selector.matches(labels))
    }
}

impl Namespaces {
    /// Whether a Prometheus in the namespace `own` selects objects in the one that carries these labels.
    pub fn contain(&self, own: &str, namespace: &str, labels: Option<&Labels>) -> bool {
        match self {
            Self::Own => own == namespace,
            Self::Labelled(selector) => {
                selector.selects_all() || labels.is_some_and(|labels| selector.matches(labels))
            }
        }
    }

    /// Whether the labels of namespaces have to be known.
    pub fn need_labels(&self) -> bool {
        matches!(self, Self::Labelled(selector) if !selector.selects_all())
    }
}

/// A selector that only names labels which Kubernetes takes.
fn parse(value: &Value) -> Result<(LabelSelector, Selector), String> {
    let selector = LabelSelector::deserialize(value).map_err(|error| format!("{error:.200}"))?;
    let expressions = selector.match_expressions.iter().flatten();
    let keys = selector.match_labels.iter().flat_map(BTreeMap::keys);
    let values = selector.match_labels.iter().flat_map(BTreeMap::values);
    let keys = keys.chain(expressions.clone().map(|expression| &expression.key));
    let values = values.chain(expressions.flat_map(|expression| expression.values.iter().flatten()));
    if keys.clone().count() + values.clone().count() > MOST_TERMS {
        return Err(format!("it names more than {MOST_TERMS} labels and values"));
    }
    if let Some(key) = keys.clone().find(|key| !is_label_key(key)) {
        return Err(format!("`{key:.80}` cannot be the name of a label"));
    }
    if let Some(value) = values
        .clone()
        .find(|value| !value.is_empty() && !is_label_value(value))
    {
        return Err(format!("`{value:.80}` cannot be the value of a label"));
    }
    let matcher = Selector::try_from(selector.clone()).map_err(|error| error.to_string())?;
    Ok((selector, matcher))
}

fn is_label_key(key: &str) -> bool {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    let is_domain = |prefix: &str| {
        prefix.len() <= 253
            && prefix.split('.').all(|part| {
                is_label_value(part)
                    && !part.contains('_')
                    && !part.contains(|c: char| c.is_ascii_uppercase())
            })
    };
    is_label_value(name) && prefix.is_none_or(is_domain)
}

/// Labels that satisfy a selector, if any can.
fn satisfying(selector: &LabelSelector) -> Option<Labels> {
    let mut labels = selector.match_labels.clone().unwrap_or_default();
    for expression in selector.match_expressions.iter().flatten() {
        let values = expression.values.as_deref().unwrap_or_default();
        let given = labels.get(&expression.key);
        match (expression.operator.as_str(), given) {
            ("In", None) => {
                labels.insert(expression.key.clone(), values.first()?.clone());
            }
            ("In", Some(given)) if values.contains(given) => {}
            ("NotIn", given) if given.is_none_or(|given| !values.contains(given)) => {}
            ("Exists", None) => {
                labels.insert(expression.key.clone(), "true".to_owned());
            }
            ("Exists", Some(_)) | ("DoesNotExist", None) => {}
            _ => return None,
        }
    }
    Some(labels)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn everywhere(selector: &Value) -> Selection {
        Selection::read(selector, &json!({}))
    }

    #[test]
    fn labels_are_derived_from_every_kind_of_selector() {
        let selection = everywhere(&json!({
            "matchLabels": {"release": "kps"},
            "matchExpressions": [
                {"key": "team", "operator": "In", "values": ["shop", "mail"]},
                {"key": "scrape", "operator": "Exists"},
                {"key": "skip", "operator": "DoesNotExist"},
            ],
        }));
        let expected = [("release", "kps"), ("scrape", "true"), ("team", "shop")];
        let expected: Labels = expected.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        assert!(selection.selects(&expected));
        assert_eq!(selection.labels, Ok(expected));
        assert_eq!(everywhere(&json!({})).labels, Ok(Labels::new()));
    }

    #[test]
    fn what_contradicts_itself_selects_nothing_and_nor_does_what_is_absent() {
        let contradiction = json!({
            "matchLabels": {"a": "1"},
            "matchExpressions": [{"key": "a", "operator": "DoesNotExist"}],
        });
        assert_eq!(everywhere(&contradiction).labels, Err(Unusable::Nothing));
        let absent = everywhere(&Value::Null);
        assert_eq!(absent.labels, Err(Unusable::Nothing));
        assert!(!absent.selects(&Labels::new()));
        assert_eq!(
            Selection::read(&json!({}), &Value::Null).namespaces,
            Namespaces::Own
        );
    }

    #[test]
    fn labels_that_kubernetes_refuses_are_never_taken() {
        let long = "a".repeat(64);
        for selector in [
            json!({"matchLabels": {"release": "not valid"}}),
            json!({"matchLabels": {"release": "-x-"}}),
            json!({"matchLabels": {"a/b/c": "x"}}),
            json!({"matchLabels": {"Upper.example/name": "x"}}),
            json!({"matchLabels": {"release": long}}),
            json!({"matchLabels": {"release": 7}}),
            json!({"matchLabels": "x"}),
            json!({"matchExpressions": [{"key": "a", "operator": "In", "values": ["not valid"]}]}),
            json!({"matchExpressions": [{"key": "a", "operator": "Like", "values": ["x"]}]}),
            json!({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": vec!["x"; 100]}]}),
        ] {
            let selection = everywhere(&selector);
            assert!(
                matches!(selection.labels, Err(Unusable::Invalid(_))),
                "{selector}: {selection:?}"
            );
            assert!(!selection.selects(&Labels::new()), "{selector}");
            let of_namespaces = Selection::read(&json!({}), &selector);
            assert!(of_namespaces.labels.is_err(), "{selector}: {of_namespaces:?}");
        }
        let empty = everywhere(&json!({"matchLabels": {"app.example.com/Release_1": ""}}));
        assert!(empty.labels.is_ok(), "{empty:?}");
    }
}
