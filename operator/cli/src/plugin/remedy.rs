//! From a condition that is not True to one line of what to do about it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use observedapp_api::{AppRef, ConditionType, Reason, Remedy};

/// A condition's message in its two parts.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Advice {
    pub cause: String,
    pub remedy: String,
}

/// What to do about a condition that is not True.
pub(crate) fn advice(app: &AppRef, condition: &Condition) -> Advice {
    let message = condition.message.trim();
    let whole = |remedy: String| Advice {
        cause: message.to_owned(),
        remedy,
    };
    let describe = || {
        whole(format!(
            "look at `kubectl describe oapp {} -n {}`",
            app.name, app.namespace
        ))
    };
    if condition.type_ == ConditionType::Ready.as_str() {
        // Its message repeats that of the condition that lowers it.
        return match message.split_once(" is ") {
            Some((cause, _)) if !cause.contains(' ') => Advice {
                cause: String::new(),
                remedy: format!("see {cause}"),
            },
            _ => describe(),
        };
    }
    match Reason::read(&condition.reason).remedy() {
        Remedy::Wait => {
            whole("wait: the operator tries again by itself, and its log says how that goes".to_owned())
        }
        Remedy::See(type_) => whole(format!("see {}", type_.as_str())),
        Remedy::Do(remedy) => whole(
            remedy
                .replace("NAMESPACE", &app.namespace)
                .replace("NAME", &app.name),
        ),
        Remedy::InMessage => match message.rsplit_once(": ") {
            Some((cause, remedy)) => Advice {
                cause: cause.to_owned(),
                remedy: remedy.to_owned(),
            },
            None => describe(),
        },
        Remedy::None => describe(),
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
        advice(&AppRef::new("shop", "tasks"), &condition)
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
        let foreign = "the Service tasks exists already and is left alone: it is helm's: rename the app, or delete or move that object";
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
