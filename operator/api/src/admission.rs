//! What the API server would say of an object, without one: the schema and the rules, applied in Rust.

mod types;

use serde_json::{Map, Value};

use self::types::{kind, remedy, shown, wrong_type};
use crate::rules::{AdmissionRule, Holds, RULES};
use crate::schema::schema;

/// Why an object would be refused.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Refusal {
    /// The field: `spec.slos[0].window`.
    pub field: String,
    /// What is wrong with it.
    pub problem: String,
    /// What to do about it.
    pub remedy: String,
}

impl Refusal {
    fn new(field: &str, problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            field: field.to_owned(),
            problem: problem.into(),
            remedy: remedy.into(),
        }
    }
}

/// Drops nulls and fills in the defaults, as the API server does before anybody sees an object.
pub fn fill_in_defaults(object: &mut Value) {
    fill_in(schema(), object);
}

fn fill_in(schema: &Value, value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
                for (name, property) in properties {
                    if let (None, Some(default)) = (fields.get(name), property.get("default")) {
                        fields.insert(name.clone(), default.clone());
                    }
                }
            }
            for (name, value) in fields {
                if let Some(inner) = field_schema(schema, name) {
                    fill_in(inner, value);
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                fill_in(&schema["items"], item);
            }
        }
        _ => {}
    }
}

fn field_schema<'s>(schema: &'s Value, name: &str) -> Option<&'s Value> {
    schema
        .get("properties")
        .and_then(|properties| properties.get(name))
        .or_else(|| schema.get("additionalProperties"))
}

/// Everything that admission would refuse in an object with its defaults filled in. The API server asks its rules only of
/// objects of the right shape; here they are asked of all that has it, so that all problems are reported at once.
pub fn refusals(object: &Value) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    check(schema(), object, "", &mut refusals);
    for rule in RULES {
        let steps: Vec<&str> = rule.at.split('.').filter(|step| !step.is_empty()).collect();
        apply(rule, &steps, object, String::new(), &mut refusals);
    }
    refusals
}

/// Whether one field is the other, or holds it: what is wrong with it has been reported.
fn is_related(reported: &str, field: &str) -> bool {
    let is_within = |inner: &str, outer: &str| {
        inner
            .strip_prefix(outer)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    is_within(reported, field) || is_within(field, reported)
}

/// The fields that the schema does not know, with the known one that was probably meant.
pub fn unknown_fields(object: &Value) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    let metadata_and_the_like = ["apiVersion", "kind", "metadata"];
    for (name, value) in object.as_object().into_iter().flatten() {
        if metadata_and_the_like.contains(&name.as_str()) {
            continue;
        }
        match schema()["properties"].get(name) {
            Some(inner) => unknown_in(inner, value, name, &mut refusals),
            None => refusals.push(unknown(&schema()["properties"], name, name)),
        }
    }
    refusals
}

fn unknown_in(schema: &Value, value: &Value, path: &str, refusals: &mut Vec<Refusal>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let path = format!("{path}.{name}");
                match field_schema(schema, name) {
                    Some(inner) => unknown_in(inner, value, &path, refusals),
                    None if schema.get("properties").is_some() => {
                        refusals.push(unknown(&schema["properties"], name, &path));
                    }
                    None => {}
                }
            }
        }
        Value::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                unknown_in(&schema["items"], item, &format!("{path}[{i}]"), refusals);
            }
        }
        _ => {}
    }
}

fn unknown(known: &Value, name: &str, path: &str) -> Refusal {
    let names: Vec<&str> = known
        .as_object()
        .into_iter()
        .flat_map(|known| known.keys().map(String::as_str))
        .collect();
    let remedy = match nearest(name, &names) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None if names.is_empty() => "remove it: nothing can be set here".to_owned(),
        None => format!("use one of {}", names.join(", ")),
    };
    Refusal::new(path, format!("unknown field `{name}`"), remedy)
}

/// The name that differs least, if it is near enough to have been meant.
fn nearest<'n>(name: &str, names: &[&'n str]) -> Option<&'n str> {
    let lower = name.to_lowercase();
    names
        .iter()
        .map(|known| (strsim::damerau_levenshtein(&lower, &known.to_lowercase()), *known))
        .min()
        .filter(|(distance, known)| *distance <= 1 + known.len().min(name.len()) / 4)
        .map(|(_, known)| known)
}

fn apply(rule: &AdmissionRule, steps: &[&str], value: &Value, path: String, refusals: &mut Vec<Refusal>) {
    let Some((step, rest)) = steps.split_first() else {
        if !rule.holds.of(value) {
            let blamed = rule
                .field
                .iter()
                .flat_map(|field| field.split('.'))
                .try_fold(value, |value, name| value.get(name));
            let field = match rule.field {
                Some(field) => join(&path, field),
                None => path,
            };
            if !refusals
                .iter()
                .any(|reported| is_related(&reported.field, &field))
            {
                let problem = match rule.holds {
                    Holds::ExactlyOneOf(fields) => which_are_given(fields, value),
                    _ => format!("{} cannot be used", shown(blamed.unwrap_or(value))),
                };
                refusals.push(Refusal::new(&field, problem, rule.message));
            }
        }
        return;
    };
    let name = step.trim_end_matches("[]");
    let Some(inner) = value.get(name) else {
        return;
    };
    let path = join(&path, name);
    if name.len() == step.len() {
        apply(rule, rest, inner, path, refusals);
        return;
    }
    for (i, item) in inner.as_array().into_iter().flatten().enumerate() {
        apply(rule, rest, item, format!("{path}[{i}]"), refusals);
    }
}

