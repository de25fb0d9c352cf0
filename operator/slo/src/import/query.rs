//! What a query of another tool counts, read from its syntax tree.

use promql_parser::parser::token::{T_LOR, T_SUB, T_SUM};
use promql_parser::parser::{Expr, LabelModifier};

use crate::duration::PromDuration;
use crate::problem::Refusal;
use crate::promql::{MatchOp, Matcher, Selector, parse};
use crate::spec::Indicator;

/// An indicator, and what changed on the way.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) indicator: Indicator,
    pub(super) remarks: Vec<String>,
}

/// An error query and a total query.
pub(super) fn errors_and_total(errors: &str, total: &str) -> Result<Found, Refusal> {
    let mut remarks = Vec::new();
    let total = counter(&parsed(total)?, &mut remarks)?;
    let errors = parsed(errors)?;
    if let Some((all, good)) = difference(&errors) {
        let all = counter(all, &mut remarks)?;
        let good = counter(good, &mut remarks)?;
        return all_but_good(&all, &good, remarks);
    }
    let errors = counter(&errors, &mut remarks)?;
    Ok(ratio(&errors, &total, remarks))
}

/// A query of good events and one of all.
pub(super) fn good_and_total(good: &str, total: &str) -> Result<Found, Refusal> {
    let mut remarks = Vec::new();
    let total = counter(&parsed(total)?, &mut remarks)?;
    let good = counter(&parsed(good)?, &mut remarks)?;
    all_but_good(&total, &good, remarks)
}

/// A native histogram and the slowest answer that is still good.
pub(super) fn native_latency(threshold: &str, total: &str) -> Result<Found, Refusal> {
    let mut remarks = Vec::new();
    let histogram = counter(&parsed(total)?, &mut remarks)?;
    let threshold: PromDuration = threshold
        .parse()
        .map_err(|why| Refusal::new(format!("its latency: {why}"), "write it by hand"))?;
    Ok(latency(threshold, histogram.name().as_str(), &histogram, remarks))
}

fn parsed(query: &str) -> Result<Expr, Refusal> {
    // Sloth's window is a template; any range will do to read the rest.
    let mut text = query.trim().to_owned();
    for window in ["{{.window}}", "{{ .window }}", "{{.Window}}", "{{ .Window }}"] {
        text = text.replace(window, "5m");
    }
    parse(&text)
}

fn difference(expr: &Expr) -> Option<(&Expr, &Expr)> {
    match bare(expr) {
        Expr::Binary(binary) if binary.op.id() == T_SUB => Some((&binary.lhs, &binary.rhs)),
        _ => None,
    }
}

/// Without parentheses and without `or vector(0)`, which the rules here have themselves.
fn bare(expr: &Expr) -> &Expr {
    match expr {
        Expr::Paren(paren) => bare(&paren.expr),
        Expr::Binary(binary) if binary.op.id() == T_LOR && is_vector_zero(&binary.rhs) => bare(&binary.lhs),
        other => other,
    }
}

fn is_vector_zero(expr: &Expr) -> bool {
    match bare(expr) {
        Expr::Call(call) => call.func.name == "vector",
        _ => false,
    }
}

/// The counter under `sum(rate(counter[…]))`.
fn counter(expr: &Expr, remarks: &mut Vec<String>) -> Result<Selector, Refusal> {
    match bare(expr) {
        Expr::Aggregate(aggregate) if aggregate.op.id() == T_SUM => {
            if let Some(LabelModifier::Include(labels) | LabelModifier::Exclude(labels)) = &aggregate.modifier
                && !labels.is_empty()
            {
                remarks.push(format!(
                    "its grouping by {labels} is left out: an SLO here is one ratio"
                ));
            }
            counter(&aggregate.expr, remarks)
        }
        Expr::Call(call) if matches!(call.func.name, "rate" | "increase" | "irate") => call
            .args
            .first()
            .map_or_else(|| Err(not_a_counter(expr)), |arg| counter(&arg, remarks)),
        Expr::MatrixSelector(matrix) => Ok(own(&Selector::from_parsed(&matrix.vs)?, remarks)),
        Expr::VectorSelector(selector) => Ok(own(&Selector::from_parsed(selector)?, remarks)),
        other => Err(not_a_counter(other)),
    }
}

