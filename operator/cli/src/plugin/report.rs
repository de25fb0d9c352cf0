//! From an app to all that is worth telling of it. Pure; `-o json` prints it as it is.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use observedapp_api::{AlertStatus, AppRef, ConditionType, ObservedApp, ReleaseStatus, SloStatus};
use serde::Serialize;

use super::remedy::advice;

/// How fast each objective's budget burned in the last day, oldest first; or why that is not known.
#[derive(Clone, Debug)]
pub(crate) enum LastDay {
    Known(BTreeMap<String, Vec<Option<f64>>>),
    Missing(String),
}

/// One app.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
    pub namespace: String,
    pub name: String,
    pub image: String,
    pub replicas: Replicas,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<Part>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache: Option<Part>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// What does not fit a condition: that it is paused, or that the operator has not reconciled it yet.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
    /// The release that the spec asks for, where releases are recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<ReleaseStatus>,
    pub slos: Vec<Objective>,
    /// Why there is no `burnRateLastDay`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_history: Option<String>,
    /// Absent while Prometheus has not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub firing_alerts: Option<i32>,
    pub alerts: Vec<AlertStatus>,
    pub conditions: Vec<ConditionReport>,
}

/// Pods: those that answer, those that exist, and how many are wanted.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Replicas {
    pub ready: i32,
    pub existing: i32,
    pub wanted_at_least: i32,
    pub wanted_at_most: i32,
}

/// The database or the cache.
#[derive(Debug, Serialize)]
pub(crate) struct Part {
    /// `Postgres 18, built in`.
    pub kind: String,
    /// The status of its condition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// One objective, as the status has it, with the last day.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Objective {
    #[serde(flatten)]
    pub status: SloStatus,
    /// How fast the budget burned in each half hour of the last day, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub burn_rate_last_day: Vec<Option<f64>>,
}

/// One condition.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ConditionReport {
    #[serde(flatten)]
    pub condition: Condition,
    /// What to do, where it is not True.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// Its message without the remedy.
    #[serde(skip)]
    pub cause: String,
}

impl ConditionReport {
    pub fn is_true(&self) -> bool {
        self.condition.status == "True"
    }
}

impl Report {
    pub fn of(app: &ObservedApp, history: &LastDay) -> Self {
        let status = app.status.clone().unwrap_or_default();
        let id = AppRef::from(app);
        let known = |slo: &str| match history {
            LastDay::Known(days) => days.get(slo).cloned().unwrap_or_default(),
            LastDay::Missing(_) => Vec::new(),
        };
        let slos: Vec<Objective> = objectives(app, status.slos)
            .into_iter()
            .map(|slo| Objective {
                burn_rate_last_day: known(&slo.name),
                status: slo,
            })
            .collect();
        let no_history = match history {
            LastDay::Missing(why) if !slos.is_empty() => Some(why.clone()),
            _ => None,
        };
        let conditions: Vec<ConditionReport> = status
            .conditions
            .into_iter()
            .map(|condition| condition_report(&id, condition))
            .collect();
        let (at_least, at_most) = app
            .spec
            .autoscaling
            .as_ref()
            .map_or((app.spec.replicas, app.spec.replicas), |scaling| {
                (scaling.min_replicas, scaling.max_replicas)
            });
        Self {
            image: app.spec.image.clone(),
            replicas: Replicas {
                ready: status.ready_replicas,
                existing: status.replicas,
                wanted_at_least: at_least,
                wanted_at_most: at_most,
            },
            database: database(app).map(|kind| part(kind, ConditionType::DatabaseReady, &conditions)),
            cache: cache(app).map(|kind| part(kind, ConditionType::CacheReady, &conditions)),
            url: status.url,
            remarks: remarks(app),
            release: status.release,
            slos,
            no_history,
            firing_alerts: status.firing_alerts,
            alerts: status.alerts,
            conditions,
            namespace: id.namespace,
            name: id.name,
        }
    }

