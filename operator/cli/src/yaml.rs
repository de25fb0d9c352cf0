//! YAML as `kubectl` reads it, with the line of every field.
//!
//! The scalars follow go-yaml's rules (`yes`, `on` and `y` are booleans, `010` is eight), because that is what makes the
//! JSON that reaches the API server; a checker with other rules would pass what the cluster refuses.

mod compose;
mod scalar;

use std::collections::BTreeMap;

use serde_json::Value;

pub(crate) use compose::documents;

/// One document of a stream.
#[derive(Debug)]
pub(crate) struct Document {
    /// Its content.
    pub value: Value,
    /// The line on which it begins.
    pub line: usize,
    lines: BTreeMap<String, usize>,
    /// Keys that are given twice: the path and the line of the second.
    pub repeated: Vec<(String, usize)>,
}

/// What keeps a document from being read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    pub line: usize,
    pub problem: String,
    pub remedy: String,
}

impl Document {
    /// The line of a field, or of the nearest thing around it that is there.
    pub fn line_of(&self, path: &str) -> usize {
        let mut path = path;
        loop {
            if let Some(line) = self.lines.get(path) {
                return *line;
            }
            match path.rfind(['.', '[']) {
                Some(end) => path = &path[..end],
                None => return self.line,
            }
        }
    }
}
