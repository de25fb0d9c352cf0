//! Indicators as PromQL: failed and all events a second, and by how much they grew.

use crate::app::Histogram;
use crate::duration::PromDuration;
use crate::promql::{Matcher, Selector};
use crate::slo::Indicator;

/// One slot of the long windows.
pub(crate) const SLOT: PromDuration = PromDuration::from_minutes(5);
/// How old a counter's last sample may be: as old as Prometheus shows one.
const LOOKBACK: PromDuration = PromDuration::from_minutes(5);

impl Indicator {
    /// All events a second over `range`; absent where nothing is scraped, 0 without traffic. Where none of
    /// them can be judged these are all there are, and [`Self::errors`] is absent.
    pub(crate) fn events(&self, range: PromDuration) -> String {
        match self {
            Self::Latency {
                histogram,
                kind: Histogram::Classic | Histogram::Either,
                ..
            } => {
                let judged = self.judged(range);
                format!("{judged} or {}", sum_rate(&suffixed(histogram, "_count"), range))
            }
            _ => self.judged(range),
        }
    }

    /// The events a second of which it is known whether they failed.
    pub(crate) fn judged(&self, range: PromDuration) -> String {
        match self {
            Self::Availability { total, .. } | Self::Ratio { total, .. } => sum_rate(total, range),
            Self::Latency {
                histogram,
                kind,
                threshold,
                ..
            } => {
                let latency = Latency::new(histogram, *threshold);
                let native = |series: &str| format!("histogram_count(sum({series}))");
                latency.of_kind(*kind, &latency.classic_events(range), range, native)
            }
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
            } => {
                let latency = Latency::new(histogram, *threshold);
                let native = |series: &str| latency.native_errors(series);
                latency.of_kind(*kind, &latency.classic_errors(range), range, native)
            }
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
            Self::Latency { .. } => format!("({}) / (({}) > 0)", self.errors(range), self.judged(range)),
            Self::Probe { success, .. } => {
                let probes = success.over(range);
                format!("1 - sum(sum_over_time({probes})) / sum(count_over_time({probes}))")
            }
        }
    }

    /// By how much the judged events grew within the last `step`. Unlike `rate` this loses nothing between
    /// two steps and estimates nothing, whatever scrape was missed.
    pub(crate) fn more_events(&self, step: PromDuration) -> String {
        match self {
            Self::Availability { total, .. } | Self::Ratio { total, .. } => self.grown(total, step),
            Self::Latency {
                histogram,
                kind,
                threshold,
                ..
            } => {
                let latency = Latency::new(histogram, *threshold);
                let reach = self.reach();
                let classic = grown(
                    &latency.counted(&last(reach)),
                    &latency.counted(&last_before(reach, step)),
                    &latency.counted(&first(step)),
                );
                let seconds = step.seconds();
                let native = |series: &str| format!("histogram_count(sum({series})) * {seconds}");
                latency.of_kind(*kind, &classic, self.plus_a_scrape(step), native)
            }
            Self::Probe { success, .. } => format!("sum(count_over_time({}))", success.over(step)),
        }
    }

    /// As [`Self::more_events`], of the failed ones; absent where there are none.
    pub(crate) fn more_errors(&self, step: PromDuration) -> String {
        match self {
            Self::Availability { errors, .. } | Self::Ratio { errors, .. } => self.grown(errors, step),
            Self::Latency {
                histogram,
                kind,
                threshold,
                ..
            } => {
                let latency = Latency::new(histogram, *threshold);
                let reach = self.reach();
                let classic = grown(
                    &latency.failed(&last(reach)),
                    &latency.failed(&last_before(reach, step)),
                    &latency.failed(&first(step)),
                );
                let seconds = step.seconds();
                let native = |series: &str| format!("{} * {seconds}", latency.native_errors(series));
                latency.of_kind(*kind, &classic, self.plus_a_scrape(step), native)
            }
            Self::Probe { success, .. } => {
                let probes = success.over(step);
                format!("sum(count_over_time({probes})) - sum(sum_over_time({probes}))")
            }
        }
    }

    /// A range that holds the last sample before `step`, so that no increment falls between two of them.
    /// Samples of a probe are counted, each in one step.
    pub(crate) fn plus_a_scrape(&self, step: PromDuration) -> PromDuration {
        match self {
            Self::Probe { .. } => step,
            _ => step.plus(self.interval()),
        }
    }

    fn reach(&self) -> PromDuration {
        LOOKBACK.max(self.interval().plus(self.interval()))
    }

    fn grown(&self, counter: &Selector, step: PromDuration) -> String {
        let reach = self.reach();
        grown(
            &last(reach)(counter),
            &last_before(reach, step)(counter),
            &first(step)(counter),
        )
    }
}

