//! What is wrong with a line of a file, or worth knowing of it.

use serde::Serialize;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Diagnostic {
    pub file: String,
    pub line: usize,
    /// The field, or nothing where it is about the whole document.
    pub field: String,
    pub problem: String,
    pub remedy: String,
    pub severity: Severity,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Severity {
    /// The app is refused.
    Problem,
    /// Worth knowing.
    Note,
}

impl std::fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}: ", self.file, self.line)?;
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        if self.severity == Severity::Note {
            f.write_str("note: ")?;
        }
        write!(f, "{}: {}", self.problem, self.remedy)
    }
}
