//! Metric names, quoted where PromQL needs it.

use std::fmt;
use std::str::FromStr;

use crate::problem::Refusal;

const LONGEST_NAME: usize = 200;

/// A metric's name: any UTF-8 that Prometheus 3 takes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MetricName(pub(super) String);

impl MetricName {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `http_request_duration_seconds` and `_bucket`.
    #[must_use]
    pub fn with_suffix(&self, suffix: &str) -> Self {
        Self(format!("{}{suffix}", self.0))
    }

    /// A name that needs no quotes. Keywords need them: `sum` would begin an aggregation.
    pub(crate) fn is_bare(&self) -> bool {
        const KEYWORDS: [&str; 33] = [
            "and",
            "or",
            "unless",
            "atan2",
            "sum",
            "avg",
            "count",
            "min",
            "max",
            "group",
            "stddev",
            "stdvar",
            "topk",
            "bottomk",
            "count_values",
            "quantile",
            "limitk",
            "limit_ratio",
            "offset",
            "by",
            "without",
            "on",
            "ignoring",
            "group_left",
            "group_right",
            "bool",
            "inf",
            "nan",
            "start",
            "end",
            "fill",
            "fill_left",
            "fill_right",
        ];
        let mut bytes = self.0.bytes();
        let first = |b: u8| b == b'_' || b == b':' || b.is_ascii_alphabetic();
        bytes.next().is_some_and(first)
            && bytes.all(|b| first(b) || b.is_ascii_digit())
            && !KEYWORDS
                .iter()
                .any(|keyword| self.0.eq_ignore_ascii_case(keyword))
    }
}

impl FromStr for MetricName {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() {
            return Err(Refusal::new(
                "the metric has no name",
                "name it as the app exposes it",
            ));
        }
        if text.len() > LONGEST_NAME {
            return Err(Refusal::new(
                format!("the metric's name is {} bytes long", text.len()),
                format!("use at most {LONGEST_NAME}"),
            ));
        }
        if text.chars().any(char::is_control) {
            return Err(Refusal::new(
                "the metric's name holds a control character",
                "remove it",
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for MetricName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
