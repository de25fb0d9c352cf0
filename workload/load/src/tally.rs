//! What happened: all requests, by operation and by second.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

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

#[derive(Debug, Default)]
pub struct Tally(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    operations: [Counts; OPERATIONS.len()],
    failures: BTreeMap<String, u64>,
    users: u64,
    second: Counts,
    seconds: Vec<Second>,
}

/// Requests and how long they took.
#[derive(Debug, Clone, Default)]
pub struct Counts {
    pub requests: u64,
    pub failed: u64,
    times: Times,
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
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn user_came(&self) {
        self.state().users += 1;
    }

    pub fn record(&self, operation: Operation, time: Duration, failure: Option<&str>) {
        let mut state = self.state();
        let state = &mut *state;
        for counts in [&mut state.operations[operation as usize], &mut state.second] {
            counts.requests += 1;
            counts.failed += u64::from(failure.is_some());
            counts.times.record(time);
        }
        if let Some(failure) = failure {
            let known = state.failures.len() < MOST_FAILURES || state.failures.contains_key(failure);
            let kind = if known { failure } else { "other failures" };
            *state.failures.entry(kind.to_owned()).or_default() += 1;
        }
    }

    pub fn second_passed(&self) {
        let mut state = self.state();
        let counts = std::mem::take(&mut state.second);
        let second = Second {
            users: state.users,
            requests: counts.requests,
            failed: counts.failed,
            p50_ms: counts.percentile_ms(50),
            p99_ms: counts.percentile_ms(99),
        };
        state.seconds.push(second);
    }

    /// How it goes, in one line.
    pub fn progress(&self, elapsed: u64) -> String {
        let state = self.state();
        let all: u64 = state.operations.iter().map(|counts| counts.requests).sum();
        let failed: u64 = state.operations.iter().map(|counts| counts.failed).sum();
        let now = state.seconds.last();
        let (rate, p50, p99) = now.map_or((0, 0.0, 0.0), |now| (now.requests, now.p50_ms, now.p99_ms));
        let (minutes, seconds) = (elapsed / 60, elapsed % 60);
        format!(
            "{minutes:02}:{seconds:02}  {} users  {all} requests  {rate}/s  {failed} failed  p50 {p50:.1} ms  p99 {p99:.1} ms",
            state.users
        )
    }

    pub fn operations(&self) -> [Counts; OPERATIONS.len()] {
        self.state().operations.clone()
    }

    pub fn seconds(&self) -> Vec<Second> {
        self.state().seconds.clone()
    }

    pub fn failures(&self) -> BTreeMap<String, u64> {
        self.state().failures.clone()
    }
}

impl Counts {
    pub fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.failed += other.failed;
        for (own, other) in self.times.0.iter_mut().zip(other.times.0) {
            *own += other;
        }
    }

    /// The time within which so many percent of the requests were answered.
    pub fn percentile_ms(&self, percent: u64) -> f64 {
        self.times.percentile(percent).as_secs_f64() * 1000.0
    }
}

/// Eight buckets for each power of two of microseconds: at most 12 % off.
const PER_DOUBLING: u64 = 8;
const BUCKETS: usize = 320;

#[derive(Debug, Clone, Copy)]
struct Times([u64; BUCKETS]);

impl Default for Times {
    fn default() -> Self {
        Self([0; BUCKETS])
    }
}

impl Times {
    fn record(&mut self, time: Duration) {
        self.0[Self::bucket(u64::try_from(time.as_micros()).unwrap_or(u64::MAX))] += 1;
    }

    fn bucket(micros: u64) -> usize {
        let micros = micros.max(PER_DOUBLING);
        let doubling = u64::from(micros.ilog2() - PER_DOUBLING.ilog2());
        let within = (micros >> doubling) - PER_DOUBLING;
        usize::try_from(doubling * PER_DOUBLING + within)
            .map_or(BUCKETS - 1, |bucket| bucket.min(BUCKETS - 1))
    }

    /// The greatest time that falls into a bucket.
    fn upper(bucket: usize) -> Duration {
        let (doubling, within) = (bucket as u64 / PER_DOUBLING, bucket as u64 % PER_DOUBLING);
        Duration::from_micros(((PER_DOUBLING + within + 1) << doubling) - 1)
    }

    fn percentile(&self, percent: u64) -> Duration {
        let count: u64 = self.0.iter().sum();
        let wanted = (count * percent).div_ceil(100);
        let mut seen = 0;
        let bucket = self.0.iter().position(|in_bucket| {
            seen += in_bucket;
            seen >= wanted.max(1)
        });
        bucket.map_or(Duration::ZERO, Self::upper)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_near_the_truth() {
        let mut times = Times::default();
        assert_eq!(times.percentile(50), Duration::ZERO);
        (1..=1000).for_each(|millis| times.record(Duration::from_millis(millis)));
        for (percent, truth) in [(50, 500.0), (90, 900.0), (99, 990.0), (100, 1000.0)] {
            let found = times.percentile(percent).as_secs_f64() * 1000.0;
            assert!(found >= truth && found < truth * 1.13, "{percent}: {found}");
        }
        times.record(Duration::from_secs(u64::MAX));
        assert!(times.percentile(100) > Duration::from_hours(1));
    }

    #[test]
    fn failures_of_endless_variety_are_folded() {
        let tally = Tally::default();
        for number in 0..1000 {
            tally.record(Operation::Add, Duration::ZERO, Some(&number.to_string()));
        }
        assert_eq!(tally.failures().len(), MOST_FAILURES + 1);
        assert_eq!(tally.failures().values().sum::<u64>(), 1000);
    }
}
