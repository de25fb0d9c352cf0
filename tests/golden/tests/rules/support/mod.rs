//! What the tests share: apps, traffic whose truth is known, and promtool.

mod exported;
mod fixture;
mod promtool;
mod traffic;

pub(crate) use exported::{scraped, state};
pub(crate) use fixture::{app, labels, record, rules, rules_of, rules_without_totals, slo};
pub(crate) use promtool::{Series, UnitTest, check_rules};
pub(crate) use traffic::{FAST, SCRAPE, Traffic};

/// Seconds between two evaluations of the slow group.
pub(crate) const SLOW: u64 = 240;
