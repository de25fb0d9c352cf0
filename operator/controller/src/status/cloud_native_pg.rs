//! Whether the database of a CloudNativePG `Cluster` is ready.

use observedapp_api::{ConditionType, Reason};

use super::condition::ConditionState;
use crate::watch::Facts;

/// The primary alone takes writes: the database is ready without its replicas.
pub fn primary(name: &str, cluster: &Facts, wanted: i32) -> ConditionState {
    let type_ = ConditionType::DatabaseReady;
    if !cluster.primary_ready {
        let phase = cluster
            .phase
            .as_deref()
            .unwrap_or("CloudNativePG has not looked at it yet");
        return ConditionState::no(
            type_,
            Reason::NotReady,
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
    ConditionState::yes(type_, Reason::AcceptsConnections, message)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Value, json};

    use super::primary;
    use crate::status::condition::ConditionStatus;
    use crate::watch::Partial;

    /// `DatabaseReady` for a Cluster of three instances with this status.
    fn database_ready(status: &Value) -> (ConditionStatus, String) {
        let seen: Partial<false> = serde_json::from_value(json!({
            "metadata": {"name": "tasks-db", "namespace": "shop", "resourceVersion": "7"},
            "spec": {"instances": 3},
            "status": status,
        }))
        .unwrap();
        let condition = primary("tasks", &seen.into_state().facts.unwrap(), 3);
        (condition.status, condition.message)
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
        assert_eq!(status, ConditionStatus::True);
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
        assert_eq!(status, ConditionStatus::True);
        assert!(message.contains("but 2 of 3 instances are ready"), "{message}");
    }

    #[test]
    fn without_its_primary_cloudnativepg_is_not_ready() {
        // The primary's pod is not ready, and nobody has noticed yet.
        let lost = json!({"readyInstances": 2, "instancesStatus": {
            "healthy": ["tasks-db-2", "tasks-db-3"], "failed": ["tasks-db-1"],
        }});
        assert_eq!(database_ready(&with(&lost)).0, ConditionStatus::False);
        // Its node is gone: the pod counts as ready until the node is given up.
        let failing_over = json!({"phase": "Failing over", "targetPrimary": "pending"});
        let (status, message) = database_ready(&with(&failing_over));
        assert_eq!(status, ConditionStatus::False);
        assert!(message.starts_with("Failing over: look at"), "{message}");
    }

    #[test]
    fn a_cluster_that_is_being_set_up_is_not_ready() {
        let (status, message) = database_ready(&json!({"phase": "Setting up primary", "instances": 1}));
        assert_eq!(status, ConditionStatus::False);
        assert!(message.starts_with("Setting up primary: "), "{message}");
        let (_, message) = database_ready(&json!({}));
        assert!(message.contains("has not looked at it yet"), "{message}");
    }
}
