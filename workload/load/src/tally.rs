//! What happened: all requests, by operation and by second.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    List,
    Add,
    Update,
    Delete,
}

pub const OPERATIONS: [&str; 4] = [
    "GET /tasks",
    "POST /tasks",
    "PUT /tasks/{id}",
    "DELETE /tasks/{id}",
];
/// More different failures than this are counted together.
const MOST_FAILURES: usize = 50;
/// The longest time that is recorded, and the significant digits of each.
const LONGEST: Duration = Duration::from_hours(24);
const DIGITS: u8 = 3;

#[derive(Debug, Default)]
pub struct Tally {
    pub operations: [Counts; OPERATIONS.len()],
    pub failures: BTreeMap<String, u64>,
    pub seconds: Vec<Second>,
    users: u64,
    second: Counts,
}

/// Requests and how long they took.
#[derive(Debug, Clone)]
pub struct Counts {
    pub failed: u64,
    micros: Histogram<u64>,
}

/// One second of the run.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Second {
    pub users: u64,
    pub requests: u64,
    pub failed: u64,
    pub p50_ms: f64,
    pub p99_ms: f64,
}

impl Tally {
    pub fn user_came(&mut self) {
        self.users += 1;
    }

    pub fn record(&mut self, operation: Operation, time: Duration, failure: Option<&str>) {
        for counts in [&mut self.operations[operation as usize], &mut self.second] {
            counts.record(time, failure.is_some());
        }
        if let Some(failure) = failure {
            let known = self.failures.len() < MOST_FAILURES || self.failures.contains_key(failure);
            let kind = if known { failure } else { "other failures" };
            *self.failures.entry(kind.to_owned()).or_default() += 1;
        }
    }

    pub fn second_passed(&mut self) {
        let counts = std::mem::take(&mut self.second);
        self.seconds.push(Second {
            users: self.users,
            requests: counts.requests(),
            failed: counts.failed,
            p50_ms: counts.percentile_ms(50.0),
            p99_ms: counts.percentile_ms(99.0),
        });
    }

    pub fn all(&self) -> Counts {
        self.operations.iter().fold(Counts::default(), |mut all, counts| {
            all.failed += counts.failed;
            all.micros += &counts.micros;
            all
        })
    }

    /// How it goes, in one line.
    pub fn progress(&self) -> String {
        let (elapsed, users, all) = (self.seconds.len(), self.users, self.all());
        let now = self.seconds.last();
        let (rate, p50, p99) = now.map_or((0, 0.0, 0.0), |now| (now.requests, now.p50_ms, now.p99_ms));
        format!(
            "{:02}:{:02}  {users} users  {} requests  {rate}/s  {} failed  p50 {p50:.1} ms  p99 {p99:.1} ms",
            elapsed / 60,
            elapsed % 60,
            all.requests(),
            all.failed
        )
    }
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            failed: 0,
            micros: Histogram::new_with_max(LONGEST.as_micros() as u64, DIGITS)
                .expect("a histogram may have this range"),
        }
    }
}

impl Counts {
    fn record(&mut self, time: Duration, failed: bool) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.micros.saturating_record(micros);
        self.failed += u64::from(failed);
    }

    pub fn requests(&self) -> u64 {
        self.micros.len()
    }

    /// The time within which so many percent of the requests were answered.
    pub fn percentile_ms(&self, percent: f64) -> f64 {
        self.micros.value_at_percentile(percent) as f64 / 1000.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_near_the_truth() {
        let mut counts = Counts::default();
        assert!(counts.percentile_ms(50.0).abs() < f64::EPSILON);
        (1..=1000).for_each(|millis| counts.record(Duration::from_millis(millis), false));
        for (percent, truth) in [(50.0, 500.0), (90.0, 900.0), (99.0, 990.0), (100.0, 1000.0)] {
            let found = counts.percentile_ms(percent);
            assert!(found >= truth && found < truth * 1.001, "{percent}: {found}");
        }
        counts.record(Duration::from_secs(u64::MAX), false);
        assert!(counts.percentile_ms(100.0) > 3_600_000.0);
    }

    #[test]
    fn failures_of_endless_variety_are_folded() {
        let mut tally = Tally::default();
        for number in 0..1000 {
            tally.record(Operation::Add, Duration::ZERO, Some(&number.to_string()));
        }
        assert_eq!(tally.failures.len(), MOST_FAILURES + 1);
        assert_eq!(tally.failures.values().sum::<u64>(), 1000);
    }
}
