//! `DatabaseReady` and `CacheReady`.

use observedapp_api::{ConditionType, Reason};
use observedapp_desired::Kind;

use super::cloud_native_pg::primary;
use super::condition::ConditionState;
use super::facts::Facts;
use super::pod_faults::{explain, worst};
use crate::watch::ChildState;

pub fn database_ready(facts: &Facts<'_>) -> Option<ConditionState> {
    let type_ = ConditionType::DatabaseReady;
    let database = facts.spec.database.as_ref()?;
    if let Some(external) = &database.external {
        let keys = facts.database_secret_keys.as_deref();
        return Some(external_secret(
            facts,
            type_,
            (&external.secret_name, &external.key),
            keys,
            "spec.database.external",
        ));
    }
    let desired = facts.progress.desired();
    if let Some(lost) = desired.and_then(|desired| desired.database_lost.as_ref()) {
        return Some(ConditionState::no(type_, Reason::SecretLost, lost.to_string()));
    }
    if database.builtin.is_some() {
        return Some(running(facts, type_, facts.database.as_deref(), "database"));
    }
    let Some(cluster) = facts.database.as_ref().and_then(|live| live.facts.as_deref()) else {
        return Some(ConditionState::no(
            type_,
            Reason::NotCreated,
            "the Cluster does not exist yet, see Applied",
        ));
    };
    let wanted = database
        .cloud_native_pg
        .as_ref()
        .map_or(0, |database| database.instances);
    Some(primary(&facts.app.name, cluster, wanted))
}

pub fn cache_ready(facts: &Facts<'_>) -> Option<ConditionState> {
    let type_ = ConditionType::CacheReady;
    let cache = facts.spec.cache.as_ref()?;
    if let Some(external) = &cache.external {
        let keys = facts.cache_secret_keys.as_deref();
        return Some(external_secret(
            facts,
            type_,
            (&external.secret_name, &external.key),
            keys,
            "spec.cache.external",
        ));
    }
    Some(running(facts, type_, facts.cache.as_deref(), "cache"))
}

/// Whether what answers elsewhere takes connections, only the app finds out.
fn external_secret(
    facts: &Facts<'_>,
    type_: ConditionType,
    (secret, key): (&String, &String),
    keys: Option<&[String]>,
    field: &str,
) -> ConditionState {
    if facts.is_absent(Kind::Secret, secret) {
        return ConditionState::no(
            type_,
            Reason::SecretMissing,
            format!("the Secret {secret} does not exist: create it, or correct {field}.secretName"),
        );
    }
    match keys {
        Some(keys) if !keys.contains(key) => ConditionState::no(
            type_,
            Reason::KeyMissing,
            format!(
                "the Secret {secret} has no key {key}: it has {}: correct {field}.key, or add the key",
                if keys.is_empty() {
                    "none".to_owned()
                } else {
                    keys.join(", ")
                }
            ),
        ),
        Some(_) => ConditionState::yes(
            type_,
            Reason::External,
            format!(
                "the Secret {secret} has the key {key}; whether it accepts connections is the app's to find out"
            ),
        ),
        None => ConditionState::unknown(
            type_,
            Reason::NotChecked,
            format!("the Secret {secret} has not been read, see Applied"),
        ),
    }
}

/// A workload of one pod, ready when its pod is: the pod's readiness check is a connection.
fn running(
    facts: &Facts<'_>,
    type_: ConditionType,
    live: Option<&ChildState>,
    component: &str,
) -> ConditionState {
    let Some(workload) = live.and_then(|live| live.facts.as_deref()) else {
        return ConditionState::no(type_, Reason::NotCreated, "it does not exist yet, see Applied");
    };
    if workload.ready > 0 {
        return ConditionState::yes(type_, Reason::AcceptsConnections, "it accepts connections");
    }
    if let Some((pod, trouble)) = worst(&facts.pods, component) {
        let explained = explain(facts, component, pod, trouble);
        return ConditionState { type_, ..explained };
    }
    if let Some(failure) = workload
        .condition("ReplicaFailure")
        .filter(|fact| fact.status == "True")
    {
        return ConditionState::no(type_, Reason::PodsNotCreated, failure.message.clone());
    }
    ConditionState::no(type_, Reason::Starting, "it does not accept connections yet")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use observedapp_api::{AppRef, ObservedAppSpec};
    use observedapp_desired::Desired;
    use serde_json::json;

    use super::*;
    use crate::status::Progress;

    #[test]
    fn of_an_external_database_no_more_is_said_than_its_secret_tells() {
        let app = AppRef::new("shop", "tasks");
        let spec: ObservedAppSpec = serde_json::from_value(
            json!({"image": "tasks:1", "database": {"external": {"secretName": "my-db"}}}),
        )
        .unwrap();
        let progress = Progress::applied(Desired::default());
        let ready = |key: &str| {
            let facts = Facts {
                database_secret_keys: Some(vec![key.to_owned()]),
                ..Facts::without_objects(&app, &spec, &progress)
            };
            database_ready(&facts).unwrap()
        };
        let there = ready("uri");
        assert_eq!(there.status.as_str(), "True");
        assert_eq!(
            there.message,
            "the Secret my-db has the key uri; whether it accepts connections is the app's to find out"
        );
        let missing = ready("url");
        assert_eq!(
            (missing.status.as_str(), missing.reason),
            ("False", Reason::KeyMissing)
        );
        assert!(missing.message.contains("it has url"), "{}", missing.message);
    }
}
