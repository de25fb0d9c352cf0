//! `DatabaseReady`, `CacheReady`, `Exposed`.

use observedapp_api::{ConditionType, ServiceType};

use super::conditions::{AppFacts, Finding, Progress};
use super::pod_faults::{explain, worst};
use crate::watch::{Facts, Live};
use observedapp_desired::Kind;

pub fn database_ready(facts: &AppFacts<'_>) -> Option<Finding> {
    let type_ = ConditionType::DatabaseReady;
    let database = facts.spec.database.as_ref()?;
    if let Some(external) = &database.external {
        return Some(external_secret(
            facts,
            type_,
            &external.secret_name,
            "spec.database.external.secretName",
        ));
    }
    if let Progress::Applied { desired, .. } | Progress::Paused(desired) = &facts.progress
        && let Some(lost) = &desired.database_lost
    {
        return Some(Finding::no(type_, "SecretLost", lost.to_string()));
    }
    if database.builtin.is_some() {
        return Some(running(facts, type_, facts.database, "database"));
    }
    let Some(cluster) = facts.database.and_then(|live| live.facts.as_deref()) else {
        return Some(Finding::no(
            type_,
            "NotCreated",
            "the Cluster does not exist yet, see Applied",
        ));
    };
    let wanted = database
        .cloud_native_pg
        .as_ref()
        .map_or(0, |database| database.instances);
    Some(primary(facts.name, cluster, wanted))
}

/// The primary alone takes writes: the database is ready without its replicas.
fn primary(name: &str, cluster: &Facts, wanted: i32) -> Finding {
    let type_ = ConditionType::DatabaseReady;
    if !cluster.primary_ready {
        let phase = cluster
            .phase
            .as_deref()
            .unwrap_or("CloudNativePG has not looked at it yet");
        return Finding::no(
            type_,
            "NotReady",
            format!("{phase}: look at `kubectl describe cluster {name}-db`"),
        );
    }
    let ready = cluster.ready;
    let message = if ready < wanted {
        format!(
            "the primary accepts connections, but {ready} of {wanted} instances are ready: look at `kubectl describe \
             cluster {name}-db`"
        )
    } else {
        format!("the primary accepts connections, and {ready} instances are ready")
    };
    Finding::yes(type_, "AcceptsConnections", message)
}

pub fn cache_ready(facts: &AppFacts<'_>) -> Option<Finding> {
    let type_ = ConditionType::CacheReady;
    let cache = facts.spec.cache.as_ref()?;
    if let Some(external) = &cache.external {
        return Some(external_secret(
            facts,
            type_,
            &external.secret_name,
            "spec.cache.external.secretName",
        ));
    }
    Some(running(facts, type_, facts.cache, "cache"))
}

/// What answers elsewhere can only be told by the app's own readiness; that we know where it is can be told here.
fn external_secret(facts: &AppFacts<'_>, type_: ConditionType, secret: &str, field: &str) -> Finding {
    let absent = facts
        .absent
        .iter()
        .any(|key| key.kind == Kind::Secret && *key.name == *secret);
    if absent {
        Finding::no(
            type_,
            "SecretMissing",
            format!("the Secret {secret} does not exist: create it, or correct {field}"),
        )
    } else {
        Finding::yes(
            type_,
            "External",
            format!(
                "the Secret {secret} says where it is; whether it answers, the app's own readiness tells"
            ),
        )
    }
}

/// A workload of one pod, ready when its pod is: the pod's readiness check is a connection.
fn running(facts: &AppFacts<'_>, type_: ConditionType, live: Option<&Live>, component: &str) -> Finding {
    let Some(workload) = live.and_then(|live| live.facts.as_deref()) else {
        return Finding::no(type_, "NotCreated", "it does not exist yet, see Applied");
    };
    if workload.ready > 0 {
        return Finding::yes(type_, "AcceptsConnections", "it accepts connections");
    }
    if let Some((pod, trouble)) = worst(facts.pods, component) {
        let explained = explain(facts, component, pod, trouble);
        return Finding { type_, ..explained };
    }
    if let Some(failure) = workload
        .condition("ReplicaFailure")
        .filter(|fact| fact.status == "True")
    {
        return Finding::no(type_, "PodsNotCreated", failure.message.clone());
    }
    Finding::no(type_, "Starting", "it does not accept connections yet")
}

