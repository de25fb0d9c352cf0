//! The admission rules: what can be wrong with one object that its schema cannot say.
//!
//! One table serves twice: the API server gets each rule as an expression in CEL, the operator and `observedapp check`
//! apply it themselves, so that both refuse the same things at the same fields in the same words. Bounds of lists, texts
//! and numbers stand at the fields.

mod predicates;
mod table;

use std::borrow::Cow;

use serde_json::{Value, json};

use crate::{Amount, patterns};
pub use table::RULES;

/// One rule, and the part of the object that it is about.
#[derive(Clone, Copy, Debug)]
pub struct AdmissionRule {
    /// The place in the schema: `spec.slos[].window`; empty for the whole object.
    pub at: &'static str,
    /// What must hold there.
    pub holds: Holds,
    /// The same in one sentence that names the field.
    pub message: &'static str,
    /// The field to blame, where it is one below `at`.
    pub field: Option<&'static str>,
}

/// What must hold of a value.
#[derive(Clone, Copy, Debug)]
pub enum Holds {
    /// The text, or the number as text, matches one of [`crate::patterns`].
    Matches(&'static str),
    /// The duration matches and is not zero.
    PositiveDuration,
    /// Every key of the map matches.
    KeysMatch(&'static str),
    /// Every value of the map matches.
    ValuesMatch(&'static str),
    /// No key of the map begins with one of these.
    NoKeyBeginsWith(&'static [&'static str]),
    /// The quantity is above zero.
    PositiveQuantity,
    /// The quantity is not above this one.
    QuantityUpTo(&'static str),
    /// Every value of the map is a quantity of zero or more.
    Quantities,
    /// Exactly one of these fields is given.
    ExactlyOneOf(&'static [&'static str]),
    /// An expression in CEL, and the same in Rust.
    Is {
        cel: &'static str,
        rust: fn(&Value) -> bool,
    },
    /// An expression in CEL over the old and the new value: only the API server knows both.
    Transition(&'static str),
}

impl AdmissionRule {
    const fn new(at: &'static str, holds: Holds, message: &'static str) -> Self {
        Self {
            at,
            holds,
            message,
            field: None,
        }
    }

    const fn blaming(mut self, field: &'static str) -> Self {
        self.field = Some(field);
        self
    }

    pub(crate) fn add_to(&self, schema: &mut Value) {
        let mut rule = json!({"rule": self.holds.cel(schema), "message": self.message});
        // The API server takes no path into metadata.
        if let Some(field) = self.field.filter(|_| !self.at.is_empty()) {
            rule["fieldPath"] = json!(format!(".{field}"));
        }
        match schema["x-kubernetes-validations"].as_array_mut() {
            Some(rules) => rules.push(rule),
            None => schema["x-kubernetes-validations"] = json!([rule]),
        }
    }
}

impl Holds {
    /// The expression for the API server.
    fn cel(self, schema: &Value) -> Cow<'static, str> {
        let is_text = schema.get("x-kubernetes-int-or-string").is_none();
        let text = if is_text { "self" } else { "string(self)" };
        let expression = match self {
            Self::Matches(pattern) => format!("{text}.matches(r'''{pattern}''')"),
            Self::PositiveDuration => format!(
                "self.matches(r'''{}''') && self.matches(r'''{}''')",
                patterns::DURATION,
                patterns::NOT_ZERO
            ),
            Self::KeysMatch(pattern) => format!("self.all(key, key.matches(r'''{pattern}'''))"),
            Self::ValuesMatch(pattern) => {
                let value = if schema["additionalProperties"]
                    .get("x-kubernetes-int-or-string")
                    .is_some()
                {
                    "string(self[key])"
                } else {
                    "self[key]"
                };
                format!("self.all(key, {value}.matches(r'''{pattern}'''))")
            }
            Self::NoKeyBeginsWith(prefixes) => {
                let tests: Vec<_> = prefixes
                    .iter()
                    .map(|p| format!("!key.startsWith('{p}')"))
                    .collect();
                format!("self.all(key, {})", tests.join(" && "))
            }
            Self::PositiveQuantity => {
                "isQuantity(string(self)) && quantity(string(self)).isGreaterThan(quantity('0'))".to_owned()
            }
            Self::QuantityUpTo(most) => format!(
                "!isQuantity(string(self)) || quantity(string(self)).compareTo(quantity('{most}')) <= 0"
            ),
            Self::Quantities => "self.all(key, isQuantity(string(self[key])) && \
                 quantity(string(self[key])).compareTo(quantity('0')) >= 0)"
                .to_owned(),
            Self::ExactlyOneOf(fields) => {
                let given: Vec<_> = fields.iter().map(|field| format!("has(self.{field})")).collect();
                format!("[{}].filter(given, given).size() == 1", given.join(", "))
            }
            Self::Is { cel, .. } | Self::Transition(cel) => return cel.into(),
        };
        expression.into()
    }

    /// Whether it holds of a value; of what only the API server can check it is true.
    pub(crate) fn of(self, value: &Value) -> bool {
        use predicates::{keys, quantity, text};
        match self {
            Self::Matches(pattern) => text(value).is_some_and(|text| patterns::matches(pattern, &text)),
            Self::PositiveDuration => text(value).is_some_and(|text| {
                patterns::matches(patterns::DURATION, &text) && patterns::matches(patterns::NOT_ZERO, &text)
            }),
            Self::KeysMatch(pattern) => keys(value).all(|key| patterns::matches(pattern, key)),
            Self::ValuesMatch(pattern) => {
                let mut values = value.as_object().into_iter().flat_map(|map| map.values());
                values.all(|value| text(value).is_some_and(|text| patterns::matches(pattern, &text)))
            }
            Self::NoKeyBeginsWith(prefixes) => {
                keys(value).all(|key| !prefixes.iter().any(|prefix| key.starts_with(prefix)))
            }
            Self::PositiveQuantity => quantity(value).is_some_and(Amount::is_positive),
            Self::QuantityUpTo(most) => match (quantity(value), most.parse::<Amount>()) {
                (Some(amount), Ok(most)) => amount <= most,
                _ => true,
            },
            Self::Quantities => {
                let mut values = value.as_object().into_iter().flat_map(|map| map.values());
                values.all(|value| quantity(value).is_some_and(|amount| !amount.is_negative()))
            }
            Self::ExactlyOneOf(fields) => {
                fields.iter().filter(|field| value.get(**field).is_some()).count() == 1
            }
            Self::Is { rust, .. } => rust(value),
            Self::Transition(_) => true,
        }
    }
}
