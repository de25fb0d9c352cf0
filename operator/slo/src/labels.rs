//! Labels and annotations that users add to alerts.

use std::collections::BTreeMap;

use crate::names::RESERVED_LABELS;
use crate::problem::Refusal;
use crate::template::{self, Place};

const MOST: usize = 20;
const LONGEST_VALUE: usize = 2048;

/// Checked labels or annotations.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserLabels(BTreeMap<String, String>);

impl UserLabels {
    pub fn labels(given: &BTreeMap<String, String>) -> Result<Self, Vec<Refusal>> {
        Self::checked(given, Place::Label)
    }

    pub fn annotations(given: &BTreeMap<String, String>) -> Result<Self, Vec<Refusal>> {
        Self::checked(given, Place::Annotation)
    }

    fn checked(given: &BTreeMap<String, String>, place: Place) -> Result<Self, Vec<Refusal>> {
        let mut refusals = Vec::new();
        if given.len() > MOST {
            refusals.push(Refusal::new(
                format!("there are {} of them", given.len()),
                format!("keep at most {MOST}"),
            ));
        }
        for (name, value) in given {
            if let Err(refusal) = check_name(name, place) {
                refusals.push(refusal);
            }
            if value.len() > LONGEST_VALUE {
                refusals.push(Refusal::new(
                    format!("{name} is {} bytes long", value.len()),
                    format!("use at most {LONGEST_VALUE}"),
                ));
            } else if let Err(refusal) = template::check(value, place) {
                refusals.push(refusal);
            }
        }
        if refusals.is_empty() {
            Ok(Self(given.clone()))
        } else {
            Err(refusals)
        }
    }

    pub fn iter(&self) -> std::collections::btree_map::Iter<'_, String, String> {
        self.0.iter()
    }
}

impl<'a> IntoIterator for &'a UserLabels {
    type Item = (&'a String, &'a String);
    type IntoIter = std::collections::btree_map::Iter<'a, String, String>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

fn check_name(name: &str, place: Place) -> Result<(), Refusal> {
    let mut bytes = name.bytes();
    let good = bytes.next().is_some_and(|b| b == b'_' || b.is_ascii_alphabetic())
        && bytes.all(|b| b == b'_' || b.is_ascii_alphanumeric())
        && !name.starts_with("__");
    if !good {
        return Err(Refusal::new(
            format!("{name:?} is not a name that Prometheus takes"),
            "use letters, digits and _, not a digit or __ first",
        ));
    }
    let reserved = RESERVED_LABELS.contains(&name) || name == "alertname";
    if place == Place::Label && reserved {
        return Err(Refusal::new(
            format!("{name} is set by the operator"),
            "choose another label: dashboards and routes rely on this one",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(name: &str, value: &str) -> BTreeMap<String, String> {
        BTreeMap::from([(name.to_owned(), value.to_owned())])
    }

    #[test]
    fn own_labels_pass_and_the_engines_do_not() {
        for name in ["team", "severity", "a1", "_x"] {
            assert!(UserLabels::labels(&one(name, "x")).is_ok(), "{name}");
        }
        for name in [
            "namespace",
            "app",
            "slo",
            "alertname",
            "__name__",
            "",
            "1a",
            "a-b",
            "ä",
        ] {
            assert!(UserLabels::labels(&one(name, "x")).is_err(), "{name}");
        }
        assert!(UserLabels::annotations(&one("app", "x")).is_ok());
        assert!(UserLabels::annotations(&one("summary", "{{ query \"up\" }}")).is_err());
        assert!(UserLabels::annotations(&one("summary", &"x".repeat(3000))).is_err());
    }
}
