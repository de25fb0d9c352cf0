//! Traffic as lists of what happened between two scrapes: the truth that rules are compared with.

use std::ops::Range;

use super::promtool::Series;

/// Seconds between two scrapes.
pub(crate) const SCRAPE: u64 = 15;
const SLOT: u64 = 300;
/// Seconds between two evaluations of the fast group.
pub(crate) const FAST: u64 = 30;

/// Events between two scrapes; the one of index `k` is seen at `k * SCRAPE` seconds.
#[derive(Clone, Copy, Default, Debug)]
struct Step {
    failed: f64,
    good: f64,
}

/// What a service did, scrape by scrape.
#[derive(Clone, Debug)]
pub(crate) struct Traffic {
    steps: Vec<Step>,
    /// Scrapes that never happened, in seconds.
    unseen: Vec<Range<u64>>,
}

impl Traffic {
    /// Nothing at all, for so many seconds.
    pub(crate) fn idle(seconds: u64) -> Self {
        Self {
            steps: vec![Step::default(); (seconds / SCRAPE) as usize + 1],
            unseen: Vec::new(),
        }
    }

    /// From then to then, each scrape sees so many failed and good events.
    pub(crate) fn during(mut self, seconds: Range<u64>, failed: f64, good: f64) -> Self {
        for (k, step) in self.steps.iter_mut().enumerate().skip(1) {
            // What is seen at the end of the range happened within it.
            let seen = k as u64 * SCRAPE;
            if seen > seconds.start && seen <= seconds.end {
                *step = Step { failed, good };
            }
        }
        self
    }

    /// No scrape from then to then: Prometheus is down while the service goes on.
    pub(crate) fn unseen(mut self, seconds: Range<u64>) -> Self {
        self.unseen.push(seconds);
        self
    }

    fn is_seen(&self, second: u64) -> bool {
        !self.unseen.iter().any(|range| range.contains(&second))
    }

    pub(crate) fn seconds(&self) -> u64 {
        (self.steps.len() as u64 - 1) * SCRAPE
    }

    /// Failed and all events between two moments.
    pub(crate) fn truth(&self, seconds: Range<u64>) -> (f64, f64) {
        let within = |k: usize| (k as u64 * SCRAPE) > seconds.start && (k as u64 * SCRAPE) <= seconds.end;
        self.steps
            .iter()
            .enumerate()
            .filter(|(k, _)| within(*k))
            .fold((0.0, 0.0), |(failed, all), (_, step)| {
                (failed + step.failed, all + step.failed + step.good)
            })
    }

    /// The share that failed in the window before a moment.
    pub(crate) fn ratio(&self, at: u64, window: u64) -> f64 {
        let (failed, all) = self.truth(at.saturating_sub(window)..at);
        failed / all
    }

    /// The share that failed in the window of an alert as it is recorded: up to six hours from the running
    /// totals, which have a sample every [`FAST`] seconds, beyond from whole slots and the open one.
    pub(crate) fn recorded_ratio(&self, at: u64, window: u64) -> f64 {
        if window <= 6 * 3600 {
            return self.ratio(at, window - FAST);
        }
        let open = at % SLOT;
        let slots = (window - SLOT - open).div_ceil(SLOT);
        self.ratio(at, slots * SLOT + open)
    }

    /// Two counters of one replica, both exposed at zero from the start.
    pub(crate) fn counters(&self) -> Vec<Series> {
        vec![
            self.counter("500", "", |step| step.failed),
            self.counter("200", "", |step| step.good),
        ]
    }

    /// As [`Self::counters`], where the counter of failures appears with the first failure: whatever it
    /// then shows, is no growth.
    pub(crate) fn counters_without_failures_before_the_first(&self) -> Vec<Series> {
        let mut failures = self.counter("500", "", |step| step.failed);
        for sample in &mut failures.samples {
            if *sample == Some(0.0) {
                *sample = None;
            }
        }
        vec![failures, self.counter("200", "", |step| step.good)]
    }

    /// Two counters of one of several replicas, which lives from then to then and starts at zero.
    pub(crate) fn replica(&self, name: &str, life: Range<u64>, share: f64) -> Vec<Series> {
        let extra = format!(r#",instance="{name}""#);
        let mut series = vec![
            self.counter("500", &extra, |step| step.failed * share),
            self.counter("200", &extra, |step| step.good * share),
        ];
        for series in &mut series {
            let before = series
                .samples
                .get((life.start / SCRAPE) as usize)
                .copied()
                .flatten()
                .unwrap_or(0.0);
            for (k, sample) in series.samples.iter_mut().enumerate() {
                let seen = k as u64 * SCRAPE;
                let alive = seen >= life.start && seen <= life.end;
                *sample = sample.filter(|_| alive).map(|value| value - before);
            }
        }
        series
    }

    fn counter(&self, code: &str, extra: &str, of: impl Fn(&Step) -> f64) -> Series {
        let mut sum = 0.0;
        let samples = self.steps.iter().enumerate().map(|(k, step)| {
            sum += of(step);
            self.is_seen(k as u64 * SCRAPE).then_some(sum)
        });
        Series {
            name: format!(r#"http_requests_total{{namespace="shop",job="tasks",code="{code}"{extra}}}"#),
            samples: samples.collect(),
        }
    }

    /// The running totals and the slots as their rules record them, for tests that evaluate other rules more
    /// rarely than every [`FAST`] seconds: promtool knows one interval for all groups.
    pub(crate) fn totals_and_slots(&self) -> Vec<Series> {
        let series = |name: &str, of: &dyn Fn(u64) -> f64, every: u64| {
            let samples = (0..self.steps.len() as u64).map(|k| {
                let at = k * SCRAPE;
                (at.is_multiple_of(every) && self.is_seen(at)).then(|| of(at))
            });
            Series {
                name: super::record(name),
                samples: samples.collect(),
            }
        };
        let mut so_far = vec![(0.0, 0.0); self.steps.len()];
        for (k, step) in self.steps.iter().enumerate().skip(1) {
            let (failed, all) = so_far[k - 1];
            so_far[k] = (failed + step.failed, all + step.failed + step.good);
        }
        let at = |second: u64| so_far[(second / SCRAPE) as usize];
        let slot = |second: u64| {
            let (before, now) = (at(second.saturating_sub(SLOT)), at(second));
            (now.0 - before.0, now.1 - before.1)
        };
        vec![
            series("slo:errors:total", &|second| at(second).0, FAST),
            series("slo:events:total", &|second| at(second).1, FAST),
            series("slo:errors:closed", &|second| at(second).0, SLOT),
            series("slo:events:closed", &|second| at(second).1, SLOT),
            series("slo:errors:slot5m", &|second| slot(second).0, SLOT),
            series("slo:events:slot5m", &|second| slot(second).1, SLOT),
        ]
    }

    /// As [`Self::truth`], without what happened while nothing was scraped.
    pub(crate) fn seen_truth(&self, seconds: Range<u64>) -> (f64, f64) {
        let mut seen = self.clone();
        for (k, step) in seen.steps.iter_mut().enumerate() {
            let at = k as u64 * SCRAPE;
            if !self.is_seen(at) || !self.is_seen(at.saturating_sub(SCRAPE)) {
                *step = Step::default();
            }
        }
        seen.truth(seconds)
    }
}
