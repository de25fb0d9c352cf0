//! An SLO replayed over history: when it would have alerted, for how long, and what each incident cost.

use serde::Serialize;

use crate::duration::PromDuration;
use crate::slo::Slo;
use crate::window::{BurnPair, Speed};

/// What happened in the step that ends at `at`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// Seconds since 1970.
    pub at: i64,
    pub errors: f64,
    pub events: f64,
}

/// Two expressions: failed and all events of one step, for a range query with that step.
pub fn queries(slo: &Slo, step: PromDuration) -> (String, String) {
    let events = slo.indicator.growth_of_events(step);
    let errors = slo.indicator.growth_of_errors(step);
    (format!("{errors} or ({events}) * 0"), events)
}

/// One alert that would have fired.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Incident {
    pub speed: Speed,
    /// When the errors began that led to it.
    pub began: i64,
    /// When it would have fired.
    pub fired: i64,
    /// When it would have resolved; none if it fires at the end of the history.
    pub resolved: Option<i64>,
    pub failed: f64,
    /// The share of the whole window's budget that it cost.
    pub budget_spent: f64,
    /// The highest burn rate over the pair's short window.
    pub peak_burn: f64,
}

/// What an SLO's history says.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Backtest {
    pub incidents: Vec<Incident>,
    pub events: f64,
    pub failed: f64,
    /// The share of failed events; none without traffic.
    pub error_ratio: Option<f64>,
    /// How much of the window the history covers, at most 1.
    pub coverage: f64,
    pub budget_remaining: Option<f64>,
    /// The budget left at each step, for a plot.
    #[serde(skip)]
    pub budget: Vec<(i64, f64)>,
}

/// Replays `samples`, one for each step and in their order; a step without a sample had no traffic.
pub fn replay(slo: &Slo, samples: &[Sample], step: PromDuration) -> Backtest {
    let history = History::new(samples, step);
    let mut incidents: Vec<Incident> = [Speed::Fast, Speed::Slow]
        .into_iter()
        .filter(|speed| match speed {
            Speed::Fast => slo.alerting.page.is_some(),
            Speed::Slow => slo.alerting.ticket.is_some(),
        })
        .flat_map(|speed| history.incidents(slo, speed))
        .collect();
    incidents.sort_by_key(|incident| incident.fired);
    let last = history.len();
    let window = history.steps(slo.window.length());
    let budget: Vec<(i64, f64)> = (1..=last)
        .filter_map(|end| Some((history.at(end), history.budget_remaining(slo, end, window)?)))
        .collect();
    let (failed, events) = history.between(last.saturating_sub(window), last);
    Backtest {
        incidents,
        events,
        failed,
        error_ratio: (events > 0.0).then(|| failed / events),
        coverage: (last.min(window) as f64 / window as f64).min(1.0),
        budget_remaining: history.budget_remaining(slo, last, window),
        budget,
    }
}

/// Running sums on an even grid.
struct History {
    start: i64,
    step_seconds: i64,
    failed: Vec<f64>,
    events: Vec<f64>,
}

impl History {
    fn new(samples: &[Sample], step: PromDuration) -> Self {
        let step_seconds = i64::try_from(step.millis() / 1000).unwrap_or(i64::MAX).max(1);
        let mut history = Self {
            start: samples.first().map_or(0, |sample| sample.at - step_seconds),
            step_seconds,
            failed: vec![0.0],
            events: vec![0.0],
        };
        for sample in samples {
            let index = usize::try_from((sample.at - history.start) / step_seconds).unwrap_or(0);
            // Out of order, or beyond any history that somebody keeps.
            if index < history.failed.len() || index > history.failed.len() + 10_000_000 {
                continue;
            }
            let (failed, events) = (history.failed[history.len()], history.events[history.len()]);
            history.failed.resize(index, failed);
            history.events.resize(index, events);
            let finite = |value: f64| if value.is_finite() { value.max(0.0) } else { 0.0 };
            history.failed.push(failed + finite(sample.errors));
            history.events.push(events + finite(sample.events));
        }
        history
    }

    /// The number of steps; sums are known for 0 to this.
    fn len(&self) -> usize {
        self.failed.len() - 1
    }

    fn at(&self, end: usize) -> i64 {
        self.start + self.step_seconds * i64::try_from(end).unwrap_or(0)
    }

