//! Whether the new pods fail more than the old ones in the same minutes.
//!
//! What is doubted: which pod a request goes to has no bearing on whether it fails. Then of the failures within a span
//! as many are expected on the new pods as they have of the requests, whatever made the requests fail; how likely a
//! failure is may change from span to span, so an incident that hits all pods is no evidence. Where connections stay with
//! a pod this is not quite so: one client whose requests all fail looks like a fault of the pod that it is connected to.
//!
//! How many of the failures are on the new pods is then drawn without replacement (hypergeometric), for which the
//! expected ratio has no simple form. It is at most the one of a draw with replacement (Hoeffding, "Probability
//! inequalities for sums of bounded random variables", 1963, theorem 4), of which there are two: each failure is on a
//! new pod, or each request to a new pod fails. The one with fewer trials is the closer one. A test of this kind with
//! an exact ratio needs the old share beforehand: Turner, Ly, Grünwald, "Generic E-variables for exact sequential
//! k-sample tests that allow for optional stopping" (2021).

use crate::comparison::{Counts, Interval};
use crate::evidence::Evidence;

/// With fewer requests to one of the sides their shares of the requests say little, so spans are joined.
const LEAST_EVENTS: f64 = 5.0;
/// No more than these are joined: what happens in the meantime must hit both sides.
const MOST_SPANS: u32 = 20;

/// Which of the old pods' spans is held against one of the new pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Against {
    Earlier,
    Same,
    Later,
}

/// The evidence so far, with spans as they come.
#[derive(Clone, Debug)]
pub struct Relative {
    against: Against,
    before: Option<Interval>,
    /// Spans that wait for more requests.
    open: Interval,
    joined: u32,
    evidence: Evidence,
    log: f64,
}

impl Relative {
    pub fn new(against: Against) -> Self {
        Self {
            against,
            before: None,
            open: Interval::default(),
            joined: 0,
            evidence: Evidence::none(),
            log: 0.0,
        }
    }

    /// Adds the next span, and returns the logarithm of the evidence.
    pub fn add(&mut self, span: Interval) -> f64 {
        let before = self.before.replace(span);
        let pair = match self.against {
            Against::Same => Some([span.new, span.old]),
            Against::Earlier => before.map(|before| [span.new, before.old]),
            Against::Later => before.map(|before| [before.new, span.old]),
        };
        if let Some([new, old]) = pair {
            self.open = self.open.plus(Interval { new, old });
            self.joined += 1;
            let least = self.open.new.events.min(self.open.old.events);
            if least >= LEAST_EVENTS || self.joined == MOST_SPANS {
                self.close();
            }
        }
        self.log
    }

    fn close(&mut self) {
        let Interval { new, old } = std::mem::take(&mut self.open);
        self.joined = 0;
        let failures = new.failures + old.failures;
        if failures > 0.0 {
            self.weigh(new, old);
        }
    }

    fn weigh(&mut self, new: Counts, old: Counts) {
        let failures = new.failures + old.failures;
        let trials = failures.min(new.events);
        let share = failures.max(new.events) / (new.events + old.events);
        self.evidence.add(new.failures, trials, share);
        self.log = self.evidence.log();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(events: u32, failures: u32) -> Counts {
        Counts {
            events: f64::from(events),
            failures: f64::from(failures),
        }
    }

    fn choose(of: u32, n: u32) -> f64 {
        (0..n).map(|i| f64::from(of - i) / f64::from(i + 1)).product()
    }

    /// Over all ways in which the failures may fall on the requests.
    fn expected_gain(new: u32, old: u32, failures: u32) -> f64 {
        let possible = failures.saturating_sub(old)..=failures.min(new);
        let gains = possible.map(|hit| {
            let chance = choose(new, hit) * choose(old, failures - hit) / choose(new + old, failures);
            let mut relative = Relative::new(Against::Same);
            relative.weigh(counts(new, hit), counts(old, failures - hit));
            chance * relative.log.exp()
        });
        gains.sum()
    }

    #[test]
    fn expects_no_gain_where_all_pods_fail_alike() {
        for new in 1..=12 {
            for old in 0..=12 {
                for failures in 1..=new + old {
                    let gain = expected_gain(new, old, failures);
                    assert!(
                        gain <= 1.0 + 1e-9,
                        "{gain}: {new} new, {old} old, {failures} failures"
                    );
                }
            }
        }
    }

    #[test]
    fn joins_spans_until_both_sides_have_some_requests() {
        let mut relative = Relative::new(Against::Same);
        let span = Interval {
            new: counts(1, 1),
            old: counts(2, 0),
        };
        for _ in 0..4 {
            assert!(relative.add(span) == 0.0);
        }
        assert!(relative.add(span) > 0.0);
    }

    #[test]
    fn joins_no_more_than_some_spans() {
        let mut relative = Relative::new(Against::Same);
        let span = Interval {
            new: counts(100, 10),
            old: Counts {
                events: 0.2,
                failures: 0.0,
            },
        };
        for _ in 1..MOST_SPANS {
            assert!(relative.add(span) == 0.0);
        }
        assert!(relative.add(span) > 0.0);
    }
}
