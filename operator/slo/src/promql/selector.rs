//! Selectors of one metric's series.

use std::fmt::{self, Write};
use std::str::FromStr;

use promql_parser::label::{METRIC_NAME, MatchOp as ParsedOp};
use promql_parser::parser::{Expr, VectorSelector};

use super::matcher::{Matcher, matchers_of};
use super::metric_name::MetricName;
use super::parse;
use super::print::write_quoted;
use crate::duration::PromDuration;
use crate::problem::Refusal;

/// Longer than most selectors: what is written piece by piece into no room at all is moved many times.
const USUAL_LENGTH: usize = 160;

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
    use crate::promql::Matchers;
    use proptest::prelude::*;

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
