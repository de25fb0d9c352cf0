//! Label matchers that cannot break out of the braces they are put into.

use std::fmt;
use std::str::FromStr;

use promql_parser::label::{METRIC_NAME, MatchOp as ParsedOp};
use promql_parser::parser::{Expr, VectorSelector};

use super::print::{write_label, write_quoted};
use super::{check_regex, parse};
use crate::problem::Refusal;

/// How a label is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MatchOp {
    Equal,
    NotEqual,
    Matches,
    MatchesNot,
}

/// One comparison of one label.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Matcher {
    pub label: String,
    pub op: MatchOp,
    pub value: String,
}

impl Matcher {
    pub fn equal(label: &str, value: &str) -> Self {
        Self {
            label: label.to_owned(),
            op: MatchOp::Equal,
            value: value.to_owned(),
        }
    }

    /// `value` must be a regex that Go takes.
    pub(crate) fn matches(label: &str, value: String) -> Self {
        Self {
            label: label.to_owned(),
            op: MatchOp::Matches,
            value,
        }
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_label(f, &self.label)?;
        f.write_str(match self.op {
            MatchOp::Equal => "=",
            MatchOp::NotEqual => "!=",
            MatchOp::Matches => "=~",
            MatchOp::MatchesNot => "!~",
        })?;
        write_quoted(f, &self.value)
    }
}

/// Label matchers as a user writes them: `code=~"5..",route="/tasks"`; empty matches everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Matchers(Vec<Matcher>);

impl Matchers {
    pub fn iter(&self) -> std::slice::Iter<'_, Matcher> {
        self.0.iter()
    }

    /// The first label of `reserved` that these match on.
    pub fn first_of<'r>(&self, reserved: &[&'r str]) -> Option<&'r str> {
        reserved
            .iter()
            .copied()
            .find(|label| self.0.iter().any(|m| m.label == *label))
    }
}

impl<'a> IntoIterator for &'a Matchers {
    type Item = &'a Matcher;
    type IntoIter = std::slice::Iter<'a, Matcher>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl FromStr for Matchers {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.trim_ascii().is_empty() {
            return Ok(Self::default());
        }
        // The name only makes the braces a selector.
        let parsed = parse(&format!("m{{{text}}}")).map_err(|refusal| {
            Refusal::new(
                format!("{text:?} are not label matchers: {}", refusal.problem),
                r#"write them as code=~"5..",route="/tasks""#,
            )
        })?;
        let Expr::VectorSelector(selector) = parsed else {
            return Err(broken_out(text));
        };
        if selector.offset.is_some() || selector.at.is_some() {
            return Err(broken_out(text));
        }
        matchers_of(&selector).map(Self)
    }
}

fn broken_out(text: &str) -> Refusal {
    Refusal::new(
        format!("{text:?} is more than label matchers"),
        r#"write only matchers, such as code=~"5..",route="/tasks""#,
    )
}

/// The matchers of a parsed selector, `__name__` left out and refused unless it repeats the name.
pub(crate) fn matchers_of(selector: &VectorSelector) -> Result<Vec<Matcher>, Refusal> {
    if !selector.matchers.or_matchers.is_empty() {
        return Err(Refusal::new(
            "Prometheus knows no `or` between label matchers",
            "use one regular expression, such as code=~\"5..|429\"",
        ));
    }
    let mut matchers = Vec::with_capacity(selector.matchers.matchers.len());
    for parsed in &selector.matchers.matchers {
        let op = match parsed.op {
            ParsedOp::Equal => MatchOp::Equal,
            ParsedOp::NotEqual => MatchOp::NotEqual,
            ParsedOp::Re(_) => MatchOp::Matches,
            ParsedOp::NotRe(_) => MatchOp::MatchesNot,
        };
        if matches!(op, MatchOp::Matches | MatchOp::MatchesNot) {
            check_regex(&parsed.value)?;
        }
        if parsed.name == METRIC_NAME {
            return Err(Refusal::new(
                "a label matcher selects by metric name",
                "write the metric's name before the braces",
            ));
        }
        matchers.push(Matcher {
            label: parsed.name.clone(),
            op,
            value: parsed.value.clone(),
        });
    }
    Ok(matchers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matchers_are_read() {
        for (text, printed) in [
            ("", ""),
            (r#"route="/tasks""#, r#"route="/tasks""#),
            (r#" code=~"5.." , method!='GET' "#, r#"code=~"5..",method!="GET""#),
            (r#""my.label"="x""#, r#""my.label"="x""#),
            (r#"quote="a\"b\\c""#, r#"quote="a\"b\\c""#),
            (
                r#"größe="ä""#.replace("größe", "\"größe\"").as_str(),
                r#""größe"="ä""#,
            ),
        ] {
            let matchers: Matchers = text.parse().unwrap_or_else(|e| panic!("{text}: {e}"));
            let all: Vec<String> = matchers.iter().map(ToString::to_string).collect();
            assert_eq!(all.join(","), printed);
        }
    }

    #[test]
    fn matchers_cannot_break_out() {
        for text in [
            r#"a="b"} or vector(1) or x{c="d""#,
            r#"a="b"} offset 5m"#,
            r#"a="b"}[5m"#,
            r#"a="b"}#"#,
            r#"a="b"} #"#,
            "a=\"b\"}\n",
            r#"a="b" or c="d""#,
            r#"__name__="up""#,
            r#""up""#,
            r#"a="b"} @ 0 #"#,
            r#"a="b"#,
            "}",
            "{",
            r#"a=~"(""#,
            r#"a=~"x{1001}""#,
            r"a=~`\d`",
        ] {
            assert!(text.parse::<Matchers>().is_err(), "{text}");
        }
    }
}
