//! Regular expressions that Prometheus (Go's RE2) takes for sure.
//!
//! The PromQL parser checks them with Rust's engine, which takes more than Go's does; a rule with a
//! regex that Go refuses is a rule file that Prometheus does not load. What follows is the common
//! ground of both, and a bound on the size of what it compiles to.

use regex_syntax::ast::parse::Parser;
use regex_syntax::ast::{
    AssertionKind, Ast, ClassSet, ClassSetItem, ClassUnicodeKind, Flag, FlagsItemKind, GroupKind,
    HexLiteralKind, Literal, LiteralKind, RepetitionKind, RepetitionRange, SpecialLiteralKind,
};

use crate::problem::Refusal;

/// Go refuses repetitions that together exceed this.
const MOST_REPEATS: u64 = 1000;
/// Literals and classes after repetitions are written out.
const MOST_ITEMS: u64 = 10_000;

/// Refuses a pattern that Go might refuse.
pub fn check(pattern: &str) -> Result<(), Refusal> {
    let refused = |why: &str| {
        Refusal::new(
            format!("the regular expression {pattern:?} {why}"),
            "use RE2 syntax: https://github.com/google/re2/wiki/Syntax",
        )
    };
    let ast = Parser::new()
        .parse(pattern)
        .map_err(|e| refused(&format!("is not one: {}", e.kind())))?;
    let size = measure(&ast).map_err(refused)?;
    if size.repeats > MOST_REPEATS {
        return Err(refused(&format!("repeats more than {MOST_REPEATS} times")));
    }
    if size.items > MOST_ITEMS {
        return Err(refused("is too large once its repetitions are written out"));
    }
    Ok(())
}

#[derive(Clone, Copy)]
struct Size {
    /// The product of nested repetition counts.
    repeats: u64,
    items: u64,
}

const ONE: Size = Size { repeats: 1, items: 1 };

fn measure(ast: &Ast) -> Result<Size, &'static str> {
    Ok(match ast {
        Ast::Empty(_) | Ast::Dot(_) | Ast::ClassPerl(_) => ONE,
        Ast::Flags(flags) => {
            check_flags(&flags.flags.items)?;
            ONE
        }
        Ast::Literal(literal) => {
            check_literal(literal)?;
            ONE
        }
        Ast::Assertion(assertion) => match assertion.kind {
            AssertionKind::StartLine
            | AssertionKind::EndLine
            | AssertionKind::StartText
            | AssertionKind::EndText
            | AssertionKind::WordBoundary
            | AssertionKind::NotWordBoundary => ONE,
            _ => return Err("uses a word boundary that only Rust knows"),
        },
        Ast::ClassUnicode(class) => {
            check_unicode(&class.kind)?;
            ONE
        }
        Ast::ClassBracketed(class) => {
            check_class(&class.kind)?;
            ONE
        }
        Ast::Repetition(repetition) => {
            if matches!(*repetition.ast, Ast::Repetition(_)) {
                return Err("repeats a repetition");
            }
            let times = match &repetition.op.kind {
                RepetitionKind::Range(
                    RepetitionRange::Exactly(n)
                    | RepetitionRange::AtLeast(n)
                    | RepetitionRange::Bounded(_, n),
                ) => u64::from(*n).max(1),
                RepetitionKind::ZeroOrOne | RepetitionKind::ZeroOrMore | RepetitionKind::OneOrMore => 1,
            };
            let inner = measure(&repetition.ast)?;
            Size {
                repeats: inner.repeats.saturating_mul(times),
                items: inner.items.saturating_mul(times),
            }
        }
        Ast::Group(group) => {
            match &group.kind {
                GroupKind::CaptureIndex(_) => {}
                GroupKind::CaptureName { starts_with_p, name } => {
                    if !starts_with_p || !name.name.bytes().all(|b| b == b'_' || b.is_ascii_alphanumeric()) {
                        return Err("names a group in a way that only Rust knows");
                    }
                }
                GroupKind::NonCapturing(flags) => check_flags(&flags.items)?,
            }
            measure(&group.ast)?
        }
        Ast::Alternation(alternation) => measure_all(&alternation.asts)?,
        Ast::Concat(concat) => measure_all(&concat.asts)?,
    })
}

