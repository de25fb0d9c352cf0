//! Regular expressions that Prometheus (Go's RE2) takes for sure.
//!
//! The PromQL parser checks them with Rust's engine, which takes more than Go's does; a rule with a
//! regex that Go refuses is a rule file that Prometheus does not load. What follows is the common
//! ground of both, and a bound on the size of what it compiles to.

use regex_syntax::ast::parse::ParserBuilder;
use regex_syntax::ast::{
    AssertionKind, Ast, ClassPerlKind, ClassSet, ClassSetItem, ClassUnicodeKind, Flag, FlagsItemKind,
    GroupKind, HexLiteralKind, Literal, LiteralKind, RepetitionKind, RepetitionRange, SpecialLiteralKind,
};

use crate::problem::Refusal;

/// Go refuses repetitions that together exceed this.
const MOST_REPEATS: u64 = 1000;
/// The most that one expression's regular expressions may cost together: about a millisecond and two
/// megabytes of the parser, which compiles each of them.
pub(super) const MOST_COST: u64 = 4_000;
/// What compiling the smallest pattern costs.
const PATTERN: u64 = 80;
/// A literal, or an assertion: a few states.
const LITERAL: u64 = 2;
/// Any character: the byte sequences of UTF-8.
const ANY: u64 = 12;
/// Digits or space in all of Unicode.
const SMALL_CLASS: u64 = 80;
/// Letters, and their like, in all of Unicode: hundreds of ranges.
const LARGE_CLASS: u64 = 800;

/// Refuses a pattern that Go might refuse, or that costs much to compile.
pub fn check(pattern: &str) -> Result<(), Refusal> {
    compile_cost(pattern).map(|_| ())
}

/// What it costs to compile a pattern, in units of which [`MOST_COST`] is the bound; counted from its syntax,
/// because compiling it to find out is what must not happen.
pub(super) fn compile_cost(pattern: &str) -> Result<u64, Refusal> {
    let refused = |why: &str, remedy: &str| {
        let shown: String = pattern.chars().take(LONGEST_SHOWN).collect();
        Refusal::new(format!("the regular expression {shown:?} {why}"), remedy)
    };
    let syntax = "use RE2 syntax: https://github.com/google/re2/wiki/Syntax";
    let ast = ParserBuilder::new()
        .nest_limit(DEEPEST)
        .build()
        .parse(pattern)
        .map_err(|e| refused(&format!("is not one: {}", e.kind()), syntax))?;
    let size = measure(&ast).map_err(|why| refused(why, syntax))?;
    if size.repeats > MOST_REPEATS {
        let why = format!("repeats more than {MOST_REPEATS} times");
        return Err(refused(&why, "use * or +, or a smaller number"));
    }
    let cost = size.cost.saturating_add(PATTERN);
    if cost > MOST_COST {
        return Err(refused(
            "is too large once its repetitions and classes are written out",
            SMALLER,
        ));
    }
    Ok(cost)
}

pub(super) const SMALLER: &str =
    "use + in place of a number of repetitions, and [a-zA-Z0-9_] in place of \\w";
/// Deeper than people write, and far from what would exhaust a stack.
const DEEPEST: u32 = 50;
const LONGEST_SHOWN: usize = 100;

#[derive(Clone, Copy)]
struct Size {
    /// The product of nested repetition counts.
    repeats: u64,
    cost: u64,
}

const fn one(cost: u64) -> Size {
    Size { repeats: 1, cost }
}

