//! Places in a schema: `spec.slos[].window` is the window of every item of `slos`.

use serde_json::Value;

/// Calls `change` on the schema at a path. A path that leads nowhere changes nothing; a test says where that is a
/// mistake.
pub(crate) fn change_at(root: &mut Value, path: &str, change: &mut dyn FnMut(&mut Value)) {
    let mut schema = root;
    for step in path.split('.').filter(|step| !step.is_empty()) {
        let name = step.trim_end_matches("[]").trim_end_matches("{}");
        let Some(property) = schema.get_mut("properties").and_then(|all| all.get_mut(name)) else {
            return;
        };
        let inner = match &step[name.len()..] {
            "[]" => property.get_mut("items"),
            "{}" => property.get_mut("additionalProperties"),
            _ => Some(property),
        };
        let Some(inner) = inner else {
            return;
        };
        schema = inner;
    }
    change(schema);
}
