//! Whether a new release fails more than the old one, told at any time.
//!
//! A release is bad by an objective when two things are shown at the same moment: its pods fail more than the old ones
//! in the same minutes (`relative.rs`), and more of their requests fail than the objective allows. Each is shown
//! when its evidence (`evidence.rs`) has grown by the number of objectives over `FALSE_ALARMS`. So whichever of
//! the two is not so, and however often it is asked, a good release is told bad with a chance of at most that, over all
//! its objectives together.
//!
//! The strongest evidence so far counts, not the evidence now: the same chance bounds both, and an answer that stays
//! does not depend on when it was asked.

use crate::evidence::Evidence;
use crate::relative::{Against, Relative};

/// The chance that a good release is told bad.
pub const FALSE_ALARMS: f64 = 0.001;
/// More spans than these are added together, so that a release that is watched for days takes no longer to judge.
const MOST_SPANS: usize = 1000;
/// No counter gets this far.
const MOST_EVENTS: f64 = 1e15;
/// A smaller budget is taken as this.
const LEAST_BUDGET: f64 = 1e-9;

/// Events of one objective within some span, and how many of them failed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counts {
    pub events: f64,
    pub failures: f64,
}

/// What the pods of the new and of the old release counted in the same span.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Interval {
    pub new: Counts,
    pub old: Counts,
}

/// One objective's counts since the new release began to serve, oldest first. The spans are as long as that between two
/// scrapes or longer, and only those that are over; one that is given again must have the same counts.
#[derive(Clone, Debug, PartialEq)]
pub struct SloCounts {
    pub name: String,
    /// The share of events that may fail: 0.001 of an objective of 99.9 %.
    pub budget: f64,
    pub intervals: Vec<Interval>,
}

/// What the counts say of a release.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Comparison {
    pub slos: Vec<SloComparison>,
}

/// What they say of it by one objective.
#[derive(Clone, Debug, PartialEq)]
pub struct SloComparison {
    pub name: String,
    pub budget: f64,
    pub new: Counts,
    pub old: Counts,
    /// How far it is shown that the new pods fail more than the old ones; 1 is enough.
    pub relative: f64,
    /// How far it is shown that the new pods fail more than the objective allows; 1 is enough.
    pub absolute: f64,
    /// The most that both were at the same moment.
    pub evidence: f64,
}

/// Compares a release with the one before. All objectives that are judged must be given, those without counts too.
pub fn compare(slos: &[SloCounts]) -> Comparison {
    let needed = (slos.len() as f64 / FALSE_ALARMS).ln();
    Comparison {
        slos: slos.iter().map(|slo| SloComparison::of(slo, needed)).collect(),
    }
}

impl Comparison {
    /// The objective by which the release is bad; of several the one with the strongest evidence.
    pub fn bad(&self) -> Option<&SloComparison> {
        self.worst().filter(|slo| slo.is_bad())
    }

    /// The objective that looks worst, of those with requests to the new pods.
    pub fn worst(&self) -> Option<&SloComparison> {
        let seen = self.slos.iter().filter(|slo| slo.new.events > 0.0);
        seen.max_by(|a, b| {
            let by_evidence = a.evidence.total_cmp(&b.evidence);
            by_evidence.then_with(|| a.burn_rate().total_cmp(&b.burn_rate()))
        })
    }

    /// How many requests the new pods have served, by the objective that counts most of them.
    pub fn requests_seen(&self) -> f64 {
        self.slos.iter().map(|slo| slo.new.events).fold(0.0, f64::max)
    }
}

impl SloComparison {
    fn of(slo: &SloCounts, needed: f64) -> Self {
        let budget = slo.budget.clamp(LEAST_BUDGET, 1.0);
        let mut sum = Interval::default();
        let mut allowed = Evidence::none();
        let mut older = [Against::Earlier, Against::Same, Against::Later].map(Relative::new);
        let [mut relative, mut absolute, mut evidence] = [0.0_f64; 3];
        for span in spans(&slo.intervals) {
            sum = sum.plus(span);
            allowed.add(span.new.failures, span.new.events, budget);
            absolute = (allowed.log() / needed).max(0.0);
            // Pods are scraped one after the other, so the same incident may be counted a span later in one of them.
            let least = older
                .iter_mut()
                .map(|older| older.add(span))
                .fold(f64::INFINITY, f64::min);
            relative = (least / needed).max(0.0);
            evidence = evidence.max(relative.min(absolute));
        }
        Self {
            name: slo.name.clone(),
            budget: slo.budget,
            new: sum.new,
            old: sum.old,
            relative,
            absolute,
            evidence,
        }
    }

    pub fn is_bad(&self) -> bool {
        self.evidence >= 1.0
    }

    fn burn_rate(&self) -> f64 {
        self.new.failures / self.new.events / self.budget.clamp(LEAST_BUDGET, 1.0)
    }
}

/// The intervals without impossible numbers, some added together where they are many.
fn spans(intervals: &[Interval]) -> impl Iterator<Item = Interval> {
    let together = intervals.len().div_ceil(MOST_SPANS).max(1);
    intervals.chunks(together).map(|chunk| {
        let possible = chunk.iter().filter_map(|interval| interval.possible());
        possible.fold(Interval::default(), Interval::plus)
    })
}

impl Interval {
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            new: self.new.plus(other.new),
            old: self.old.plus(other.old),
        }
    }

    /// Nothing where one side is unknown: without the failures of the old pods those of the new ones would be evidence.
    fn possible(self) -> Option<Self> {
        Some(Self {
            new: self.new.possible()?,
            old: self.old.possible()?,
        })
    }
}

impl Counts {
    fn plus(self, other: Self) -> Self {
        Self {
            events: self.events + other.events,
            failures: self.failures + other.failures,
        }
    }

    /// Counters are not read at one moment, so there may be some failures more than events.
    fn possible(self) -> Option<Self> {
        let is_possible = |count: f64| (0.0..=MOST_EVENTS).contains(&count);
        (is_possible(self.events) && is_possible(self.failures)).then(|| Self {
            failures: self.failures.min(self.events),
            ..self
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adds_spans_together_where_they_are_many() {
        let interval = Interval {
            new: Counts {
                events: 2.0,
                failures: 1.0,
            },
            ..Interval::default()
        };
        for (given, looked_at) in [(0, 0), (1, 1), (MOST_SPANS, MOST_SPANS), (20_001, 953)] {
            let spans: Vec<Interval> = spans(&vec![interval; given]).collect();
            assert_eq!(spans.len(), looked_at);
            let sum = spans.into_iter().fold(Interval::default(), Interval::plus);
            assert!((sum.new.events - 2.0 * given as f64).abs() < 0.5);
        }
    }
}