    fn steps(&self, span: PromDuration) -> usize {
        let seconds = i64::try_from(span.millis() / 1000).unwrap_or(i64::MAX);
        usize::try_from(seconds / self.step_seconds)
            .unwrap_or(usize::MAX)
            .max(1)
    }

    fn between(&self, begin: usize, end: usize) -> (f64, f64) {
        (
            self.failed[end] - self.failed[begin],
            self.events[end] - self.events[begin],
        )
    }

    /// Failed events and their share in the window that ends there.
    fn window(&self, end: usize, steps: usize) -> (f64, f64) {
        let (failed, events) = self.between(end.saturating_sub(steps), end);
        (failed, if events > 0.0 { failed / events } else { 0.0 })
    }

    fn budget_remaining(&self, slo: &Slo, end: usize, window: usize) -> Option<f64> {
        let (failed, events) = self.between(end.saturating_sub(window), end);
        let coverage = (end.min(window)) as f64 / window as f64;
        (events > 0.0).then(|| 1.0 - failed / events * coverage / slo.objective.budget().as_f64())
    }

    fn trips(&self, pair: &BurnPair, end: usize, min_failures: u32) -> bool {
        let threshold = pair.threshold.as_f64();
        let (failed, long) = self.window(end, self.steps(pair.long));
        let (_, short) = self.window(end, self.steps(pair.short));
        long > threshold && short > threshold && failed > f64::from(min_failures) - 0.5
    }

    fn incidents(&self, slo: &Slo, speed: Speed) -> Vec<Incident> {
        let pairs: Vec<BurnPair> = slo
            .burn_pairs()
            .into_iter()
            .filter(|pair| pair.speed == speed)
            .collect();
        let mut incidents = Vec::new();
        let mut firing: Option<(usize, f64)> = None;
        for end in 1..=self.len() {
            let tripped = pairs
                .iter()
                .find(|pair| self.trips(pair, end, slo.alerting.min_failures));
            firing = match (firing, tripped) {
                (None, None) => None,
                (Some((fired, peak)), None) => {
                    incidents.push(self.incident(slo, &pairs, (fired, peak), Some(end)));
                    None
                }
                (firing, Some(pair)) => {
                    let (_, ratio) = self.window(end, self.steps(pair.short));
                    let burn = ratio / slo.objective.budget().as_f64();
                    let (fired, peak) = firing.unwrap_or((end, burn));
                    Some((fired, peak.max(burn)))
                }
            };
        }
        incidents.extend(firing.map(|firing| self.incident(slo, &pairs, firing, None)));
        incidents
    }

