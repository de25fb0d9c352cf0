//! Metric names, label matchers and selectors that cannot break out of where they are put.

use std::fmt::{self, Write};
use std::str::FromStr;

use promql_parser::label::{METRIC_NAME, MatchOp as ParsedOp};
use promql_parser::parser::{Expr, VectorSelector};

use super::print::{write_label, write_quoted};
use super::{check_regex, parse};
use crate::duration::PromDuration;
use crate::problem::Refusal;

const LONGEST_NAME: usize = 200;
/// Longer than most selectors: what is written piece by piece into no room at all is moved many times.
const USUAL_LENGTH: usize = 160;

/// A metric's name: any UTF-8 that Prometheus 3 takes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MetricName(String);

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

/// One metric's series, some of them: `jobs_total{queue="mail"}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Selector {
    name: MetricName,
    matchers: Vec<Matcher>,
}

impl Selector {
    pub fn new(name: MetricName, matchers: Vec<Matcher>) -> Self {
        Self { name, matchers }
    }

    /// A metric of ours, whose name is known to need no quotes.
    pub(crate) fn known(name: &str, matchers: Vec<Matcher>) -> Self {
        Self {
            name: MetricName(name.to_owned()),
            matchers,
        }
    }

    pub fn name(&self) -> &MetricName {
        &self.name
    }

    pub fn matchers(&self) -> &[Matcher] {
        &self.matchers
    }

    #[must_use]
    pub fn with(mut self, matchers: impl IntoIterator<Item = Matcher>) -> Self {
        self.matchers.extend(matchers);
        self
    }

    #[must_use]
    pub fn in_front(mut self, matcher: Matcher) -> Self {
        self.matchers.insert(0, matcher);
        self
    }

    /// `name{…}[5m]`
    pub fn over(&self, range: PromDuration) -> String {
        let mut text = String::with_capacity(USUAL_LENGTH);
        let _ = write!(text, "{self}[{range}]");
        text
    }

    pub(crate) fn from_parsed(selector: &VectorSelector) -> Result<Self, Refusal> {
        let mut selector = selector.clone();
        let name = match selector.name.take() {
            Some(name) => name,
            // `{"my.metric"}`, which is how Prometheus 3 writes names of other than ASCII letters.
            None => quoted_name(&mut selector)?,
        };
        Ok(Self {
            name: name.parse()?,
            matchers: matchers_of(&selector)?,
        })
    }
}

fn quoted_name(selector: &mut VectorSelector) -> Result<String, Refusal> {
    let matchers = &mut selector.matchers.matchers;
    let at = matchers
        .iter()
        .position(|m| m.name == METRIC_NAME && m.op == ParsedOp::Equal && !m.value.is_empty());
    at.map(|at| matchers.remove(at).value).ok_or_else(|| {
        Refusal::new(
            "a selector names no exact metric",
            "write it as a metric's name with matchers: name{label=\"value\"}",
        )
    })
}

impl FromStr for Selector {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let Expr::VectorSelector(parsed) = parse(text)? else {
            return Err(Refusal::new(
                format!("{text:?} is more than one metric's series"),
                "write a counter's name with matchers: jobs_total{queue=\"mail\"}",
            ));
        };
        if parsed.offset.is_some() || parsed.at.is_some() {
            return Err(Refusal::new(
                format!("{text:?} reads at another time"),
                "remove the modifier",
            ));
        }
        Self::from_parsed(&parsed)
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bare = self.name.is_bare();
        if bare {
            f.write_str(&self.name.0)?;
            if self.matchers.is_empty() {
                return Ok(());
            }
        }
        f.write_char('{')?;
        if !bare {
            write_quoted(f, &self.name.0)?;
        }
        for (i, matcher) in self.matchers.iter().enumerate() {
            if i > 0 || !bare {
                f.write_char(',')?;
            }
            matcher.fmt(f)?;
        }
        f.write_char('}')
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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

    #[test]
    fn names_are_quoted_where_they_must() {
        for (name, printed) in [
            ("http_requests_total", r#"http_requests_total{a="b"}"#),
            ("job:requests:rate5m", r#"job:requests:rate5m{a="b"}"#),
            ("my.metric", r#"{"my.metric",a="b"}"#),
            ("sum", r#"{"sum",a="b"}"#),
            ("größe", r#"{"größe",a="b"}"#),
            ("a\"b", r#"{"a\"b",a="b"}"#),
        ] {
            let selector = Selector::new(name.parse().expect(name), vec![Matcher::equal("a", "b")]);
            assert_eq!(selector.to_string(), printed);
            assert_eq!(printed.parse(), Ok(selector));
        }
    }

    #[test]
    fn selectors_are_one_metric() {
        for text in [
            "rate(jobs_total[5m])",
            "jobs_total[5m]",
            "jobs_total offset 5m",
            "jobs_total or other_total",
            r#"{queue="mail"}"#,
            r#"{__name__=~"jobs.*"}"#,
            r#"jobs_total{__name__="x"}"#,
            "1",
            "",
        ] {
            assert!(text.parse::<Selector>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_back(
            name in "[a-zA-Z_:.ü \"\\\\-]{1,12}",
            labels in proptest::collection::vec(("[a-zA-Zü.\"\\\\]{1,8}", "[^\\p{Cc}]{0,12}"), 0..4),
        ) {
            prop_assume!(labels.iter().all(|(label, _)| label != METRIC_NAME));
            let matchers = labels.iter().map(|(label, value)| Matcher::equal(label, value)).collect();
            let selector = Selector::new(name.parse().expect("a name"), matchers);
            prop_assert_eq!(selector.to_string().parse(), Ok(selector));
        }

        #[test]
        fn any_text_is_answered(text in "[a-z0-9{}\\[\\]()\"'`=~!,@#:+. \\\\éoffset-]{0,40}") {
            let _ = text.parse::<Selector>();
            let _ = text.parse::<Matchers>();
        }
    }
}