fn measure_all(asts: &[Ast]) -> Result<Size, &'static str> {
    asts.iter().try_fold(Size { repeats: 1, items: 0 }, |sum, ast| {
        let size = measure(ast)?;
        Ok(Size {
            repeats: sum.repeats.max(size.repeats),
            items: sum.items.saturating_add(size.items),
        })
    })
}

fn check_flags(items: &[regex_syntax::ast::FlagsItem]) -> Result<(), &'static str> {
    let known = |kind: &FlagsItemKind| {
        matches!(
            kind,
            FlagsItemKind::Negation
                | FlagsItemKind::Flag(
                    Flag::CaseInsensitive | Flag::MultiLine | Flag::DotMatchesNewLine | Flag::SwapGreed
                )
        )
    };
    if items.iter().all(|item| known(&item.kind)) {
        Ok(())
    } else {
        Err("uses a flag that only Rust knows")
    }
}

fn check_literal(literal: &Literal) -> Result<(), &'static str> {
    let known = match &literal.kind {
        LiteralKind::Verbatim | LiteralKind::Meta | LiteralKind::Superfluous => true,
        LiteralKind::HexFixed(kind) => *kind == HexLiteralKind::X,
        LiteralKind::Special(kind) => *kind != SpecialLiteralKind::Space,
        LiteralKind::Octal | LiteralKind::HexBrace(_) => false,
    };
    if known {
        Ok(())
    } else {
        Err("uses an escape that only Rust knows")
    }
}

fn check_unicode(kind: &ClassUnicodeKind) -> Result<(), &'static str> {
    match kind {
        ClassUnicodeKind::OneLetter('L' | 'M' | 'N' | 'P' | 'S' | 'Z' | 'C') => Ok(()),
        _ => Err("uses a Unicode class other than \\pL and its like"),
    }
}

fn check_class(set: &ClassSet) -> Result<(), &'static str> {
    match set {
        ClassSet::Item(item) => check_class_item(item),
        ClassSet::BinaryOp(_) => Err("combines classes, which only Rust can"),
    }
}

fn check_class_item(item: &ClassSetItem) -> Result<(), &'static str> {
    match item {
        ClassSetItem::Empty(_) | ClassSetItem::Ascii(_) | ClassSetItem::Perl(_) => Ok(()),
        ClassSetItem::Literal(literal) => check_literal(literal),
        ClassSetItem::Range(range) => {
            check_literal(&range.start)?;
            check_literal(&range.end)
        }
        ClassSetItem::Unicode(class) => check_unicode(&class.kind),
        ClassSetItem::Bracketed(_) => Err("nests classes, which only Rust can"),
        ClassSetItem::Union(union) => union.items.iter().try_for_each(check_class_item),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_both_engines_take() {
        for pattern in [
            "",
            "5..",
            "/api/.*|/tasks",
            "(?i)get",
            "(?P<kind>a|b)+?",
            r"\d{3}",
            r"[^a-z_\-]+",
            "[[:alpha:]]",
            r"\.\/\-\_",
            r"\pL",
            "a{2,5}",
            r"\x7f",
            "(?:ab)*",
            "[]a]",
        ] {
            assert_eq!(check(pattern), Ok(()), "{pattern}");
        }
    }

    #[test]
    fn refuses_what_go_might_refuse() {
        for pattern in [
            "(",
            "a**",
            "a{2}{3}",
            "a{1001}",
            "(a{100}){100}",
            "(?x)a b",
            "[a&&b]",
            "[a[b]]",
            r"\u{1F600}",
            r"\u0041",
            r"\b{start}",
            r"\p{Greek}",
            "(?<name>a)",
            "(?=a)",
            r"(a)\1",
            "(?-u)a",
            "a{2",
        ] {
            assert!(check(pattern).is_err(), "{pattern}");
        }
        assert!(check(&format!("({}){{1000}}", "abcdefghijk".repeat(10))).is_err());
    }
}
