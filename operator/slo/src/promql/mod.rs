//! PromQL from users: parsed before it goes anywhere near Prometheus, printed from the tree and never
//! from the text. One rule that Prometheus cannot load keeps it from loading any.

mod guard;
mod matcher;
mod metric_name;
mod parse;
mod print;
mod regex;
mod selector;

use crate::problem::Refusal;

pub use matcher::{MatchOp, Matcher, Matchers};
pub use metric_name::MetricName;
pub use parse::parse;
pub(crate) use print::duration;
pub use print::{print, quote};
pub use regex::check as check_regex;
pub use selector::Selector;

/// The most that the regular expressions of all SLOs, or of all extra alerts, of one app may cost together.
const MOST_COST_OF_ALL: u64 = 5 * regex::MOST_COST;

/// Refuses texts whose regular expressions are each small enough and together too many. A text that is
/// refused for itself costs nothing here: it is not parsed either.
pub(crate) fn check_together<'t>(texts: impl Iterator<Item = &'t str>) -> Result<(), Refusal> {
    let cost: u64 = texts.map(|text| guard::check(text).unwrap_or_default()).sum();
    if cost > MOST_COST_OF_ALL {
        return Err(Refusal::new(
            "their regular expressions are too large together",
            format!("use fewer; {}", regex::SMALLER),
        ));
    }
    Ok(())
}