/// `builtin and external are both given`, without what is beside them.
fn which_are_given(fields: &[&str], value: &Value) -> String {
    let given: Vec<&str> = fields
        .iter()
        .copied()
        .filter(|field| value.get(field).is_some())
        .collect();
    match given[..] {
        [] => "none of them is given".to_owned(),
        [one, other] => format!("{one} and {other} are both given"),
        _ => format!("{} are all given", given.join(", ")),
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

fn check(schema: &Value, value: &Value, path: &str, refusals: &mut Vec<Refusal>) {
    if let Some(wanted) = wrong_type(schema, value) {
        refusals.push(Refusal::new(
            path,
            format!("{} is not {wanted}", kind(value)),
            remedy(schema, wanted, value, path),
        ));
        return;
    }
    match value {
        Value::Object(fields) => check_object(schema, fields, path, refusals),
        Value::Array(items) => check_array(schema, items, path, refusals),
        Value::String(text) => check_text(schema, text, path, refusals),
        Value::Number(number) => check_number(schema, number.as_f64().unwrap_or(f64::NAN), path, refusals),
        _ => {}
    }
}

fn check_object(schema: &Value, fields: &Map<String, Value>, path: &str, refusals: &mut Vec<Refusal>) {
    if let Some(most) = bound(schema, "maxProperties").filter(|most| fields.len() > *most) {
        refusals.push(Refusal::new(
            path,
            format!("{} entries are too many", fields.len()),
            format!("keep at most {most}"),
        ));
    }
    for required in schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let name = required.as_str().unwrap_or_default();
        if !fields.contains_key(name) {
            refusals.push(Refusal::new(
                &join(path, name),
                "it is required and not given",
                format!("add `{name}`"),
            ));
        }
    }
    for (name, value) in fields {
        if let Some(inner) = field_schema(schema, name) {
            check(inner, value, &join(path, name), refusals);
        }
    }
}

fn check_array(schema: &Value, items: &[Value], path: &str, refusals: &mut Vec<Refusal>) {
    if let Some(most) = bound(schema, "maxItems").filter(|most| items.len() > *most) {
        refusals.push(Refusal::new(
            path,
            format!("{} items are too many", items.len()),
            format!("keep at most {most}"),
        ));
    }
    if let Some(least) = bound(schema, "minItems").filter(|least| items.len() < *least) {
        refusals.push(Refusal::new(
            path,
            format!("{} items are too few", items.len()),
            format!("give at least {least}"),
        ));
    }
    let is_set = schema
        .get("x-kubernetes-list-type")
        .is_some_and(|type_| type_ == "set");
    for (i, item) in items.iter().enumerate() {
        if is_set && items[..i].contains(item) {
            refusals.push(Refusal::new(
                &format!("{path}[{i}]"),
                format!("{} is there twice", shown(item)),
                "keep one of the two",
            ));
        }
        check(&schema["items"], item, &format!("{path}[{i}]"), refusals);
    }
    for key in schema
        .get("x-kubernetes-list-map-keys")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let key = key.as_str().unwrap_or_default();
        for (i, item) in items.iter().enumerate() {
            let name = item.get(key);
            if name.is_some() && items[..i].iter().any(|earlier| earlier.get(key) == name) {
                let name = name.map(shown).unwrap_or_default();
                refusals.push(Refusal::new(
                    &format!("{path}[{i}]"),
                    format!("another item has the {key} {name} too"),
                    format!("give each a {key} of its own"),
                ));
            }
        }
    }
}

fn check_text(schema: &Value, text: &str, path: &str, refusals: &mut Vec<Refusal>) {
    let length = text.chars().count();
    if let Some(values) = schema.get("enum").and_then(Value::as_array)
        && !values.iter().any(|value| value == text)
    {
        let values: Vec<&str> = values
            .iter()
            .filter_map(Value::as_str)
            .filter(|value| !value.is_empty())
            .collect();
        let remedy = match nearest(text, &values) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("use one of {}", values.join(", ")),
        };
        refusals.push(Refusal::new(
            path,
            format!("{} is not one of its values", shown(&text.into())),
            remedy,
        ));
    }
    if let Some(most) = bound(schema, "maxLength").filter(|most| length > *most) {
        refusals.push(Refusal::new(
            path,
            format!("{length} characters are too many"),
            format!("use at most {most}"),
        ));
    }
    if bound(schema, "minLength").is_some_and(|least| length < least) {
        refusals.push(Refusal::new(
            path,
            "it is empty",
            "give it a value, or leave the field out",
        ));
    }
}

fn check_number(schema: &Value, number: f64, path: &str, refusals: &mut Vec<Refusal>) {
    let limit = |name: &str| schema.get(name).and_then(Value::as_f64);
    let (least, most) = (limit("minimum"), limit("maximum"));
    if least.is_some_and(|least| number < least) || most.is_some_and(|most| number > most) {
        let range = match (least, most) {
            (Some(least), Some(most)) => format!("from {least} to {most}"),
            (Some(least), None) => format!("of at least {least}"),
            _ => format!("of at most {}", most.unwrap_or_default()),
        };
        refusals.push(Refusal::new(
            path,
            format!("{number} is out of range"),
            format!("use a number {range}"),
        ));
    }
}

fn bound(schema: &Value, name: &str) -> Option<usize> {
    schema
        .get(name)
        .and_then(Value::as_u64)
        .and_then(|bound| usize::try_from(bound).ok())
}
