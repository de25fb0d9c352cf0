//! PromQL from a tree. The parser's own printer loses an empty `ignoring()` before `group_left` (which
//! then no longer parses) and sorts matchers; this one keeps what was written.

use std::fmt::{self, Write};

use promql_parser::label::{Labels, MatchOp, Matcher};
use promql_parser::parser::{
    AggregateExpr, BinModifier, BinaryExpr, Expr, LabelModifier, Offset, VectorMatchCardinality,
    VectorSelector,
};

use crate::duration::PromDuration;

/// Prints a tree that [`super::parse`] made.
pub fn print(expr: &Expr) -> String {
    let mut out = String::new();
    write_expr(&mut out, expr);
    out
}

/// A double-quoted PromQL string.
pub fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    let _ = write_quoted(&mut out, text);
    out
}

pub(super) fn write_quoted(out: &mut impl Write, text: &str) -> fmt::Result {
    out.write_char('"')?;
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c == '\\' || c == '"' || c.is_control()) {
        let (plain, tail) = rest.split_at(at);
        out.write_str(plain)?;
        let mut tail = tail.chars();
        match tail.next() {
            Some('\\') => out.write_str("\\\\")?,
            Some('"') => out.write_str("\\\"")?,
            Some('\n') => out.write_str("\\n")?,
            Some('\r') => out.write_str("\\r")?,
            Some('\t') => out.write_str("\\t")?,
            Some(control) => write!(out, "\\u{:04x}", u32::from(control))?,
            None => {}
        }
        rest = tail.as_str();
    }
    out.write_str(rest)?;
    out.write_char('"')
}

/// A label's name, quoted where Prometheus 3 needs it.
pub(super) fn write_label(out: &mut impl Write, name: &str) -> fmt::Result {
    let mut bytes = name.bytes();
    let classic = bytes.next().is_some_and(|b| b == b'_' || b.is_ascii_alphabetic())
        && bytes.all(|b| b == b'_' || b.is_ascii_alphanumeric());
    if classic {
        out.write_str(name)
    } else {
        write_quoted(out, name)
    }
}

fn write_expr(out: &mut String, expr: &Expr) {
    match expr {
        Expr::Aggregate(aggregate) => write_aggregate(out, aggregate),
        Expr::Unary(unary) => {
            out.push('-');
            write_expr(out, &unary.expr);
        }
        Expr::Binary(binary) => write_binary(out, binary),
        Expr::Paren(paren) => {
            out.push('(');
            write_expr(out, &paren.expr);
            out.push(')');
        }
        Expr::Subquery(subquery) => {
            write_expr(out, &subquery.expr);
            let step = subquery
                .step
                .map(|step| duration(step).to_string())
                .unwrap_or_default();
            let _ = write!(out, "[{}:{step}]", duration(subquery.range));
            write_offset(out, subquery.offset.as_ref());
        }
        Expr::NumberLiteral(number) => {
            let _ = write!(out, "{number}");
        }
        Expr::StringLiteral(string) => {
            let _ = write_quoted(out, &string.val);
        }
        Expr::VectorSelector(selector) => {
            write_selector(out, selector);
            write_offset(out, selector.offset.as_ref());
        }
        Expr::MatrixSelector(matrix) => {
            write_selector(out, &matrix.vs);
            let _ = write!(out, "[{}]", duration(matrix.range));
            write_offset(out, matrix.vs.offset.as_ref());
        }
        Expr::Call(call) => {
            out.push_str(call.func.name);
            out.push('(');
            for (i, arg) in call.args.args.iter().enumerate() {
                if i > 0 {
                    out.push_str(", ");
                }
                write_expr(out, arg);
            }
            out.push(')');
        }
        // The parser makes none; only its embedders do.
        Expr::Extension(_) => {}
    }
}

fn write_aggregate(out: &mut String, aggregate: &AggregateExpr) {
    let _ = write!(out, "{}", aggregate.op);
    match &aggregate.modifier {
        Some(LabelModifier::Include(labels)) => write_labels(out, " by ", labels),
        Some(LabelModifier::Exclude(labels)) => write_labels(out, " without ", labels),
        None => {}
    }
    out.push_str(if aggregate.modifier.is_some() { " (" } else { "(" });
    if let Some(param) = &aggregate.param {
        write_expr(out, param);
        out.push_str(", ");
    }
    write_expr(out, &aggregate.expr);
    out.push(')');
}

fn write_binary(out: &mut String, binary: &BinaryExpr) {
    write_expr(out, &binary.lhs);
    let _ = write!(out, " {}", binary.op);
    if let Some(modifier) = &binary.modifier {
        write_modifier(out, modifier);
    }
    out.push(' ');
    write_expr(out, &binary.rhs);
}

fn write_modifier(out: &mut String, modifier: &BinModifier) {
    if modifier.return_bool {
        out.push_str(" bool");
    }
    match &modifier.matching {
        Some(LabelModifier::Include(labels)) => write_labels(out, " on ", labels),
        Some(LabelModifier::Exclude(labels)) => write_labels(out, " ignoring ", labels),
        None => {}
    }
    match &modifier.card {
        VectorMatchCardinality::ManyToOne(labels) => write_labels(out, " group_left ", labels),
        VectorMatchCardinality::OneToMany(labels) => write_labels(out, " group_right ", labels),
        VectorMatchCardinality::OneToOne | VectorMatchCardinality::ManyToMany => {}
    }
}

fn write_labels(out: &mut String, keyword: &str, labels: &Labels) {
    out.push_str(keyword);
    out.push('(');
    for (i, label) in labels.labels.iter().enumerate() {
        if i > 0 {
            out.push_str(", ");
        }
        let _ = write_label(out, label);
    }
    out.push(')');
}

fn write_selector(out: &mut String, selector: &VectorSelector) {
    if let Some(name) = &selector.name {
        out.push_str(name);
    }
    let matchers = &selector.matchers.matchers;
    if matchers.is_empty() && selector.name.is_some() {
        return;
    }
    out.push('{');
    for (i, matcher) in matchers.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        write_matcher(out, matcher);
    }
    out.push('}');
}

fn write_matcher(out: &mut String, matcher: &Matcher) {
    let _ = write_label(out, &matcher.name);
    out.push_str(match matcher.op {
        MatchOp::Equal => "=",
        MatchOp::NotEqual => "!=",
        MatchOp::Re(_) => "=~",
        MatchOp::NotRe(_) => "!~",
    });
    let _ = write_quoted(out, &matcher.value);
}

fn write_offset(out: &mut String, offset: Option<&Offset>) {
    match offset {
        Some(Offset::Pos(offset)) => {
            let _ = write!(out, " offset {}", duration(*offset));
        }
        Some(Offset::Neg(offset)) => {
            let _ = write!(out, " offset -{}", duration(*offset));
        }
        None => {}
    }
}

/// A parsed duration as one of ours.
pub(crate) fn duration(duration: std::time::Duration) -> PromDuration {
    PromDuration::from_millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}