pub fn exposed(facts: &AppFacts<'_>) -> Option<Finding> {
    let type_ = ConditionType::Exposed;
    let balanced = facts.spec.service.type_ == ServiceType::LoadBalancer;
    if facts.spec.ingress.is_none() && !balanced {
        return None;
    }
    if balanced && addresses(facts.service).is_empty() {
        return Some(Finding::no(
            type_,
            "NoAddress",
            "the load balancer has no address yet: without a cloud's controller (or MetalLB) it never gets one",
        ));
    }
    if let Some(ingress) = &facts.spec.ingress {
        if facts.ingress.is_none() {
            return Some(Finding::no(
                type_,
                "NotCreated",
                "the Ingress does not exist yet, see Applied",
            ));
        }
        if let Some(classes) = facts.ingress_classes {
            let names = || {
                classes
                    .iter()
                    .map(|(name, _)| name.as_str())
                    .collect::<Vec<_>>()
                    .join(", ")
            };
            let known = || {
                if classes.is_empty() {
                    "there is none: install an ingress controller".to_owned()
                } else {
                    format!("there are: {}", names())
                }
            };
            match &ingress.class_name {
                Some(class) if !classes.iter().any(|(name, _)| name == class) => {
                    return Some(Finding::no(
                        type_,
                        "ClassMissing",
                        format!("the IngressClass {class} does not exist; {}", known()),
                    ));
                }
                None if !classes.iter().any(|(_, default)| *default) => {
                    return Some(Finding::no(
                        type_,
                        "NoDefaultClass",
                        format!(
                            "spec.ingress.className is not given and no IngressClass is the default; {}",
                            known()
                        ),
                    ));
                }
                _ => {}
            }
        }
    }
    Some(Finding::yes(
        type_,
        "Exposed",
        "requests from outside find their way",
    ))
}

fn addresses(live: Option<&Live>) -> &[String] {
    live.and_then(|live| live.facts.as_deref())
        .map_or(&[], |facts| facts.addresses.as_slice())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Value, json};

    use super::primary;
    use crate::status::conditions::Answer;
    use crate::watch::Seen;

    /// `DatabaseReady` for a Cluster of three instances with this status.
    fn database_ready(status: &Value) -> (Answer, String) {
        let seen: Seen<false> = serde_json::from_value(json!({
            "metadata": {"name": "tasks-db", "namespace": "shop", "resourceVersion": "7"},
            "spec": {"instances": 3},
            "status": status,
        }))
        .unwrap();
        let finding = primary("tasks", &seen.into_live().facts.unwrap(), 3);
        (finding.status, finding.message)
    }

    /// As CloudNativePG writes it for a healthy Cluster.
    fn healthy() -> Value {
        json!({
            "phase": "Cluster in healthy state",
            "instances": 3,
            "readyInstances": 3,
            "instanceNames": ["tasks-db-1", "tasks-db-2", "tasks-db-3"],
            "instancesStatus": {"healthy": ["tasks-db-1", "tasks-db-2", "tasks-db-3"]},
            "instancesReportedState": {
                "tasks-db-1": {"isPrimary": true, "timeLineID": 1},
                "tasks-db-2": {"isPrimary": false, "timeLineID": 1},
                "tasks-db-3": {"isPrimary": false, "timeLineID": 1},
            },
            "currentPrimary": "tasks-db-1",
            "currentPrimaryTimestamp": "2026-01-02T02:21:54.830318Z",
            "targetPrimary": "tasks-db-1",
            "conditions": [
                {"type": "Ready", "status": "True", "reason": "ClusterIsReady", "message": "Cluster is Ready"},
            ],
        })
    }

    fn with(changes: &Value) -> Value {
        let mut status = healthy();
        json_patch::merge(&mut status, changes);
        status
    }

    #[test]
    fn a_lost_replica_of_cloudnativepg_is_reported_and_leaves_the_database_ready() {
        let (status, message) = database_ready(&healthy());
        assert_eq!(status, Answer::True);
        assert_eq!(
            message,
            "the primary accepts connections, and 3 instances are ready"
        );
        let (status, message) = database_ready(&with(&json!({
            "phase": "Waiting for the instances to become active",
            "readyInstances": 2,
            "instancesStatus": {"healthy": ["tasks-db-1", "tasks-db-2"], "replicating": ["tasks-db-3"]},
            "conditions": [
                {"type": "Ready", "status": "False", "reason": "ClusterIsNotReady", "message": "Cluster Is Not Ready"},
            ],
        })));
        assert_eq!(status, Answer::True);
        assert!(message.contains("but 2 of 3 instances are ready"), "{message}");
    }

    #[test]
    fn without_its_primary_cloudnativepg_is_not_ready() {
        // The primary's pod is not ready, and nobody has noticed yet.
        let lost = json!({"readyInstances": 2, "instancesStatus": {
            "healthy": ["tasks-db-2", "tasks-db-3"], "failed": ["tasks-db-1"],
        }});
        assert_eq!(database_ready(&with(&lost)).0, Answer::False);
        // Its node is gone: the pod counts as ready until the node is given up.
        let failing_over = json!({"phase": "Failing over", "targetPrimary": "pending"});
        let (status, message) = database_ready(&with(&failing_over));
        assert_eq!(status, Answer::False);
        assert!(message.starts_with("Failing over: look at"), "{message}");
    }

    #[test]
    fn a_cluster_that_is_being_set_up_is_not_ready() {
        let (status, message) = database_ready(&json!({"phase": "Setting up primary", "instances": 1}));
        assert_eq!(status, Answer::False);
        assert!(message.starts_with("Setting up primary: "), "{message}");
        let (_, message) = database_ready(&json!({}));
        assert!(message.contains("has not looked at it yet"), "{message}");
    }
}
