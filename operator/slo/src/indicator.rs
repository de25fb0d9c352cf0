//! Indicators as PromQL: failed and all events a second, and of one slot.

use crate::app::Histogram;
use crate::duration::PromDuration;
use crate::promql::{Matcher, Selector};
use crate::slo::Indicator;

/// One slot of the long windows.
pub(crate) const SLOT: PromDuration = PromDuration::from_minutes(5);

impl Indicator {
    /// All events a second over `range`; absent where nothing is scraped, 0 without traffic.
    pub(crate) fn events(&self, range: PromDuration) -> String {
        match self {
            Self::Availability { total, .. } | Self::Ratio { total, .. } => sum_rate(total, range),
            Self::Latency { histogram, kind, .. } => match kind {
                Histogram::Classic => classic_events(histogram, range),
                Histogram::Native => native_events(histogram, range),
                Histogram::Either => {
                    format!(
                        "{} or {}",
                        classic_events(histogram, range),
                        native_events(histogram, range)
                    )
                }
            },
            Self::Probe { success, .. } => {
                format!(
                    "sum(count_over_time({})) / {}",
                    success.over(range),
                    range.seconds()
                )
            }
        }
    }

    /// Failed events a second over `range`; 0, not absent, while there are events, and absent without.
    pub(crate) fn errors(&self, range: PromDuration) -> String {
        match self {
            // The series of failed requests may not be born yet: no failure so far is 0.
            Self::Availability { errors, total, .. } | Self::Ratio { errors, total, .. } => {
                format!(
                    "({} or vector(0)) and {}",
                    sum_rate(errors, range),
                    sum_rate(total, range)
                )
            }
            Self::Latency {
                histogram,
                kind,
                threshold,
                ..
            } => match kind {
                Histogram::Classic => classic_errors(histogram, *threshold, range),
                Histogram::Native => native_errors(histogram, *threshold, range),
                Histogram::Either => {
                    let classic = classic_errors(histogram, *threshold, range);
                    format!("{classic} or {}", native_errors(histogram, *threshold, range))
                }
            },
            Self::Probe { success, .. } => {
                let probes = success.over(range);
                format!(
                    "(sum(count_over_time({probes})) - sum(sum_over_time({probes}))) / {}",
                    range.seconds()
                )
            }
        }
    }

    /// The share of failed events over `range`, from the raw series; absent without traffic, never NaN.
    pub(crate) fn error_ratio(&self, range: PromDuration) -> String {
        match self {
            Self::Availability { errors, total, .. } | Self::Ratio { errors, total, .. } => {
                format!(
                    "({} or vector(0)) / ({} > 0)",
                    sum_rate(errors, range),
                    sum_rate(total, range)
                )
            }
            Self::Latency { .. } => format!("({}) / (({}) > 0)", self.errors(range), self.events(range)),
            Self::Probe { success, .. } => {
                let probes = success.over(range);
                format!("1 - sum(sum_over_time({probes})) / sum(count_over_time({probes}))")
            }
        }
    }

    /// What makes the events of a slot out of a rate over [`Self::slot_range`].
    pub(crate) fn slot_range(&self) -> PromDuration {
        match self {
            // A range of a slot and one scrape holds the last sample of the slot before, so that no
            // increment falls between two slots; `rate` × slot is then exactly the increase since it.
            Self::Availability { interval, .. }
            | Self::Latency { interval, .. }
            | Self::Ratio { interval, .. } => SLOT.plus(*interval),
            // Samples are counted, each in one slot.
            Self::Probe { .. } => SLOT,
        }
    }
}

fn sum_rate(selector: &Selector, range: PromDuration) -> String {
    format!("sum(rate({}))", selector.over(range))
}

fn suffixed(histogram: &Selector, suffix: &str) -> Selector {
    Selector::new(
        histogram.name().with_suffix(suffix),
        histogram.matchers().to_vec(),
    )
}

fn classic_events(histogram: &Selector, range: PromDuration) -> String {
    sum_rate(&suffixed(histogram, "_count"), range)
}

/// A threshold that is no bucket gives no data, rather than every request as a failed one.
fn classic_errors(histogram: &Selector, threshold: PromDuration, range: PromDuration) -> String {
    let bucket = suffixed(histogram, "_bucket").with([Matcher::matches("le", le_spellings(threshold))]);
    format!(
        "clamp_min({} - {}, 0)",
        classic_events(histogram, range),
        sum_rate(&bucket, range)
    )
}

/// `le` as clients and Prometheus write it: `0.3`, and `1` before Prometheus 3 where it is `1.0` since.
/// An alternation of plain texts, which Prometheus looks up without running a regex.
fn le_spellings(threshold: PromDuration) -> String {
    let seconds = threshold.seconds();
    if seconds.contains('.') {
        let escaped = seconds.replace('.', "\\.");
        format!("{escaped}|{escaped}0")
    } else {
        format!("{seconds}|{seconds}\\.0")
    }
}

fn native_events(histogram: &Selector, range: PromDuration) -> String {
    format!("histogram_count({})", sum_rate(histogram, range))
}

fn native_errors(histogram: &Selector, threshold: PromDuration, range: PromDuration) -> String {
    let all = native_events(histogram, range);
    let good = format!(
        "histogram_fraction(-Inf, {}, {})",
        threshold.seconds(),
        sum_rate(histogram, range)
    );
    // The fraction of nothing is NaN, which no comparison lets through; 0 of 0 failed.
    format!("({all} * (1 - {good}) >= 0 or {all} * 0)")
}
