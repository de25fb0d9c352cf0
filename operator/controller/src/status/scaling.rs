//! `Scaled`: whether the autoscaler can do what it is there for.

use observedapp_api::{ConditionType, Reason};

use super::condition::ConditionState;
use super::facts::Facts;
use crate::watch::Fact;

const TYPE: ConditionType = ConditionType::Scaled;

pub fn scaled(facts: &Facts<'_>) -> Option<ConditionState> {
    let given = facts.spec.autoscaling.as_ref()?;
    let Some(autoscaler) = facts.autoscaler.as_ref().and_then(|live| live.facts.as_deref()) else {
        return Some(ConditionState::no(
            TYPE,
            Reason::NotCreated,
            "the HorizontalPodAutoscaler does not exist yet, see Applied",
        ));
    };
    let Some(active) = autoscaler.condition("ScalingActive") else {
        return Some(ConditionState::unknown(
            TYPE,
            Reason::NotKnown,
            format!(
                "the HorizontalPodAutoscaler has not said anything yet: if it stays so, look at `kubectl describe hpa {}`",
                facts.app.name
            ),
        ));
    };
    if active.status != "True" {
        let reason = if active.reason.is_empty() {
            Reason::ScalingInactive
        } else {
            Reason::Kubernetes(active.reason.clone())
        };
        let remedy = remedy(&facts.app.name, active);
        return Some(ConditionState::no(
            TYPE,
            reason,
            format!("{}: {remedy}", active.message),
        ));
    }
    let limited = autoscaler
        .condition("ScalingLimited")
        .filter(|limited| limited.status == "True" && limited.reason == "TooManyReplicas");
    Some(match limited {
        Some(limited) => ConditionState::no(
            TYPE,
            Reason::Kubernetes(limited.reason.clone()),
            format!(
                "{}: raise spec.autoscaling.maxReplicas, which is {}, or make the app use less CPU",
                limited.message, given.max_replicas
            ),
        ),
        None => ConditionState::yes(
            TYPE,
            Reason::Scaled,
            "the autoscaler has its metrics and is not held at its maximum",
        ),
    })
}

fn remedy(app: &str, inactive: &Fact) -> String {
    let message = &inactive.message;
    if inactive.reason == "ScalingDisabled" {
        return format!("scale the Deployment {app} to 1 or more: at 0 an autoscaler does nothing");
    }
    if message.contains("missing request for cpu") {
        return "set spec.resources.requests.cpu".to_owned();
    }
    if message.contains("could not find the requested resource")
        || message.contains("unable to handle the request")
    {
        return "install metrics-server".to_owned();
    }
    if message.contains("metrics API") || message.contains("did not receive metrics") {
        return "pods that just started have no metrics yet; if it stays, check that metrics-server runs"
            .to_owned();
    }
    format!("look at `kubectl describe hpa {app}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_remedy_fits_what_the_autoscaler_lacks() {
        for (reason, message, wanted) in [
            (
                "FailedGetResourceMetric",
                "unable to fetch metrics from resource metrics API: the server could not find the requested resource (get pods.metrics.k8s.io)",
                "install metrics-server",
            ),
            (
                "FailedGetResourceMetric",
                "failed to get cpu utilization: missing request for cpu in container tasks of Pod tasks-1",
                "set spec.resources.requests.cpu",
            ),
            (
                "FailedGetResourceMetric",
                "unable to get metrics for resource cpu: no metrics returned from resource metrics API",
                "pods that just started have no metrics yet; if it stays, check that metrics-server runs",
            ),
            ("Other", "?", "look at `kubectl describe hpa tasks`"),
        ] {
            let inactive = Fact {
                reason: reason.to_owned(),
                message: message.to_owned(),
                ..Fact::default()
            };
            assert_eq!(remedy("tasks", &inactive), wanted);
        }
    }
}
