//! From a condition that is not True to one line of what to do about it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

/// A condition's message in its two parts.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Advice {
    pub cause: String,
    pub remedy: String,
}

/// Most messages end in their remedy, as `CAUSE: REMEDY`. The reasons of those that do not, because they pass by
/// themselves or because another condition knows more, are told apart here.
pub(crate) fn advice(namespace: &str, name: &str, condition: &Condition) -> Advice {
    let message = condition.message.trim();
    let whole = |remedy: String| Advice {
        cause: message.to_owned(),
        remedy,
    };
    let split = |at: &str| {
        message.rsplit_once(at).map(|(cause, remedy)| Advice {
            cause: cause.to_owned(),
            remedy: remedy.to_owned(),
        })
    };
    let describe = || whole(format!("look at `kubectl describe oapp {name} -n {namespace}`"));
    if condition.type_ == "Ready" {
        // Its message repeats that of the condition that lowers it.
        return match message.split_once(" is ") {
            Some((cause, _)) if !cause.contains(' ') => Advice {
                cause: String::new(),
                remedy: format!("see {cause}"),
            },
            _ => describe(),
        };
    }
    match condition.reason.as_str() {
        "NotAsked"
        | "NotChecked"
        | "Moved"
        | "Applying"
        | "Conflict"
        | "Throttled"
        | "BeingDeleted"
        | "NotLeader"
        | "ApiNotReady"
        | "ApiServerUnavailable" => {
            whole("wait: the operator tries again by itself, and its log says how that goes".to_owned())
        }
        "NotCreated" | "NotApplied" => whole("see Applied".to_owned()),
        "NotAnsweredYet" => whole("see Available".to_owned()),
        "Invalid" => whole("see Valid".to_owned()),
        "RollingOut" | "Starting" => whole(format!(
            "wait; if it does not end: kubectl describe pods -n {namespace} -l app.kubernetes.io/instance={name}"
        )),
        "PodsNotCreated" => whole(format!(
            "kubectl describe replicasets -n {namespace} -l app.kubernetes.io/instance={name}"
        )),
        "NamespaceTerminating" => whole("nothing: the namespace goes, and the app with it".to_owned()),
        "Paused" => whole("set spec.paused to false when changes may be made again".to_owned()),
        "NoAddress" => {
            whole("install a load balancer's controller, or set spec.service.type to ClusterIP".to_owned())
        }
        "ClassMissing" | "NoDefaultClass" => whole(
            "set spec.ingress.className to a class that exists, or install its ingress controller".to_owned(),
        ),
        "NoData" => whole(
            "send it requests; if it has some, Monitored and RulesLoaded say what is missing".to_owned(),
        ),
        "NotSaid" | "BoundedBySize" => {
            whole("nothing, if you know that it suffices; else bound the retention by time".to_owned())
        }
        "ForeignObject" => split("; ").unwrap_or_else(describe),
        // All problems at once, each with its field and remedy.
        _ if condition.type_ == "Valid" => {
            whole("correct the spec; `observedapp check FILE` says the same before it is applied".to_owned())
        }
        _ => split(": ").unwrap_or_else(describe),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(type_: &str, reason: &str, message: &str) -> Advice {
        let condition: Condition = serde_json::from_value(serde_json::json!({
            "type": type_, "status": "False", "reason": reason, "message": message,
            "lastTransitionTime": "2026-11-21T12:00:00Z",
        }))
        .unwrap_or_else(|error| panic!("{error}"));
        advice("shop", "tasks", &condition)
    }

    #[test]
    fn a_message_that_ends_in_its_remedy_is_taken_apart_there() {
        let message = "1 of 2 targets of the job tasks are down: HTTP status 404: check spec.metrics and the NetworkPolicies";
        assert_eq!(
            of("Monitored", "TargetDown", message),
            Advice {
                cause: "1 of 2 targets of the job tasks are down: HTTP status 404".to_owned(),
                remedy: "check spec.metrics and the NetworkPolicies".to_owned(),
            }
        );
        let foreign = "the Service tasks exists already and is left alone: it is helm's; rename the app, or delete or move that object";
        assert_eq!(
            of("Applied", "ForeignObject", foreign).remedy,
            "rename the app, or delete or move that object"
        );
    }

    #[test]
    fn an_error_s_own_colons_are_not_taken_for_a_remedy() {
        let advice = of(
            "Applied",
            "ApiServerUnavailable",
            "patch Service tasks: etcdserver: request timed out",
        );
        assert_eq!(advice.cause, "patch Service tasks: etcdserver: request timed out");
        assert!(advice.remedy.starts_with("wait: "), "{}", advice.remedy);
    }

    #[test]
    fn ready_points_to_what_lowers_it() {
        let advice = of(
            "Ready",
            "Forbidden",
            "Applied is False: patch Service tasks: no: give it",
        );
        assert_eq!(
            (advice.cause.as_str(), advice.remedy.as_str()),
            ("", "see Applied")
        );
    }

    #[test]
    fn whatever_is_said_there_is_something_to_do() {
        for (type_, reason, message) in [
            (
                "Valid",
                "InvalidSpecSlos",
                "spec.slos[0]: no: do; spec.port: no: do",
            ),
            ("Available", "Unheard", "a sentence without a colon"),
            ("Ready", "Unheard", ""),
            (
                "Exposed",
                "ClassMissing",
                "the IngressClass a does not exist; there are: b, c",
            ),
        ] {
            let advice = of(type_, reason, message);
            assert!(advice.remedy.len() > 5 && advice.cause == message, "{advice:?}");
        }
    }
}
