//! Indicators as PromQL: failed and all events a second, and by how much they grew.

use crate::app::Histogram;
use crate::duration::PromDuration;
use crate::promql::{Matcher, Selector};
use crate::slo::Indicator;

/// How old a counter's last sample may be: as old as Prometheus shows one.
const LOOKBACK: PromDuration = PromDuration::from_minutes(5);

impl Indicator {
    /// All events a second over `range`; absent where nothing is scraped, 0 without traffic. Where it is not
    /// known of any whether it failed these are all there are, and [`Self::growth_of_errors`] is absent.
    pub(crate) fn events_rate(&self, range: PromDuration) -> String {
        let judged = format!("{} / {}", self.growth_of_events(range), range.seconds());
        match self {
            Self::Latency {
                histogram,
                kind: Histogram::Classic | Histogram::Either,
                ..
            } => format!(
                "{judged} or sum(rate({}))",
                suffixed(histogram, "_count").over(range)
            ),
            _ => judged,
        }
    }

    /// By how much the judged events grew within the last `step`: differences of samples, so that nothing
    /// is lost between two steps whatever scrape was missed.
    pub(crate) fn growth_of_events(&self, step: PromDuration) -> String {
        match self {
            Self::Availability { total, .. } | Self::Ratio { total, .. } => self.counter_growth(total, step),
            Self::Latency {
                histogram,
                kind,
                threshold,
                ..
            } => {
                let latency = Latency::new(histogram, *threshold);
                let lookback = self.lookback();
                let range = self.plus_a_scrape(step);
                let classic = growth(
                    &latency.counted(&last(lookback)),
                    &latency.counted(&last_before(lookback, step)),
                    &latency.counted(&first(step)),
                );
                let native = |series: &str| format!("histogram_count(sum({series})) * {}", step.seconds());
                latency.of_kind(*kind, &classic, range, native)
            }
            Self::Probe { success, .. } => format!("sum(count_over_time({}))", success.over(step)),
        }
    }

    /// As [`Self::growth_of_events`], of the failed ones; absent where there are none.
    pub(crate) fn growth_of_errors(&self, step: PromDuration) -> String {
        match self {
            Self::Availability { errors, .. } | Self::Ratio { errors, .. } => {
                self.counter_growth(errors, step)
            }
            Self::Latency {
                histogram,
                kind,
                threshold,
                ..
            } => {
                let latency = Latency::new(histogram, *threshold);
                let lookback = self.lookback();
                let range = self.plus_a_scrape(step);
                let classic = growth(
                    &latency.failed(&last(lookback)),
                    &latency.failed(&last_before(lookback, step)),
                    &latency.failed(&first(step)),
                );
                let native = |series: &str| format!("{} * {}", latency.native_errors(series), step.seconds());
                latency.of_kind(*kind, &classic, range, native)
            }
            Self::Probe { success, .. } => {
                let probes = success.over(step);
                format!("(sum(count_over_time({probes})) - sum(sum_over_time({probes})))")
            }
        }
    }

    /// A range that holds the last sample before `step`, so that no increment falls between two of them.
    /// Samples of a probe are counted, each in one step.
    fn plus_a_scrape(&self, step: PromDuration) -> PromDuration {
        match self {
            Self::Probe { .. } => step,
            _ => step.plus(self.interval()),
        }
    }

    fn lookback(&self) -> PromDuration {
        LOOKBACK.max(self.interval().plus(self.interval()))
    }

    fn counter_growth(&self, counter: &Selector, step: PromDuration) -> String {
        let lookback = self.lookback();
        growth(
            &last(lookback)(counter),
            &last_before(lookback, step)(counter),
            &first(step)(counter),
        )
    }
}

/// By how much counters grew: one that was reset since counts from zero, a new one from its first sample.
fn growth(now: &str, before: &str, first: &str) -> String {
    format!("sum({now} - (({before} <= {now}) or {before} * 0 or {first}))")
}

/// The last sample within `lookback`, of a series that has ended, too.
fn last(lookback: PromDuration) -> impl Fn(&Selector) -> String {
    move |series| format!("last_over_time({})", series.over(lookback))
}

fn last_before(lookback: PromDuration, step: PromDuration) -> impl Fn(&Selector) -> String {
    move |series| format!("last_over_time({} offset {step})", series.over(lookback))
}

/// The first sample of a counter within `step`.
fn first(step: PromDuration) -> impl Fn(&Selector) -> String {
    move |series| format!("min_over_time({})", series.over(step))
}

fn suffixed(histogram: &Selector, suffix: &str) -> Selector {
    Selector::new(
        histogram.name().with_suffix(suffix),
        histogram.matchers().to_vec(),
    )
}

/// A histogram and its threshold. A replica whose classic histogram lacks the threshold's bucket cannot be
/// judged: it counts neither as failed nor at all.
pub(crate) struct Latency<'a> {
    histogram: &'a Selector,
    count: Selector,
    bucket: Selector,
    threshold: PromDuration,
}

impl<'a> Latency<'a> {
    pub(crate) fn new(histogram: &'a Selector, threshold: PromDuration) -> Self {
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

    /// Each replica's counter of judged requests, read as `read` does.
    pub(crate) fn counted(&self, read: &impl Fn(&Selector) -> String) -> String {
        format!(
            "({} and max without (le) ({}))",
            read(&self.count),
            read(&self.bucket)
        )
    }

    /// Each replica's counter of requests that took too long.
    pub(crate) fn failed(&self, read: &impl Fn(&Selector) -> String) -> String {
        format!(
            "({} - max without (le) ({}))",
            read(&self.count),
            read(&self.bucket)
        )
    }

    fn native_errors(&self, series: &str) -> String {
        self.native_errors_of(&format!("sum({series})"))
    }

    pub(crate) fn native_errors_of(&self, sum: &str) -> String {
        let all = format!("histogram_count({sum})");
        let good = format!("histogram_fraction(-Inf, {}, {sum})", self.threshold.seconds());
        // The fraction of nothing is NaN, which no comparison lets through; 0 of 0 failed.
        format!("({all} * (1 - {good}) >= 0 or {all} * 0)")
    }
}

/// `le` as clients and Prometheus write it: `0.3`, and `1` before Prometheus 3 where it is `1.0` since.
/// An alternation of plain texts, which Prometheus finds without running a regex.
fn le_spellings(threshold: PromDuration) -> String {
    let seconds = threshold.seconds();
    if seconds.contains('.') {
        let escaped = seconds.replace('.', "\\.");
        format!("{escaped}|{escaped}0")
    } else {
        format!("{seconds}|{seconds}\\.0")
    }
}
