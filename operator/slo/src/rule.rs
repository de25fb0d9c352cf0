//! Rules in the shape that Prometheus and the PrometheusRule resource have.

use std::collections::BTreeMap;

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::duration::PromDuration;

/// Mimir's limit, and a good one: rules of a group run one after another.
pub const MOST_RULES_IN_A_GROUP: usize = 20;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Group {
    pub name: String,
    pub interval: PromDuration,
    /// As many series as one rule may give; more than these and the rule fails alone.
    pub limit: u32,
    pub rules: Vec<Rule>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Rule {
    Record(Record),
    Alert(Alert),
}

impl Rule {
    /// The record's or the alert's name.
    pub fn name(&self) -> &str {
        match self {
            Self::Record(record) => &record.record,
            Self::Alert(alert) => &alert.alert,
        }
    }

    pub fn expr(&self) -> &str {
        match self {
            Self::Record(record) => &record.expr,
            Self::Alert(alert) => &alert.expr,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Record {
    pub record: String,
    pub expr: String,
    pub labels: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Alert {
    pub alert: String,
    pub expr: String,
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    pub for_: Option<PromDuration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_firing_for: Option<PromDuration>,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
}

/// All rules of one app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleSet {
    pub groups: Vec<Group>,
    /// Of all groups but the one that publishes it.
    #[serde(skip)]
    pub hash: String,
}

/// Different for any two sets of groups; sixteen hexadecimal digits.
pub(crate) fn hash(groups: &[Group]) -> String {
    // In one piece: it is hashed several times faster than as many short ones.
    let mut all = Vec::new();
    for group in groups {
        for part in [&group.name, &group.interval.to_string(), &group.limit.to_string()] {
            push(&mut all, part);
        }
        for rule in &group.rules {
            let (kind, spans, labels, annotations) = match rule {
                Rule::Record(record) => ("record", [None, None], &record.labels, None),
                Rule::Alert(alert) => (
                    "alert",
                    [alert.for_, alert.keep_firing_for],
                    &alert.labels,
                    Some(&alert.annotations),
                ),
            };
            push(&mut all, kind);
            push(&mut all, rule.name());
            push(&mut all, rule.expr());
            for span in spans {
                push(&mut all, &span.map(|span| span.to_string()).unwrap_or_default());
            }
            for (name, value) in labels.iter().chain(annotations.into_iter().flatten()) {
                push(&mut all, name);
                push(&mut all, value);
            }
        }
    }
    let mut first = [0; 8];
    first.copy_from_slice(&Sha256::digest(&all)[..8]);
    format!("{:016x}", u64::from_be_bytes(first))
}

/// With its length in front, so that no two different lists of texts are alike.
fn push(all: &mut Vec<u8>, text: &str) {
    all.extend_from_slice(&(text.len() as u64).to_le_bytes());
    all.extend_from_slice(text.as_bytes());
}