/// By how much counters grew: one that was reset since counts from zero, a new one from its first sample.
fn grown(now: &str, before: &str, first: &str) -> String {
    format!("sum({now} - (({before} <= {now}) or {before} * 0 or {first}))")
}

/// The last sample within `reach`, of a series that has ended, too.
fn last(reach: PromDuration) -> impl Fn(&Selector) -> String {
    move |series| format!("last_over_time({})", series.over(reach))
}

fn last_before(reach: PromDuration, step: PromDuration) -> impl Fn(&Selector) -> String {
    move |series| format!("last_over_time({} offset {step})", series.over(reach))
}

/// The first sample of a counter within `step`.
fn first(step: PromDuration) -> impl Fn(&Selector) -> String {
    move |series| format!("min_over_time({})", series.over(step))
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

/// A histogram and its threshold. A replica whose classic histogram lacks the threshold's bucket cannot be
/// judged: it counts neither as failed nor at all.
struct Latency<'a> {
    histogram: &'a Selector,
    count: Selector,
    bucket: Selector,
    threshold: PromDuration,
}

impl<'a> Latency<'a> {
    fn new(histogram: &'a Selector, threshold: PromDuration) -> Self {
        let le = Matcher::matches("le", le_spellings(threshold));
        Self {
            histogram,
            count: suffixed(histogram, "_count"),
            bucket: suffixed(histogram, "_bucket").with([le]),
            threshold,
        }
    }

    /// The classic form, the native one, or the two together, each replica in one of them.
    fn of_kind(
        &self,
        kind: Histogram,
        classic: &str,
        range: PromDuration,
        native: impl Fn(&str) -> String,
    ) -> String {
        let all = format!("rate({})", self.histogram.over(range));
        match kind {
            Histogram::Classic => classic.to_owned(),
            Histogram::Native => native(&all),
            Histogram::Either => {
                let only = format!("{all} unless {}", self.good_rate(range));
                format!(
                    "sum({classic} or label_replace({}, \"native\", \"yes\", \"\", \"\"))",
                    native(&only)
                )
            }
        }
    }

    /// One replica may have two spellings of its bucket in turn.
    fn good_rate(&self, range: PromDuration) -> String {
        format!("sum without (le) (rate({}))", self.bucket.over(range))
    }

    fn classic_events(&self, range: PromDuration) -> String {
        format!(
            "sum(rate({}) and {})",
            self.count.over(range),
            self.good_rate(range)
        )
    }

    fn classic_errors(&self, range: PromDuration) -> String {
        format!(
            "sum(clamp_min(rate({}) - {}, 0))",
            self.count.over(range),
            self.good_rate(range)
        )
    }

    /// Each replica's counter of judged requests, read as `read` does.
    fn counted(&self, read: &impl Fn(&Selector) -> String) -> String {
        format!(
            "({} and max without (le) ({}))",
            read(&self.count),
            read(&self.bucket)
        )
    }

    /// Each replica's counter of requests that took too long.
    fn failed(&self, read: &impl Fn(&Selector) -> String) -> String {
        format!(
            "({} - max without (le) ({}))",
            read(&self.count),
            read(&self.bucket)
        )
    }

    fn native_errors(&self, series: &str) -> String {
        let all = format!("histogram_count(sum({series}))");
        let good = format!(
            "histogram_fraction(-Inf, {}, sum({series}))",
            self.threshold.seconds()
        );
        // The fraction of nothing is NaN, which no comparison lets through; 0 of 0 failed.
        format!("({all} * (1 - {good}) >= 0 or {all} * 0)")
    }
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
