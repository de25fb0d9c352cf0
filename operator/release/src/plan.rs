//! What runs next: a pure function of what is known.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use crate::comparison::Comparison;
use crate::identify::{base_of, identify};
use crate::record::{Phase, Record};
use crate::situation::Situation;
use crate::step::Step;
use crate::trial::Trial;

/// How many records are kept.
const KEPT: usize = 10;
/// How long after its end the cost of a release is counted: the figures follow the requests within a minute.
const COST_AFTER: Duration = Duration::from_mins(2);
/// After this the figures speak of other things, too.
const COST_UNTIL: Duration = Duration::from_mins(10);

/// What should be.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The records as they should be, oldest first.
    pub records: Vec<Record>,
    /// The release that the spec asks for.
    pub current: u64,
    /// The release that runs again if that one is taken back.
    pub base: Option<u64>,
    /// The release whose pods the Deployment describes.
    pub template: u64,
    /// How the Deployment keeps the release to one pod.
    pub trial: Option<Trial>,
    /// What Prometheus is to be asked.
    pub question: Option<Question>,
    /// How the new pods compare with the old ones, while both serve.
    pub comparison: Option<Comparison>,
    /// What is happening, in a sentence.
    pub message: String,
    /// When it must be decided again, if nothing else changes before.
    pub again_after: Option<Duration>,
    /// The share of a budget that was spent since the release began.
    pub cost: Option<f64>,
}

/// Which pods to compare, and since when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    pub since: Timestamp,
    pub step: Duration,
    /// The ReplicaSets of the new pods: one that has ended counts, too.
    pub new: BTreeSet<String>,
    /// The ReplicaSets of the old pods, of few enough to compare with all of them; else the names of some pods.
    pub old: OldPods,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OldPods {
    ReplicaSets(BTreeSet<String>),
    Names(BTreeSet<String>),
}

impl Plan {
    pub fn current(&self) -> Option<&Record> {
        self.record(self.current)
    }

    pub fn record(&self, number: u64) -> Option<&Record> {
        self.records.iter().find(|record| record.number == number)
    }

    /// Whether pods of more than one release may run.
    pub fn is_mixed(&self) -> bool {
        self.current().is_some_and(|current| {
            !matches!(current.phase, Phase::Stable | Phase::Unjudged | Phase::Watching)
        })
    }
}

/// Decides how the release that the spec asks for goes on.
pub fn plan(situation: &Situation<'_>) -> Plan {
    let now = situation.now;
    let mut records = situation.records.to_vec();
    let index = identify(situation, &mut records);
    let base = base_of(&records, index);
    let mut step = Step::new(situation, base, &records);
    let Some(current) = records.get_mut(index) else {
        return step.nothing();
    };
    step.advance(current);
    let cost = cost(current, situation);
    let after_end = after(current.since, now);
    if current.phase.is_final() && current.cost.is_none() && !current.budgets.is_empty() {
        if after_end < COST_AFTER {
            step.again(COST_AFTER.saturating_sub(after_end));
        } else if after_end < COST_UNTIL {
            current.cost = cost;
        }
    }
    let current = current.number;
    let dropped = records.len().saturating_sub(KEPT);
    let mut at = 0;
    records.retain(|record| {
        at += 1;
        at > dropped || record.number == current || Some(record.number) == base
    });
    Plan {
        current,
        base,
        cost,
        ..step.into_plan(records, current)
    }
}

/// By how much the budget of the objective that lost most has shrunk since the release began.
fn cost(record: &Record, situation: &Situation<'_>) -> Option<f64> {
    record.cost.or_else(|| {
        let spent = record.budgets.iter().filter_map(|(slo, before)| {
            let now = situation.measured.budgets.get(slo)?;
            Some((before - now).max(0.0))
        });
        spent.reduce(f64::max)
    })
}

/// The time from one moment to another; none if the clock went back.
pub fn after(then: Timestamp, now: Timestamp) -> Duration {
    now.duration_since(then).try_into().unwrap_or_default()
}
