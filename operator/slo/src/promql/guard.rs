//! What is refused before parsing: texts on which the parser would panic, recurse too deep, or read
//! something else than Prometheus does.

use promql_parser::util::unquote_string;

use super::regex;
use crate::duration::PromDuration;
use crate::problem::Refusal;

const LONGEST_TEXT: usize = 4096;
/// Parentheses and operators together bound the depth of the tree, and so every recursion over it.
const MOST_NESTING: usize = 300;

/// Checks the text outside of its strings, and those strings that the parser would compile as regular
/// expressions; gives what compiling these costs.
pub(super) fn check(text: &str) -> Result<u64, Refusal> {
    if text.len() > LONGEST_TEXT {
        return Err(Refusal::new(
            format!("the PromQL is {} bytes long", text.len()),
            format!("use at most {LONGEST_TEXT} bytes"),
        ));
    }
    if let Some(control) = text.chars().find(|c| c.is_control() && !c.is_ascii_whitespace()) {
        return Err(Refusal::new(
            format!("the PromQL holds the control character {control:?}"),
            "remove it",
        ));
    }
    let mut nesting = 0;
    let mut cost = 0_u64;
    let mut is_regex = false;
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let begin = rest;
        rest = &rest[c.len_utf8()..];
        if c.is_ascii_whitespace() {
            continue;
        }
        let follows_tilde = std::mem::replace(&mut is_regex, c == '~');
        match c {
            '"' | '\'' | '`' => {
                rest = skip_string(rest, c)?;
                if follows_tilde {
                    cost = cost.saturating_add(compile_cost(&begin[..begin.len() - rest.len()])?);
                }
            }
            '#' => {
                return Err(Refusal::new(
                    "the PromQL holds a comment",
                    "put comments into the YAML around it",
                ));
            }
            '@' => {
                return Err(Refusal::new(
                    "the modifier @ reads at a fixed time",
                    "remove it: rules are about now",
                ));
            }
            '[' => rest = skip_range(rest)?,
            '(' | '+' | '-' | '*' | '/' | '%' | '^' | '=' | '<' | '>' => nesting += 1,
            c if c.is_ascii_alphabetic() || c == '_' => {
                let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'));
                let word_tail = &rest[..end.unwrap_or(rest.len())];
                rest = &rest[word_tail.len()..];
                if c.eq_ignore_ascii_case(&'o') && word_tail.eq_ignore_ascii_case("ffset") {
                    check_offset(rest)?;
                }
            }
            _ => {}
        }
        if nesting > MOST_NESTING {
            return Err(Refusal::new(
                format!("the PromQL holds more than {MOST_NESTING} operators and parentheses"),
                "split it into several rules",
            ));
        }
        if cost > regex::MOST_COST {
            return Err(Refusal::new(
                "the PromQL's regular expressions are too large together",
                format!("use fewer; {}", regex::SMALLER),
            ));
        }
    }
    Ok(cost)
}

/// What a quoted regular expression costs.
fn compile_cost(literal: &str) -> Result<u64, Refusal> {
    let pattern = unquote_string(literal).map_err(|_| unknown_escape(literal))?;
    regex::compile_cost(&pattern)
}

fn unknown_escape(text: &str) -> Refusal {
    Refusal::new(
        format!("the string {text} holds an escape that PromQL does not know"),
        "double each backslash of a regular expression",
    )
}

fn skip_string(text: &str, quote: char) -> Result<&str, Refusal> {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        if escaped && !c.is_ascii() {
            // The parser would cut this character in two, and panic.
            return Err(unknown_escape(&format!("{quote}…\\{c}…{quote}")));
        } else if escaped {
            escaped = false;
        } else if c == '\\' && quote == '`' {
            // Raw for Prometheus, an escape for the parser.
            return Err(Refusal::new(
                "a string in backticks holds a backslash",
                "write it in double quotes, with each backslash doubled",
            ));
        } else if c == '\\' {
            escaped = true;
        } else if c == quote {
            return Ok(&text[at + c.len_utf8()..]);
        }
    }
    Err(Refusal::new(
        format!("a string that begins with {quote} does not end"),
        format!("close it with {quote}"),
    ))
}

/// `5m]`, `1h:1m]` or `1h:]`: the parser also takes bare numbers, and panics on some of them.
fn skip_range(text: &str) -> Result<&str, Refusal> {
    let (inside, rest) = text
        .split_once(']')
        .ok_or_else(|| Refusal::new("a range that begins with [ does not end", "close it with ]"))?;
    let (range, step) = inside
        .split_once(':')
        .map_or((inside, ""), |(range, step)| (range, step));
    for (part, required) in [(range, true), (step, false)] {
        let part = part.trim_ascii();
        if part.is_empty() && !required {
            continue;
        }
        duration(part)?;
    }
    Ok(rest)
}

fn check_offset(text: &str) -> Result<(), Refusal> {
    let text = text.trim_ascii_start();
    if text.starts_with('-') {
        return Err(Refusal::new(
            "a negative offset reads the future",
            "remove it: rules are about now",
        ));
    }
    let text = text.strip_prefix('+').unwrap_or(text).trim_ascii_start();
    let end = text
        .find(|c: char| !(c.is_ascii_alphanumeric() || c == '.'))
        .unwrap_or(text.len());
    // `offset` may also be the name of a metric: then no number follows.
    if text.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        duration(&text[..end])
    } else {
        Ok(())
    }
}

fn duration(text: &str) -> Result<(), Refusal> {
    match text.parse::<PromDuration>() {
        Ok(duration) if duration.millis() > 0 => Ok(()),
        Ok(_) => Err(Refusal::new(
            "a range of zero length",
            "write a duration such as 5m",
        )),
        Err(why) => Err(Refusal::new(why.to_string(), "write a duration such as 5m")),
    }
}
