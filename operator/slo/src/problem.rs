//! What is wrong with an input, and what is worth knowing about it, as values.

use std::fmt;

use serde::Serialize;

use crate::duration::PromDuration;
use crate::objective::Ratio;

/// One thing that is wrong with an input.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Problem {
    /// Where, from the root: `slos[0].indicator.ratio.errors`.
    pub field: String,
    /// What is wrong, in a sentence without a final stop.
    pub problem: String,
    /// What to do about it, in the imperative.
    pub remedy: String,
}

impl Problem {
    pub fn new(field: impl Into<String>, problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            problem: problem.into(),
            remedy: remedy.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.field, self.problem, self.remedy)
    }
}

impl std::error::Error for Problem {}

/// Why a piece of text is refused, before anybody knows which field it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub problem: String,
    pub remedy: String,
}

impl Refusal {
    pub fn new(problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            problem: problem.into(),
            remedy: remedy.into(),
        }
    }

    #[must_use]
    pub fn at(self, field: impl Into<String>) -> Problem {
        Problem {
            field: field.into(),
            problem: self.problem,
            remedy: self.remedy,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.problem, self.remedy)
    }
}

impl std::error::Error for Refusal {}

/// Something done to an SLO that its author should know of; nothing is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "note")]
pub enum Note {
    /// No error ratio can exceed one, so a burn rate that would need more was replaced.
    ThresholdLowered {
        field: String,
        factor: String,
        budget: String,
        wanted: String,
        threshold: String,
        window: PromDuration,
    },
}

impl Note {
    pub(crate) fn threshold_lowered(
        field: String,
        factor: &str,
        budget: Ratio,
        wanted: Ratio,
        threshold: Ratio,
        window: PromDuration,
    ) -> Self {
        Self::ThresholdLowered {
            field,
            factor: factor.to_owned(),
            budget: budget.to_string(),
            wanted: wanted.to_string(),
            threshold: threshold.to_string(),
            window,
        }
    }

    pub fn field(&self) -> &str {
        match self {
            Self::ThresholdLowered { field, .. } => field,
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ThresholdLowered {
                field,
                factor,
                budget,
                wanted,
                threshold,
                window,
            } => write!(
                f,
                "{field}: {factor} × a budget of {budget} is {wanted}, more than any error ratio can be, \
                 so the {window} alert window uses {threshold} instead"
            ),
        }
    }
}
