//! Other values for a field, by its schema and its present value.

use serde_json::{Value, json};

/// Values that can be replaced only by a value of the same set.
const WORDS: [(&str, &str); 14] = [
    ("In", "NotIn"),
    ("Exists", "Equal"),
    ("NoSchedule", "NoExecute"),
    ("Disabled", "IfPossible"),
    ("ReadWriteOnce", "ReadWriteMany"),
    ("Filesystem", "Block"),
    ("limits.cpu", "requests.cpu"),
    ("metadata.name", "metadata.namespace"),
    ("metadata.labels", "metadata.annotations"),
    ("1m", "1"),
    // Names of volumes.
    ("map", "secret"),
    ("10.0.0.0/16", "10.0.0.0/15"),
    ("10.0.1.0/24", "10.0.2.0/24"),
    // Only the minor version of a database with data can change.
    ("18", "18.1"),
];

/// Candidates to replace this value, the most likely first.
pub fn others(schema: &Value, value: &Value) -> Vec<Value> {
    if let Some(all) = schema["enum"].as_array() {
        return all.iter().filter(|other| *other != value).cloned().collect();
    }
    match value {
        Value::Bool(value) => vec![json!(!value)],
        Value::Number(number) => match number.as_i64() {
            // A number can be valid as text: `version: 18`.
            Some(number) if schema["x-kubernetes-int-or-string"] == true => {
                [vec![json!(number + 1)], texts(&number.to_string())].concat()
            }
            Some(number) => vec![json!(number + 1), json!(number - 1)],
            None => number
                .as_f64()
                .map(|number| vec![json!(number + 0.05), json!(number / 2.0)])
                .unwrap_or_default(),
        },
        Value::String(text) => texts(text),
        // For a map, one value is changed.
        Value::Object(map) => map
            .iter()
            .flat_map(|(key, value)| {
                others(&schema["additionalProperties"], value)
                    .into_iter()
                    .map(move |other| (key.clone(), other))
            })
            .map(|(key, other)| {
                let mut map = map.clone();
                map.insert(key, other);
                Value::Object(map)
            })
            .collect(),
        _ => Vec::new(),
    }
}

fn texts(text: &str) -> Vec<Value> {
    let words = WORDS
        .iter()
        .filter(|(word, _)| *word == text)
        .map(|(_, other)| (*other).to_owned());
    words
        .chain(counted_up(text))
        .chain(["x", "2", "/x"].map(|end| format!("{text}{end}")))
        // A quoted value in a selector.
        .chain(
            text.rfind('"')
                .map(|end| format!("{}x{}", &text[..end], &text[end..])),
        )
        .map(Value::String)
        .collect()
}

/// The text with its last number incremented: `30d`, `31d`.
fn counted_up(text: &str) -> Option<String> {
    let end = text.rfind(|c: char| c.is_ascii_digit())? + 1;
    let begin = text[..end]
        .rfind(|c: char| !c.is_ascii_digit())
        .map_or(0, |before| before + 1);
    let number: u64 = text[begin..end].parse().ok()?;
    Some(format!("{}{}{}", &text[..begin], number + 1, &text[end..]))
}

#[cfg(test)]
mod tests {
    use super::counted_up;

    #[test]
    fn the_last_number_is_raised() {
        assert_eq!(counted_up("30d").as_deref(), Some("31d"));
        assert_eq!(
            counted_up("registry:5000/tasks:0.9.9").as_deref(),
            Some("registry:5000/tasks:0.9.10")
        );
        assert_eq!(counted_up("tasks"), None);
    }
}