    fn incident(
        &self,
        slo: &Slo,
        pairs: &[BurnPair],
        (fired, peak_burn): (usize, f64),
        resolved: Option<usize>,
    ) -> Incident {
        // Back to where errors were last within what the objective allows, for a short window's length.
        let budget = slo.objective.budget().as_f64();
        let longest = pairs.iter().map(|pair| self.steps(pair.long)).max().unwrap_or(1);
        let quiet = pairs.iter().map(|pair| self.steps(pair.short)).min().unwrap_or(1);
        let earliest = fired.saturating_sub(longest);
        let mut began = fired;
        while began > earliest && self.window(began, quiet).1 > budget {
            began -= 1;
        }
        let end = resolved.unwrap_or(self.len());
        let (failed, _) = self.between(began.saturating_sub(quiet), end);
        // What the whole window would have seen at the average rate of its known part. While less than a
        // window is known, all incidents share the one that the history ends with.
        let window = self.steps(slo.window.length());
        let judged = end.max(self.len().min(window));
        let (_, events) = self.between(judged.saturating_sub(window), judged);
        let whole = events * window as f64 / judged.min(window).max(1) as f64;
        Incident {
            speed: pairs[0].speed,
            began: self.at(began),
            fired: self.at(fired),
            resolved: resolved.map(|end| self.at(end)),
            failed,
            budget_spent: if whole > 0.0 {
                failed / (whole * budget)
            } else {
                0.0
            },
            peak_burn,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{App, Links, Probe, parse_slos, spec};

    const STEP: PromDuration = PromDuration::from_minutes(1);
    const HOUR: usize = 60;

    fn slo(objective: &str) -> Slo {
        let app = App {
            namespace: "shop".to_owned(),
            name: "tasks".to_owned(),
            metrics: None,
            probe: Some(Probe {
                interval: PromDuration::from_secs(15),
            }),
            links: Links::default(),
        };
        let spec = spec::Slo {
            name: "a".to_owned(),
            description: String::new(),
            objective: objective.to_owned(),
            window: None,
            indicator: spec::Indicator::Probe {},
            alerting: spec::Alerting::default(),
        };
        parse_slos(&[spec], &app).0.remove(0)
    }

    fn samples(minutes: usize, errors: impl Fn(usize) -> f64) -> Vec<Sample> {
        (0..minutes)
            .zip(1..)
            .map(|(k, minute): (usize, i64)| Sample {
                at: 60 * minute,
                errors: errors(k),
                events: 100.0,
            })
            .collect()
    }

    #[test]
    fn a_total_outage_pages_after_a_minute_and_costs_what_it_cost() {
        let down = 48 * HOUR..48 * HOUR + 20;
        let history = samples(30 * 24 * HOUR, |k| if down.contains(&k) { 100.0 } else { 0.0 });
        let replayed = replay(&slo("99.9"), &history, STEP);
        let page = replayed
            .incidents
            .iter()
            .find(|incident| incident.speed == Speed::Fast)
            .expect("a page");
        assert_eq!(page.fired, 48 * 3600 + 60);
        assert!((page.failed - 2000.0).abs() < 1e-6, "{}", page.failed);
        // 20 of 43.2 minutes.
        assert!(
            (page.budget_spent - 20.0 / 43.2).abs() < 1e-6,
            "{}",
            page.budget_spent
        );
        let left = replayed.budget_remaining.expect("traffic");
        assert!((left - (1.0 - 20.0 / 43.2)).abs() < 1e-9, "{left}");
        assert!(page.resolved.is_some());
    }

    #[test]
    fn the_cost_is_counted_against_the_whole_window() {
        // The same incident at the end of a full window: 20 of 43.2 minutes.
        let minutes = 30 * 24 * HOUR;
        let down = minutes - 3 * HOUR..minutes - 3 * HOUR + 20;
        let history = samples(minutes, |k| if down.contains(&k) { 100.0 } else { 0.0 });
        let page = replay(&slo("99.9"), &history, STEP).incidents.remove(0);
        assert!(
            (page.budget_spent - 20.0 / 43.2).abs() < 1e-6,
            "{}",
            page.budget_spent
        );
    }

    #[test]
    fn an_incident_costs_no_more_than_its_window_has_spent() {
        // Half an hour at a quiet night's traffic, before a day that is a hundred times busier.
        let night = 6 * HOUR;
        let down = 2 * HOUR..2 * HOUR + 30;
        let history: Vec<Sample> = samples(24 * HOUR, |_| 0.0)
            .into_iter()
            .enumerate()
            .map(|(k, sample)| {
                let events = if k < night { 100.0 } else { 10_000.0 };
                let errors = if down.contains(&k) { events } else { 0.0 };
                Sample {
                    errors,
                    events,
                    ..sample
                }
            })
            .collect();
        let replayed = replay(&slo("99.9"), &history, STEP);
        let page = &replayed.incidents[0];
        let spent = 1.0 - replayed.budget_remaining.expect("traffic");
        assert!((page.failed - 3000.0).abs() < 1e-6, "{}", page.failed);
        assert!(
            (page.budget_spent - spent).abs() < 1e-9,
            "{} of {spent}",
            page.budget_spent
        );
    }

    #[test]
    fn a_clean_history_says_so_and_none_says_nothing() {
        let replayed = replay(&slo("99.9"), &samples(HOUR, |_| 0.0), STEP);
        assert!(replayed.incidents.is_empty());
        assert_eq!(replayed.budget_remaining, Some(1.0));
        let none = replay(&slo("99.9"), &[], STEP);
        assert_eq!((none.error_ratio, none.budget_remaining), (None, None));
    }

    #[test]
    fn samples_that_make_no_sense_are_answered() {
        let odd = [
            Sample {
                at: 60,
                errors: f64::NAN,
                events: 1.0,
            },
            Sample {
                at: 30,
                errors: 1.0,
                events: 1.0,
            },
            Sample {
                at: 600,
                errors: -5.0,
                events: f64::INFINITY,
            },
            Sample {
                at: i64::MAX,
                errors: 1.0,
                events: 1.0,
            },
        ];
        let replayed = replay(&slo("99.9"), &odd, STEP);
        assert!(replayed.failed < 1e-9, "{}", replayed.failed);
    }
}
