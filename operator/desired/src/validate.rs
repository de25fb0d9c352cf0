//! Validation: all problems at once, or a [`ValidApp`].
//!
//! Three layers, from what admission checks to what only the operator can: what is wrong with one object, what
//! the fields mean together, and what the cluster says to them.

mod against_cluster;
mod capacity;

use observedapp_api::{AppRef, MetricsSpec, ObservedApp, ObservedAppSpec, Refusal};
use observedapp_slo::{Objective, Ratio};

use crate::{Database, Objectives, Observed, Problem, Problems, Settings, ValidApp};

/// Checks an `ObservedApp` against everything that is known, and gathers every problem rather than stopping at the
/// first.
pub fn validate(app: &ObservedApp, observed: Observed, settings: Settings) -> Result<ValidApp, Problems> {
    let mut findings = Findings::default();
    findings.problems.0.extend(refusals_of_admission(app));
    let name = app.metadata.name.clone().unwrap_or_default();
    if name.is_empty() && app.metadata.generate_name.is_none() {
        findings.problem("metadata.name", "the app has no name", "give it one");
    }
    let namespace = app
        .metadata
        .namespace
        .clone()
        .unwrap_or_else(|| "default".to_owned());
    let spec = app.spec.clone();
    let database = spec.database.as_ref().and_then(kind_of_database);
    let id = AppRef::new(namespace, name);
    let objectives = Objectives::check(&id, &spec, &settings, &mut findings.problems);
    for (i, slo) in objectives.slos.iter().enumerate() {
        if let Some(meant) = meant_objective(slo.objective) {
            findings.note(
                format!("spec.slos[{i}].objective"),
                format!(
                    "did you mean {meant}? {} is percent, and lets 99 of 100 events fail",
                    slo.objective
                ),
                "write percent, such as 99.9",
            );
            continue;
        }
        for note in slo.notes(&format!("spec.slos[{i}]")) {
            let text = note.to_string();
            let reported = text
                .strip_prefix(note.field())
                .unwrap_or(&text)
                .trim_start_matches(": ");
            findings.note(note.field(), reported, "a higher objective avoids it");
        }
    }
    note_names_beside_a_preset(&spec, &mut findings);
    capacity::check(&spec, database.as_ref(), &mut findings);
    against_cluster::check(&id.name, database.as_ref(), &observed, &mut findings);
    let Findings { problems, notes } = findings;
    if !problems.is_empty() {
        return Err(problems.once_a_field());
    }
    Ok(ValidApp {
        id,
        uid: app.metadata.uid.clone(),
        spec,
        database,
        objectives,
        observed,
        settings,
        notes,
    })
}

/// Objects of earlier versions hold the usual names as if they had been given.
fn note_names_beside_a_preset(spec: &ObservedAppSpec, findings: &mut Findings) {
    let Some(metrics) = spec.metrics.as_ref().filter(|metrics| metrics.preset.is_some()) else {
        return;
    };
    let usual = MetricsSpec::default();
    let usual = usual.names();
    for (field, given, usual) in [
        ("requests", &metrics.requests, usual.requests),
        ("errors", &metrics.errors, usual.errors),
        ("latency", &metrics.latency, usual.latency),
    ] {
        if given.as_deref() == Some(usual) {
            findings.note(
                format!("spec.metrics.{field}"),
                format!("{usual} is given, and holds in place of what the preset names"),
                "set it to null if it was not given on purpose",
            );
        }
    }
}

/// What somebody probably meant who promises less than one percent: 99.9 by 0.999, a share, or by 0.1, what may fail.
fn meant_objective(objective: Objective) -> Option<String> {
    const ONE_PERCENT: Ratio = Ratio::from_billionths(10_000_000);
    let ratio = objective.ratio();
    if ratio >= ONE_PERCENT {
        return None;
    }
    let as_share = ratio.times_tenths(1000);
    let half = Ratio::from_billionths(500_000_000);
    Some(if as_share >= half {
        as_share.percent()
    } else {
        objective.budget().percent()
    })
}

