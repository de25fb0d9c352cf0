//! What is known when it is decided how a release goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use crate::comparison::SloCounts;
use crate::record::Record;

/// How careful the app's owner wants to be.
#[derive(Clone, Debug, PartialEq)]
pub struct Guard {
    /// How long one pod serves before the rest follow.
    pub bake_time: Duration,
    /// With fewer requests than this nobody can say that a release is good.
    pub min_requests: f64,
    pub without_traffic: WithoutTraffic,
    /// How long a release that runs everywhere is watched.
    pub watch_time: Duration,
    /// With less than this share of a budget left a release waits.
    pub hold_below: Option<f64>,
    /// How often the pods are scraped.
    pub scrape: Duration,
    /// How long a pod may take to start.
    pub startup: Duration,
    /// Whether there is room for one pod beside the old ones: two replicas or more, and a surge.
    pub can_try: bool,
}

/// What becomes of a release that was hardly asked for anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WithoutTraffic {
    #[default]
    Proceed,
    Hold,
    RollBack,
}

/// Which release the Deployment runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Running {
    /// There is no Deployment.
    #[default]
    Nothing,
    /// One from before releases were recorded.
    Unrecorded,
    Release(u64),
}

/// A pod of the app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    pub name: String,
    pub release: Option<u64>,
    pub standing: Standing,
    pub restarts: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Ready,
    /// It has no node, volume or image yet.
    Creating {
        since: Timestamp,
    },
    /// It runs and does not answer, or cannot run.
    Failing {
        since: Timestamp,
    },
    /// It is being deleted.
    Ending,
}

/// Everything that bears on the next step.
#[derive(Clone, Debug)]
pub struct Situation<'a> {
    pub guard: &'a Guard,
    /// What is kept of earlier releases, oldest first.
    pub records: &'a [Record],
    /// The numbers of those that are what the spec asks for now.
    pub wanted: &'a BTreeSet<u64>,
    /// The highest number that is taken, by a record that cannot be read, too.
    pub highest: u64,
    pub running: Running,
    pub pods: &'a [Pod],
    /// How many pods are wanted.
    pub replicas: i32,
    pub measured: &'a Measured,
    /// The reason in the annotation that overrides the guard, if it is set.
    pub anyway: Option<&'a str>,
    pub now: Timestamp,
}

/// What Prometheus says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measured {
    /// Whether Prometheus was asked since the operator began; it may not have answered.
    pub asked: bool,
    pub counted: Counted,
    /// The share of each objective's budget that is left, as far as it is known.
    pub budgets: BTreeMap<String, f64>,
    /// The objectives whose budget burns so fast that it pages, if that is known.
    pub burning: Option<BTreeSet<String>>,
}

/// What the new pods and the old ones counted.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Counted {
    /// Nobody has asked since the operator began.
    #[default]
    NotAsked,
    /// Prometheus does not say.
    Unknown,
    Known(Vec<SloCounts>),
}