fn not_a_counter(expr: &Expr) -> Refusal {
    Refusal::new(
        format!("{} is not the rate of one counter", crate::promql::print(expr)),
        "record it as two counters, and write a ratio of these",
    )
}

/// Without the labels that another Prometheus configuration has set: here they could never match.
fn own(selector: &Selector, remarks: &mut Vec<String>) -> Selector {
    let mut kept = Vec::with_capacity(selector.matchers().len());
    for matcher in selector.matchers() {
        let why = match matcher.label.as_str() {
            "namespace" => "the app's own namespace is added",
            "job" => {
                "the app is scraped as a job of its own name; add job=\"NAME\" to a ratio where other apps of the \
                 namespace have the same metric"
            }
            _ => {
                kept.push(matcher.clone());
                continue;
            }
        };
        let remark = format!("{matcher} is left out: {why}");
        if !remarks.contains(&remark) {
            remarks.push(remark);
        }
    }
    Selector::new(selector.name().clone(), kept)
}

fn ratio(errors: &Selector, total: &Selector, remarks: Vec<String>) -> Found {
    let indicator = Indicator::Ratio {
        errors: errors.to_string(),
        total: total.to_string(),
    };
    Found { indicator, remarks }
}

/// The failed events as those of all that are not good.
fn all_but_good(all: &Selector, good: &Selector, remarks: Vec<String>) -> Result<Found, Refusal> {
    let base = all.name().as_str().strip_suffix("_count");
    let le = good.matchers().iter().find(|matcher| matcher.label == "le");
    if let (Some(base), Some(le)) = (base, le)
        && good.name().as_str().strip_suffix("_bucket") == Some(base)
    {
        return Ok(latency(threshold(&le.value)?, base, all, remarks));
    }
    let extra: Vec<&Matcher> = good
        .matchers()
        .iter()
        .filter(|m| !all.matchers().contains(m))
        .collect();
    match extra[..] {
        [only] if good.name() == all.name() && all.matchers().iter().all(|m| good.matchers().contains(m)) => {
            let op = match only.op {
                MatchOp::Equal => MatchOp::NotEqual,
                MatchOp::NotEqual => MatchOp::Equal,
                MatchOp::Matches => MatchOp::MatchesNot,
                MatchOp::MatchesNot => MatchOp::Matches,
            };
            let errors = all.clone().with([Matcher { op, ..only.clone() }]);
            Ok(ratio(&errors, all, remarks))
        }
        _ => Err(Refusal::new(
            format!("the good events {good} are not {all} with one more label matcher"),
            "write a ratio of the failed events' own counter and the counter of all",
        )),
    }
}

/// `le` may be several spellings of one number: `0.1|0.10`.
fn threshold(le: &str) -> Result<PromDuration, Refusal> {
    let first = le.split('|').next().unwrap_or(le).replace('\\', "");
    let seconds: Option<f64> = first.parse().ok().filter(|s: &f64| *s > 0.0 && *s < 3600.0);
    // Bounded above, so the cast is exact.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let millis = seconds.map(|seconds| (seconds * 1000.0).round() as u64);
    millis
        .filter(|millis| *millis > 0)
        .map(PromDuration::from_millis)
        .ok_or_else(|| {
            Refusal::new(
                format!("its bucket {le:?} is not a time of milliseconds to an hour"),
                "write it by hand",
            )
        })
}

fn latency(threshold: PromDuration, histogram: &str, selector: &Selector, mut remarks: Vec<String>) -> Found {
    remarks.push(format!("needs spec.metrics.latency: {histogram}"));
    let kept: Vec<String> = selector.matchers().iter().map(ToString::to_string).collect();
    let indicator = Indicator::Latency {
        threshold: threshold.to_string(),
        matchers: kept.join(","),
    };
    Found { indicator, remarks }
}
