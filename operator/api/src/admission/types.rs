//! Values of another type than the schema's, and how to correct them.

use serde_json::Value;

use crate::patterns::DURATION;
use crate::rules::{Holds, RULES};

/// What the schema wants, where the value is something else.
pub(super) fn wrong_type(schema: &Value, value: &Value) -> Option<&'static str> {
    if schema.get("x-kubernetes-int-or-string").is_some() {
        let fits = value.is_string() || value.is_i64() || value.is_u64();
        return (!fits).then_some("text or a whole number");
    }
    match schema.get("type").and_then(Value::as_str)? {
        "object" => (!value.is_object()).then_some("a mapping"),
        "array" => (!value.is_array()).then_some("a list"),
        "string" => (!value.is_string()).then_some("text"),
        "boolean" => (!value.is_boolean()).then_some("true or false"),
        "integer" => {
            let whole = value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|n| n.fract() == 0.0);
            (!whole).then_some("a whole number")
        }
        "number" => (!value.is_number()).then_some("a number"),
        _ => None,
    }
}

pub(super) fn kind(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Object(_) => "a mapping".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::String(_) => format!("the text {}", shown(value)),
        Value::Bool(flag) => format!("`{flag}`"),
        Value::Number(number) => format!("the number {number}"),
    }
}

pub(super) fn remedy(schema: &Value, wanted: &str, value: &Value, path: &str) -> String {
    match (wanted, value) {
        ("text", Value::Number(number)) if is_duration(path) => {
            format!("write it with its unit: {number}ms, {number}s or {number}m")
        }
        ("text" | "text or a whole number", Value::Bool(_) | Value::Number(_)) => {
            format!("put it into quotes: \"{value}\"")
        }
        ("true or false", Value::String(text)) if matches!(text.as_str(), "true" | "false") => {
            format!("write it without quotes: {text}")
        }
        ("a number" | "a whole number", Value::String(text)) => as_number(schema, wanted, text),
        ("a mapping", _) => as_mapping(schema, value, path),
        ("a list", Value::String(_) | Value::Number(_) | Value::Bool(_)) => {
            format!("write a list: {}[{}]", key(path), plain(value))
        }
        _ => format!("write {wanted}"),
    }
}

fn as_number(schema: &Value, wanted: &str, text: &str) -> String {
    let number = text.trim().trim_end_matches('%').trim_end();
    let fits = match wanted {
        "a number" => number.parse::<f64>().is_ok_and(f64::is_finite),
        _ => number.parse::<i64>().is_ok(),
    };
    match schema.get("default") {
        _ if fits && number == text => format!("write it without quotes: {text}"),
        _ if fits => format!("write the number alone: {number}"),
        Some(default) => format!("write {wanted}, such as {default}"),
        None => format!("write {wanted}"),
    }
}

/// The value where it probably belongs, if there is one such place.
fn as_mapping(schema: &Value, value: &Value, path: &str) -> String {
    let required = schema.get("required").and_then(Value::as_array);
    let is_scalar = value.is_string() || value.is_number();
    if let (true, Some([Value::String(only)])) = (is_scalar, required.map(Vec::as_slice)) {
        return format!("write a mapping: {}{{{only}: {}}}", key(path), plain(value));
    }
    match schema.get("properties").and_then(Value::as_object) {
        Some(fields) if !fields.is_empty() => {
            let names: Vec<&str> = fields.keys().map(String::as_str).collect();
            let defaults = if required.is_none() {
                format!("{}{{}} for its defaults, or ", key(path))
            } else {
                String::new()
            };
            format!("write {defaults}a mapping of {}", names.join(", "))
        }
        Some(_) => format!("write {}{{}}", key(path)),
        None => format!("write a mapping: {}{{name: value}}", key(path)),
    }
}

/// The field's name before its value; nothing for an item of a list.
fn key(path: &str) -> String {
    match path.rsplit('.').next() {
        Some(name) if !name.is_empty() && !name.ends_with(']') => format!("{name}: "),
        _ => String::new(),
    }
}

/// A scalar as YAML takes it.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text)
            if !text.is_empty()
                && text
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'/' | b'_')) =>
        {
            text.clone()
        }
        other => other.to_string(),
    }
}

/// Whether a rule wants a duration at this place.
fn is_duration(path: &str) -> bool {
    let mut place = String::new();
    let mut in_brackets = false;
    for c in path.chars() {
        in_brackets = (in_brackets || c == '[') && c != ']';
        if !in_brackets || c == '[' {
            place.push(c);
        }
    }
    RULES.iter().any(|rule| {
        rule.at == place
            && (matches!(rule.holds, Holds::PositiveDuration)
                || matches!(rule.holds, Holds::Matches(pattern) if pattern == DURATION))
    })
}

/// A value as a person would quote it: short.
pub(super) fn shown(value: &Value) -> String {
    const LONGEST: usize = 60;
    match value {
        Value::Object(fields) if fields.is_empty() => "nothing".to_owned(),
        Value::Object(fields) => fields.keys().cloned().collect::<Vec<_>>().join(", "),
        Value::Array(items) => format!("a list of {}", items.len()),
        Value::String(text) if text.chars().count() > LONGEST => {
            format!(
                "{:?}",
                text.chars().take(LONGEST).chain(['…']).collect::<String>()
            )
        }
        other => other.to_string(),
    }
}
