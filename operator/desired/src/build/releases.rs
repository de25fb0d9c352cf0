//! What is recorded of releases, and what must stay while pods of two run.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::runtime::RawExtension;
use observedapp_release::{Plan, Record};
use serde_json::Value;

use crate::names::VERSION_LABEL;
use crate::{Component, Desired, Kind, RELEASE_ANNOTATIONS, ReleaseFields, Releases, ValidApp};

/// The record of a release.
pub fn record(app: &ValidApp, record: &Record, fields: &ReleaseFields) -> ControllerRevision {
    // A preview knows nothing of times and verdicts.
    let annotations = app.observed.releases.is_some().then(|| annotations(record));
    let metadata = app.metadata(app.id.release(record.number), Component::App);
    let labels = metadata.labels.map(|mut labels| {
        // The image of the spec is not that of an earlier release.
        labels.remove(VERSION_LABEL);
        labels
    });
    ControllerRevision {
        metadata: ObjectMeta {
            annotations,
            labels,
            ..metadata
        },
        data: serde_json::to_value(fields).ok().map(RawExtension),
        revision: i64::try_from(record.number).unwrap_or(i64::MAX),
    }
}

/// One annotation for each thing that is known: texts as they are, the rest as JSON.
fn annotations(record: &Record) -> BTreeMap<String, String> {
    let fields = match serde_json::to_value(record) {
        Ok(Value::Object(fields)) => fields,
        _ => serde_json::Map::new(),
    };
    fields
        .into_iter()
        .map(|(name, value)| {
            let text = match value {
                Value::String(text) => text,
                other => other.to_string(),
            };
            (format!("{RELEASE_ANNOTATIONS}{name}"), text)
        })
        .collect()
}

/// Records that exist stay, those beyond the newest go; and while pods of two releases may run nothing goes that one of
/// them needs.
pub(super) fn keep(app: &ValidApp, releases: Option<&Releases>, desired: &mut Desired) {
    let observed = app
        .observed
        .releases
        .iter()
        .flat_map(|observed| &observed.records);
    let kept = observed
        .map(|one| one.record.number)
        .filter(|number| releases.is_none_or(|releases| releases.plan.record(*number).is_some()));
    let kept = kept.map(|number| (Kind::ControllerRevision, app.id.release(number)));
    desired.untouched.extend(kept);
    desired.keeps_all = releases.is_some_and(|releases| releases.plan.is_mixed());
}

/// The fields of the release whose pods run beside those of the spec's, or instead of them.
pub(super) fn other<'a>(app: &'a ValidApp, plan: Option<&Plan>) -> Option<&'a ReleaseFields> {
    let plan = plan.filter(|plan| plan.is_mixed())?;
    let records = &app.observed.releases.as_ref()?.records;
    let base = records.iter().find(|one| Some(one.record.number) == plan.base)?;
    Some(&base.fields)
}
