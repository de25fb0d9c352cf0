//! Statuses as this module makes them, kept under `tests/golden/statuses` for what other tools make of them.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use observedapp_api::{AppRef, ConditionType, ObservedApp, Reason};
use observedapp_desired::{Desired, Problems};
use observedapp_release::{Phase, Trial};
use serde_json::{Value, json};

use super::condition::ConditionState;
use super::merge::merge;
use super::released::tests::releases;
use super::{Facts, Progress, conditions};
use crate::apply::Outcome;
use crate::error::Error;
use crate::watch::{ChildState, Fact, Facts as ChildFacts, Pod};

fn app(spec: Value, generation: i64) -> ObservedApp {
    let mut app = json!({
        "apiVersion": "observedapp.dev/v1alpha1", "kind": "ObservedApp",
        "metadata": {"name": "tasks", "namespace": "shop", "generation": generation},
        "spec": {"image": "tasks:1"},
    });
    app["spec"]
        .as_object_mut()
        .unwrap()
        .extend(spec.as_object().unwrap().clone());
    serde_json::from_value(app).unwrap()
}

fn deployment(updated: i32, available: i32, progressing: &str) -> ChildState {
    ChildState {
        facts: Some(Box::new(ChildFacts {
            wanted: Some(2),
            replicas: 2,
            ready: available,
            updated,
            available,
            conditions: vec![Fact {
                type_: "Progressing".to_owned(),
                status: "True".to_owned(),
                reason: progressing.to_owned(),
                message: String::new(),
                ..Fact::default()
            }],
            ..ChildFacts::default()
        })),
        ..ChildState::default()
    }
}

fn releasing(phase: Phase, trial: Option<Trial>, verdict: Option<&str>) -> Progress {
    Progress::applied(Desired {
        releases: Some(releases(phase, trial, verdict)),
        ..Desired::default()
    })
}

/// As many pods of release 6 that answer, which are those that should run.
fn pods_of_release_6() -> Vec<(String, Arc<Pod>)> {
    let pod = |name: &str| {
        let pod = Pod {
            component: "app".to_owned(),
            ready: true,
            release: Some(6),
            ..Pod::default()
        };
        (name.to_owned(), Arc::new(pod))
    };
    ["tasks-a", "tasks-b"].map(pod).into()
}

/// The whole object, with the status that follows.
fn recorded(
    app: &ObservedApp,
    seen: i64,
    progress: &Progress,
    live: &ChildState,
    more: Vec<ConditionState>,
) -> Value {
    let id = AppRef::from(app);
    let facts = Facts {
        deployment: Some(Arc::new(live.clone())),
        pods: pods_of_release_6(),
        ..Facts::without_objects(&id, &app.spec, progress)
    };
    let mut all = conditions(&facts, None);
    all.extend(more);
    let now = Timestamp::from_second(1_800_000_000).unwrap();
    let (conditions, _) = merge(&[], all, Some(seen), now);
    let mut object = serde_json::to_value(app).unwrap();
    object["status"] = json!({"observedGeneration": seen, "conditions": conditions});
    object
}

#[test]
fn the_recorded_statuses_are_what_is_written() {
    let applied = &Progress::applied(Desired::default());
    let failed = &Progress::Applied {
        desired: Desired::default(),
        outcome: Outcome {
            errors: vec![Error::timeout("apply", "Service", "tasks")],
            ..Outcome::default()
        },
    };
    let plain = app(json!({"dashboards": {"enabled": false}}), 1);
    let done = deployment(2, 2, "NewReplicaSetAvailable");
    let at_work = deployment(1, 1, "ReplicaSetUpdated");
    let spent = ConditionState::no(
        ConditionType::SLOsMet,
        Reason::BudgetSpent,
        "availability has spent its budget",
    );
    let mut problems = Problems::default();
    problems.add("spec.port", "two ports are the same", "choose another");
    let mut fresh = serde_json::to_value(&plain).unwrap();
    fresh["status"] = observedapp_api::schema()["properties"]["status"]["default"].clone();
    let paused = app(json!({"dashboards": {"enabled": false}, "paused": true}), 1);
    let newer = app(json!({"dashboards": {"enabled": false}}), 2);
    let trial = Trial {
        min_ready: Duration::from_mins(6),
        progress_deadline: Duration::from_mins(16),
    };
    let baking = releasing(Phase::Baking, Some(trial), None);
    let held = releasing(Phase::Held, None, None);
    let bad = "availability: 21% of 310 failed, and 0% of 620 of the release before";
    let rolled_back = releasing(Phase::RolledBack, None, Some(bad));
    let never_ready = releasing(
        Phase::NeverReady,
        None,
        Some("its pod tasks-c did not answer within 90 s"),
    );
    let cases = [
        ("baking", recorded(&plain, 1, &baking, &at_work, Vec::new())),
        ("held", recorded(&plain, 1, &held, &done, Vec::new())),
        (
            "rolled-back",
            recorded(&plain, 1, &rolled_back, &done, Vec::new()),
        ),
        (
            "never-ready",
            recorded(&plain, 1, &never_ready, &done, Vec::new()),
        ),
        ("fresh", fresh),
        (
            "newer-generation",
            recorded(&newer, 1, applied, &done, Vec::new()),
        ),
        ("applying", recorded(&plain, 1, failed, &done, Vec::new())),
        ("rolling-out", recorded(&plain, 1, applied, &at_work, Vec::new())),
        ("healthy", recorded(&plain, 1, applied, &done, Vec::new())),
        ("budget-spent", recorded(&plain, 1, applied, &done, vec![spent])),
        (
            "crashing",
            recorded(
                &plain,
                1,
                applied,
                &deployment(2, 0, "NewReplicaSetAvailable"),
                Vec::new(),
            ),
        ),
        (
            "invalid",
            recorded(&plain, 1, &Progress::Invalid(problems), &done, Vec::new()),
        ),
        (
            "paused",
            recorded(
                &paused,
                1,
                &Progress::Paused(Desired::default()),
                &done,
                Vec::new(),
            ),
        ),
    ];
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/statuses");
    for (name, object) in cases {
        let file = folder.join(format!("{name}.json"));
        let text = format!("{}\n", serde_json::to_string_pretty(&object).unwrap());
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&file, &text).unwrap();
        }
        let found = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(
            found == text,
            "{} is not what is written now: UPDATE_GOLDEN=1 cargo test -p observedapp-controller\n{text}",
            file.display()
        );
    }
}