fn measure(ast: &Ast) -> Result<Size, &'static str> {
    Ok(match ast {
        Ast::Empty(_) => one(LITERAL),
        Ast::Dot(_) => one(ANY),
        Ast::ClassPerl(class) => one(weight_of_perl(&class.kind)),
        Ast::Flags(flags) => {
            check_flags(&flags.flags.items)?;
            one(LITERAL)
        }
        Ast::Literal(literal) => {
            check_literal(literal)?;
            one(LITERAL)
        }
        Ast::Assertion(assertion) => match assertion.kind {
            AssertionKind::StartLine
            | AssertionKind::EndLine
            | AssertionKind::StartText
            | AssertionKind::EndText
            | AssertionKind::WordBoundary
            | AssertionKind::NotWordBoundary => one(LITERAL),
            _ => return Err("uses a word boundary that only Rust knows"),
        },
        Ast::ClassUnicode(class) => {
            check_unicode(&class.kind)?;
            one(LARGE_CLASS)
        }
        Ast::ClassBracketed(class) => {
            let negated = if class.negated { ANY } else { 0 };
            one(weight_of_class(&class.kind)?.saturating_add(negated))
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
                cost: inner.cost.saturating_mul(times),
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
    asts.iter().try_fold(one(0), |sum, ast| {
        let size = measure(ast)?;
        Ok(Size {
            repeats: sum.repeats.max(size.repeats),
            cost: sum.cost.saturating_add(size.cost),
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

fn weight_of_perl(kind: &ClassPerlKind) -> u64 {
    match kind {
        ClassPerlKind::Digit | ClassPerlKind::Space => SMALL_CLASS,
        ClassPerlKind::Word => LARGE_CLASS,
    }
}

fn weight_of_class(set: &ClassSet) -> Result<u64, &'static str> {
    match set {
        ClassSet::Item(item) => weight_of_item(item),
        ClassSet::BinaryOp(_) => Err("combines classes, which only Rust can"),
    }
}

fn weight_of_item(item: &ClassSetItem) -> Result<u64, &'static str> {
    Ok(match item {
        ClassSetItem::Empty(_) | ClassSetItem::Ascii(_) => LITERAL,
        ClassSetItem::Perl(class) => weight_of_perl(&class.kind),
        ClassSetItem::Literal(literal) => {
            check_literal(literal)?;
            LITERAL
        }
        ClassSetItem::Range(range) => {
            check_literal(&range.start)?;
            check_literal(&range.end)?;
            if range.end.c.is_ascii() { 2 * LITERAL } else { ANY }
        }
        ClassSetItem::Unicode(class) => {
            check_unicode(&class.kind)?;
            LARGE_CLASS
        }
        ClassSetItem::Bracketed(_) => return Err("nests classes, which only Rust can"),
        ClassSetItem::Union(union) => union.items.iter().try_fold(0_u64, |sum, item| {
            Ok::<u64, &'static str>(sum.saturating_add(weight_of_item(item)?))
        })?,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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

    /// Unicode's classes are what a bomb is made of: each `\\w` is hundreds of ranges.
    #[test]
    fn refuses_what_is_short_and_compiles_to_much() {
        for pattern in [
            r"\w{100}",
            r"\w{5}",
            r"\W{0,5}",
            r"(?:\w?){5}",
            r"\w*\w*\w*\w*\w*",
            r"\pL{5}",
            r"\d{50}",
            r"[\w\pL]{3}",
            r"(?i)[a-zA-Zé-ü]{250}",
            "[^a]{500}",
            ".{400}",
            "((a{10}b){10}){20}",
        ] {
            assert!(check(pattern).is_err(), "{pattern}");
        }
        for pattern in [
            r"\w+",
            r"\w+@\w+\.\w+",
            "a{1000}",
            "[0-9a-f]{64}",
            ".{100}",
            r"\d{1,20}",
        ] {
            assert_eq!(check(pattern), Ok(()), "{pattern}");
        }
        assert!(check(&"(".repeat(4000)).is_err());
        assert!(check(&format!("{}a{}", "(".repeat(60), ")".repeat(60))).is_err());
    }

    proptest! {
        /// The cost bounds what the parser would compile: nothing that is let through compiles to more than
        /// a megabyte.
        #[test]
        fn what_is_let_through_compiles_to_little(pieces in proptest::collection::vec(prop_oneof![
            Just(r"\w"), Just(r"\W"), Just(r"\d"), Just("."), Just("[^a]"), Just(r"\pL"), Just("(?i)"), Just("k"), Just("é"),
            Just("[é-ü]"), Just("[a-z]"), Just("[[:alpha:]]"), Just("("), Just(")"), Just("|"), Just("*"), Just("?"),
            Just("{3}"), Just("{0,9}"), Just("{40}"), Just("{300}"), Just("{1000}"), Just(r"[\w\s]"),
        ], 1..12)) {
            let pattern = pieces.concat();
            if check(&pattern).is_ok() {
                let compiled = ::regex::RegexBuilder::new(&format!("^(?:{pattern})$")).size_limit(1 << 20).build();
                prop_assert!(compiled.is_ok(), "{}", pattern);
            }
        }
    }
}
