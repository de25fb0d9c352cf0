//! PromQL from users: parsed before it goes anywhere near Prometheus, printed from the tree and never
//! from the text. One rule that Prometheus cannot load keeps it from loading any.

mod guard;
mod parse;
mod print;
mod regex;
mod selector;

pub use parse::parse;
pub(crate) use print::duration;
pub use print::{print, quote};
pub use regex::check as check_regex;
pub use selector::{MatchOp, Matcher, Matchers, MetricName, Selector};
