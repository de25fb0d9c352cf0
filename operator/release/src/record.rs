//! What is kept of a release.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How far a release has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// It waits for error budget.
    Held,
    /// One pod of it serves beside the old ones.
    Baking,
    /// The rest of the pods follow.
    RollingOut,
    /// It runs everywhere, and a fast burn still takes it back.
    Watching,
    Stable,
    /// It failed more than the release before, which runs again.
    RolledBack,
    /// No pod of it answered in time; the release before runs again.
    NeverReady,
    /// Another release came before it was judged.
    Superseded,
    /// It went on to all pods while nobody could judge it.
    Unjudged,
}

impl Phase {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Held => "Held",
            Self::Baking => "Baking",
            Self::RollingOut => "RollingOut",
            Self::Watching => "Watching",
            Self::Stable => "Stable",
            Self::RolledBack => "RolledBack",
            Self::NeverReady => "NeverReady",
            Self::Superseded => "Superseded",
            Self::Unjudged => "Unjudged",
        }
    }

    /// Whether nothing more happens to the release by itself.
    pub fn is_final(self) -> bool {
        matches!(
            self,
            Self::Stable | Self::RolledBack | Self::NeverReady | Self::Superseded | Self::Unjudged
        )
    }

    /// Whether the release was taken back.
    pub fn is_taken_back(self) -> bool {
        matches!(self, Self::RolledBack | Self::NeverReady)
    }
}

/// One release, as its record holds it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Record {
    #[serde(skip)]
    pub number: u64,
    pub phase: Phase,
    /// When the phase began.
    pub since: Timestamp,
    /// When the spec asked for it.
    pub began: Timestamp,
    /// Whether it was let onto all pods: then it is what a later release is taken back to.
    #[serde(default, skip_serializing_if = "is_false")]
    pub promoted: bool,
    /// Whether nothing recorded ran before it: then it is neither tried nor taken back.
    #[serde(default, skip_serializing_if = "is_false")]
    pub first: bool,
    /// Whether the spec has asked for another release since.
    #[serde(default, skip_serializing_if = "is_false")]
    pub withdrawn: bool,
    /// When a pod of it first answered beside the old ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serving_since: Option<Timestamp>,
    /// What was found of it, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<String>,
    /// The override that was heeded last, for it or for an earlier one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anyway: Option<String>,
    /// The share of each objective's budget that was left when it began.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub budgets: BTreeMap<String, f64>,
    /// The objectives whose budget burned fast before it began, if that was known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burning: Option<BTreeSet<String>>,
    /// The share of a budget that was spent from its beginning to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<f64>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_false(value: &bool) -> bool {
    !value
}

impl Record {
    pub(crate) fn new(number: u64, phase: Phase, now: Timestamp) -> Self {
        Self {
            number,
            phase,
            since: now,
            began: now,
            promoted: false,
            first: false,
            withdrawn: false,
            serving_since: None,
            verdict: None,
            anyway: None,
            budgets: BTreeMap::new(),
            burning: None,
            cost: None,
        }
    }

    pub(crate) fn enter(&mut self, phase: Phase, now: Timestamp) {
        if self.phase != phase {
            self.phase = phase;
            self.since = now;
        }
    }

    pub(crate) fn conclude(&mut self, phase: Phase, now: Timestamp, verdict: impl Into<String>) {
        self.enter(phase, now);
        self.verdict = Some(verdict.into());
    }
}