    /// The release, while there is something to tell of it.
    pub fn release_to_tell(&self) -> Option<&ReleaseStatus> {
        let release = self.release.as_ref();
        release.filter(|release| !["Stable", "Superseded", "Unjudged"].contains(&release.phase.as_str()))
    }

    pub fn condition(&self, type_: ConditionType) -> Option<&ConditionReport> {
        find(&self.conditions, type_)
    }
}

/// The number in `61%`, `-20%` or `1.4x`.
pub(crate) fn number(text: Option<&str>) -> Option<f64> {
    text?.trim_end_matches(['%', 'x']).parse().ok()
}

fn find(conditions: &[ConditionReport], type_: ConditionType) -> Option<&ConditionReport> {
    conditions
        .iter()
        .find(|condition_report| condition_report.condition.type_ == type_.as_str())
}

fn condition_report(app: &AppRef, condition: Condition) -> ConditionReport {
    if condition.status == "True" {
        return ConditionReport {
            cause: condition.message.clone(),
            condition,
            remedy: None,
        };
    }
    let advice = advice(app, &condition);
    ConditionReport {
        condition,
        remedy: Some(advice.remedy),
        cause: advice.cause,
    }
}

/// The objectives in the spec's order, also those of which the status does not speak yet.
fn objectives(app: &ObservedApp, known: Vec<SloStatus>) -> Vec<SloStatus> {
    let mut known: BTreeMap<String, SloStatus> =
        known.into_iter().map(|slo| (slo.name.clone(), slo)).collect();
    app.spec
        .slos
        .iter()
        .map(|slo| {
            known.remove(&slo.name).unwrap_or_else(|| SloStatus {
                name: slo.name.clone(),
                objective: format!("{}%", slo.objective),
                window: slo.window.clone(),
                ..SloStatus::default()
            })
        })
        .collect()
}

fn database(app: &ObservedApp) -> Option<String> {
    let database = app.spec.database.as_ref()?;
    if let Some(builtin) = &database.builtin {
        return Some(format!("Postgres {}, built in", builtin.version));
    }
    if let Some(cluster) = &database.cloud_native_pg {
        return Some(format!(
            "Postgres {}, CloudNativePG, {} instances",
            cluster.version, cluster.instances
        ));
    }
    let external = database.external.as_ref()?;
    Some(format!("external, by the Secret {}", external.secret_name))
}

fn cache(app: &ObservedApp) -> Option<String> {
    let cache = app.spec.cache.as_ref()?;
    if let Some(builtin) = &cache.builtin {
        return Some(format!(
            "Redis {}, built in, {}",
            builtin.version, builtin.memory.0
        ));
    }
    let external = cache.external.as_ref()?;
    Some(format!("external, by the Secret {}", external.secret_name))
}

fn part(kind: String, type_: ConditionType, conditions: &[ConditionReport]) -> Part {
    let condition_report = find(conditions, type_);
    Part {
        kind,
        ready: condition_report.map(|condition_report| condition_report.condition.status.clone()),
        reason: condition_report.map(|condition_report| condition_report.condition.reason.clone()),
    }
}

fn remarks(app: &ObservedApp) -> Vec<String> {
    let mut remarks = Vec::new();
    // The schema gives -1 to an app that was never reconciled.
    let seen = app
        .status
        .as_ref()
        .and_then(|status| status.observed_generation)
        .filter(|generation| *generation >= 0);
    match (seen, app.metadata.generation) {
        (None, _) => remarks.push(
            "the operator has not looked at it yet: does it run, and is this one of its namespaces?".to_owned(),
        ),
        (Some(seen), Some(newest)) if seen < newest => remarks.push(format!(
            "the operator has not looked at the newest spec yet (it is generation {newest}, all below is of {seen})"
        )),
        _ => {}
    }
    if app.spec.paused {
        remarks.push("paused: nothing is changed until spec.paused is false again".to_owned());
    }
    if let Some(since) = &app.metadata.deletion_timestamp {
        remarks.push(format!("being deleted since {}", moment(since.0)));
    }
    remarks
}

/// `2026-11-21 04:05 UTC`.
pub(crate) fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}
