//! The releases of an app: what is recorded of them, and how their pods do.

use std::collections::BTreeMap;

use jiff::Timestamp;
use observedapp_api::{AppRef, ObservedApp, RELEASE_ANYWAY};
use observedapp_desired::{Kind, ObservedRelease, ObservedReleases, ReleaseFields};
use observedapp_release::{Counted, Measured, Pod, Record, Running, Standing};
use observedapp_slo::names::alerts::ERROR_BUDGET_BURN_FAST;
use serde_json::Value;

use super::references_of_spec;
use crate::context::{AppCache, Context};
use crate::error::Error;
use crate::prometheus::PollResult;
use crate::watch::{self, ChildState, RecordFacts, Stage};

impl Context {
    /// What exists of the app's releases; nothing where they are not recorded and never were.
    pub(super) async fn observe_releases(
        &self,
        id: &AppRef,
        app: &ObservedApp,
        cache: &AppCache,
    ) -> Result<Option<ObservedReleases>, Error> {
        let mut records = Vec::new();
        let mut highest = 0;
        for (key, live) in self.store.controlled_by(&cache.uid) {
            if key.kind == Kind::ControllerRevision
                && !live.deleting
                && let Some(facts) = live.facts.as_deref().and_then(|facts| facts.record.as_ref())
            {
                highest = highest.max(u64::try_from(facts.number).unwrap_or_default());
                let Some((record, fields)) = read(facts) else {
                    continue;
                };
                let referred = references_of_spec(id, &fields.over(&app.spec));
                let digest = self
                    .references
                    .digest(&self.client, &self.store, &referred)
                    .await?;
                records.push(ObservedRelease {
                    record,
                    fields,
                    version: live.resource_version,
                    references_digest: digest,
                });
            }
        }
        if records.is_empty() && app.spec.rollout.guard.is_none() {
            return Ok(None);
        }
        records.sort_by_key(|one| one.record.number);
        let deployment = self.get(id, Kind::Deployment, &id.name);
        let anyway = app.metadata.annotations.as_ref();
        Ok(Some(ObservedReleases {
            records,
            highest,
            running: running(deployment.as_deref()),
            pods: self
                .pods
                .of(id)
                .iter()
                .filter_map(|(name, pod)| standing(name, pod))
                .collect(),
            measured: self.measured(id),
            anyway: anyway.and_then(|all| all.get(RELEASE_ANYWAY)).cloned(),
            now: Timestamp::now(),
        }))
    }

    fn measured(&self, id: &AppRef) -> Measured {
        let Some(facts) = self.prometheus.facts(id) else {
            return Measured::default();
        };
        let answers = facts.poll == PollResult::Answered;
        let view = &facts.view;
        let budgets = view
            .slos
            .iter()
            .filter_map(|(slo, figures)| Some((slo.clone(), figures.budget?)));
        let burning = facts.firing().map(|alerts| {
            let fast = alerts.keys().filter(|alert| alert.name == ERROR_BUDGET_BURN_FAST);
            fast.filter_map(|alert| alert.slo.clone()).collect()
        });
        Measured {
            asked: true,
            counted: if answers {
                self.prometheus.trial_counted(id)
            } else {
                Counted::Unknown
            },
            budgets: if answers {
                budgets.collect()
            } else {
                BTreeMap::new()
            },
            burning,
        }
    }
}

/// A record, unless somebody has made it unreadable.
fn read(facts: &RecordFacts) -> Option<(Record, ReleaseFields)> {
    let number = u64::try_from(facts.number).ok()?;
    let fields = serde_json::from_value(facts.data.clone()).ok()?;
    // Texts stand as they are, the rest as JSON.
    let text = |name: &str| {
        matches!(
            name,
            "verdict" | "anyway" | "phase" | "since" | "began" | "serving-since"
        )
    };
    let annotations = facts.annotations.iter().map(|(name, value)| {
        let value = if text(name) {
            Value::String(value.clone())
        } else {
            serde_json::from_str(value).unwrap_or_default()
        };
        (name.clone(), value)
    });
    let record: Record = serde_json::from_value(Value::Object(annotations.collect())).ok()?;
    Some((Record { number, ..record }, fields))
}

fn running(deployment: Option<&ChildState>) -> Running {
    match deployment {
        None => Running::Nothing,
        Some(live) => match live.facts.as_deref().and_then(|facts| facts.release) {
            Some(number) => Running::Release(number),
            None => Running::Unrecorded,
        },
    }
}

fn standing(name: &str, pod: &watch::Pod) -> Option<Pod> {
    if pod.component != "app" {
        return None;
    }
    let created: Timestamp = pod.created.parse().unwrap_or_default();
    let waits_for_room = pod
        .trouble
        .as_ref()
        .is_some_and(|trouble| trouble.container.is_none());
    let is_created = pod.stage == Stage::Creating && (pod.trouble.is_none() || waits_for_room);
    let standing = if pod.deleting {
        Standing::Ending
    } else if pod.ready {
        Standing::Ready
    } else if is_created {
        Standing::Creating { since: created }
    } else {
        Standing::Failing {
            since: pod.started.unwrap_or(created),
        }
    };
    Some(Pod {
        name: name.to_owned(),
        release: pod.release,
        standing,
        restarts: pod.restarts,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_record_that_was_tampered_with_is_not_read() {
        let facts = |annotations: &[(&str, &str)]| RecordFacts {
            number: 3,
            annotations: annotations
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            data: serde_json::json!({"image": "tasks:1", "imagePullPolicy": "Always", "port": 80}),
        };
        let whole = [
            ("phase", "RolledBack"),
            ("since", "2026-11-28T10:00:00Z"),
            ("began", "2026-11-28T09:00:00Z"),
            ("promoted", "true"),
            ("budgets", r#"{"a":0.5}"#),
            ("verdict", "42"),
        ];
        let (record, fields) = read(&facts(&whole)).unwrap();
        assert_eq!((record.number, record.promoted), (3, true));
        assert_eq!(record.verdict.as_deref(), Some("42"));
        assert_eq!(record.budgets, [("a".to_owned(), 0.5)].into());
        assert_eq!(fields.image, "tasks:1");
        for bad in [("phase", "Gone"), ("promoted", "perhaps"), ("budgets", "[")] {
            let mut annotations = whole.to_vec();
            annotations.retain(|(name, _)| *name != bad.0);
            annotations.push(bad);
            assert_eq!(
                read(&facts(&annotations)).map(|(record, _)| record.number),
                None,
                "{bad:?}"
            );
        }
    }
}