/// What has been found so far.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    problems: Problems,
    notes: Vec<Problem>,
}

impl Findings {
    fn problem(&mut self, field: impl Into<String>, problem: impl Into<String>, remedy: impl Into<String>) {
        self.problems.add(field, problem, remedy);
    }

    /// Something allowed that its author should know of.
    fn note(&mut self, field: impl Into<String>, problem: impl Into<String>, remedy: impl Into<String>) {
        self.notes.push(Problem::new(field, problem, remedy));
    }
}

/// An object may be older than today's schema and rules, so that admission has never seen it.
fn refusals_of_admission(app: &ObservedApp) -> Vec<Problem> {
    let Ok(mut object) = serde_json::to_value(app) else {
        return Vec::new();
    };
    observedapp_api::fill_in_defaults(&mut object);
    let refusals = observedapp_api::refusals(&object);
    refusals.into_iter().map(problem_of).collect()
}

/// What admission refuses is a problem like any other.
pub fn problem_of(refusal: Refusal) -> Problem {
    Problem::new(refusal.field, refusal.problem, refusal.remedy)
}

impl Problems {
    /// Of one field only the first problem is kept: the layers repeat each other.
    fn once_a_field(mut self) -> Self {
        let mut reported = std::collections::BTreeSet::new();
        self.0.retain(|problem| reported.insert(problem.field.clone()));
        self
    }
}

pub(crate) fn kind_of_database(database: &observedapp_api::DatabaseSpec) -> Option<Database> {
    match (&database.builtin, &database.cloud_native_pg, &database.external) {
        (Some(builtin), None, None) => Some(Database::Builtin(builtin.clone())),
        (None, Some(cluster), None) => Some(Database::CloudNativePg(cluster.clone())),
        (None, None, Some(secret)) => Some(Database::External(secret.clone())),
        _ => None,
    }
}

/// The fewest and the most pods that are wanted at any time.
fn pods(spec: &ObservedAppSpec) -> (i32, i32) {
    match &spec.autoscaling {
        Some(autoscaling) => (autoscaling.min_replicas, autoscaling.max_replicas),
        None => (spec.replicas, spec.replicas),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_usual_name_beside_a_preset_is_noted() {
        let notes = |metrics: serde_json::Value| {
            let app: ObservedApp = serde_json::from_value(serde_json::json!({
                "apiVersion": "observedapp.dev/v1alpha1", "kind": "ObservedApp",
                "metadata": {"name": "tasks", "namespace": "shop"},
                "spec": {"image": "tasks:1", "metrics": metrics},
            }))
            .unwrap_or_else(|error| panic!("{error}"));
            let valid = validate(&app, Observed::default(), Settings::default());
            let notes = valid.map(|app| app.notes).unwrap_or_default();
            notes.into_iter().map(|note| note.field).collect::<Vec<_>>()
        };
        let both = serde_json::json!({"preset": "opentelemetry", "requests": "http_requests_total"});
        assert_eq!(notes(both), ["spec.metrics.requests"]);
        assert!(notes(serde_json::json!({"preset": "opentelemetry"})).is_empty());
        assert!(notes(serde_json::json!({"requests": "http_requests_total"})).is_empty());
    }

    #[test]
    fn a_share_in_place_of_percent_is_asked_about() {
        for (given, meant) in [
            ("0.999", Some("99.9")),
            ("0.99", Some("99")),
            ("0.9995", Some("99.95")),
            ("0.5", Some("50")),
            ("0.1", Some("99.9")),
            ("0.01", Some("99.99")),
            ("1", None),
            ("50", None),
            ("99.9", None),
        ] {
            let reported = given.parse().map(meant_objective);
            assert_eq!(reported, Ok(meant.map(str::to_owned)), "{given}");
        }
    }
}
