//! What the kubelet writes when a probe fails, in words that name the field to correct.

use observedapp_api::{ConditionType, ObservedAppSpec, Reason};

use super::condition::ConditionState;
use crate::pod_events::PodEvents;
use crate::watch::{Stage, Trouble};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Probe {
    Startup,
    Liveness,
    Readiness,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault<'a> {
    /// Nobody listens on the port.
    Refused,
    /// Nobody answered in time.
    Timeout,
    /// The node finds no way to the pod.
    NoRoute,
    Status(u16),
    /// TLS where plain HTTP was spoken.
    Tls,
    /// Something other than HTTP.
    NotHttp,
    Other(&'a str),
}

/// Which probe failed, and how, from the message of an Event with the reason `Unhealthy`.
fn parse(message: &str) -> Option<(Probe, Fault<'_>)> {
    let (probe, rest) = [
        ("Startup", Probe::Startup),
        ("Liveness", Probe::Liveness),
        ("Readiness", Probe::Readiness),
    ]
    .iter()
    .find_map(|(word, probe)| Some((*probe, message.strip_prefix(word)?)))?;
    let output = rest.strip_prefix(" probe failed: ")?.trim();
    let has = |words: &str| output.contains(words);
    let fault = if let Some(code) = output.strip_prefix("HTTP probe failed with statuscode: ") {
        code.trim().parse().map_or(Fault::Other(output), Fault::Status)
    } else if has("connection refused") {
        Fault::Refused
    } else if has("no route to host") || has("network is unreachable") {
        Fault::NoRoute
    } else if has("Client.Timeout") || has("i/o timeout") || has("context deadline exceeded") {
        Fault::Timeout
    } else if has(r#"malformed HTTP response "\x15\x03"#) {
        Fault::Tls
    } else if has("malformed HTTP") || has("connection reset by peer") || output.ends_with("EOF") {
        Fault::NotHttp
    } else {
        Fault::Other(output)
    };
    Some((probe, fault))
}

/// The newest failure of a probe that can run at the pod's stage: those of an earlier stage are over.
fn newest(events: &PodEvents) -> Option<(Probe, Fault<'_>)> {
    let mut unhealthy = events
        .events
        .iter()
        .filter(|event| event.reason == "Unhealthy")
        .filter_map(|event| parse(&event.message));
    unhealthy.find(|(probe, _)| match events.stage {
        Stage::Creating => false,
        // A container that the liveness probe has ended starts anew.
        Stage::Starting => *probe != Probe::Readiness,
        Stage::Started => *probe != Probe::Startup,
    })
}

/// Whether the kubelet has ended a container because a probe failed. It says so, unless it has said too much of the pod
/// already; but only such a container runs for all of its time to start.
pub fn have_ended(spec: &ObservedAppSpec, trouble: &Trouble, events: &PodEvents) -> bool {
    let is_told = events
        .events
        .iter()
        .any(|event| event.reason == "Killing" && event.message.contains(" probe"));
    let ran_out = trouble
        .ran_for
        .is_some_and(|ran| ran.as_secs() + 2 >= u64::from(startup_seconds(spec).unsigned_abs()));
    trouble.may_be_a_failed_probe() && (is_told || ran_out)
}

fn startup_seconds(spec: &ObservedAppSpec) -> i32 {
    spec.health.as_ref().map_or(60, |health| health.startup_seconds)
}

/// Why a pod that runs is not ready, as far as its probes say.
pub fn explain(spec: &ObservedAppSpec, events: &PodEvents) -> Option<ConditionState> {
    let (probe, fault) = newest(events)?;
    let pod = &events.pod;
    let port = spec.port;
    let (path, field) = match (&spec.health, probe) {
        (None, _) => (None, "spec.port"),
        (Some(health), Probe::Readiness) => {
            (Some(health.readiness_path.as_str()), "spec.health.readinessPath")
        }
        (Some(health), Probe::Startup | Probe::Liveness) => {
            (Some(health.liveness_path.as_str()), "spec.health.livenessPath")
        }
    };
    let asked = path.unwrap_or("the port");
    let logs = format!("look at `kubectl logs {pod}`");
    let wrong_path = match probe {
        Probe::Readiness => Reason::WrongReadinessPath,
        Probe::Startup | Probe::Liveness => Reason::WrongLivenessPath,
    };
    let (reason, fact, remedy) = match fault {
        Fault::Refused if events.stage == Stage::Started => (
            Reason::NothingListens,
            format!("nothing listens on port {port} any more (connection refused)"),
            logs,
        ),
        Fault::Refused => (
            Reason::NothingListens,
            format!("nothing listens on port {port} (connection refused)"),
            format!(
                "correct spec.port, or wait if the app is slow: spec.health.startupSeconds gives it {} s to start",
                startup_seconds(spec)
            ),
        ),
        Fault::Status(400) => (
            wrong_path,
            format!("{asked} answers 400 to plain HTTP with the pod's address as its host"),
            format!("correct {field} or spec.port, or let the app take any host there"),
        ),
        Fault::Status(code @ (401 | 403 | 407)) => (
            wrong_path,
            format!("{asked} answers {code}"),
            format!("correct {field} to a path that needs no login"),
        ),
        Fault::Status(code) if (402..=428).contains(&code) || code == 501 => (
            wrong_path,
            format!("{asked} answers {code}"),
            format!("correct {field}"),
        ),
        Fault::Status(code) => (
            match probe {
                Probe::Readiness => Reason::ReadinessFails,
                Probe::Startup | Probe::Liveness => Reason::LivenessFails,
            },
            format!("{asked} answers {code}, so the app itself says that it cannot serve"),
            format!("{logs}, or correct {field} if that is not what it is for"),
        ),
        Fault::Timeout => (
            Reason::ProbeTimeout,
            format!("{asked} does not answer on port {port} within 5 s"),
            format!("{logs}, correct {field}, or give the app more CPU in spec.resources"),
        ),
        Fault::NoRoute => (
            Reason::PodUnreachable,
            "its node finds no route to it".to_owned(),
            "look at the cluster's network, not at the spec".to_owned(),
        ),
        Fault::Tls => (
            Reason::NotHTTP,
            format!("port {port} answers in TLS, and the health checks speak plain HTTP"),
            "correct spec.port to one that speaks plain HTTP, or remove spec.health".to_owned(),
        ),
        Fault::NotHttp => (
            Reason::NotHTTP,
            format!("what listens on port {port} does not answer in HTTP"),
            "correct spec.port, or remove spec.health to have only the port checked".to_owned(),
        ),
        Fault::Other(output) => (
            Reason::ProbeFails,
            format!("{asked} does not answer as it should on port {port}: {output}"),
            format!("correct {field}"),
        ),
    };
    Some(ConditionState::no(
        ConditionType::Available,
        reason,
        format!("pod {pod}: {fact}: {remedy}"),
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;
    use crate::pod_events::PodEvent;

    /// Texts of the kubelet of Kubernetes 1.34, what they are taken for, and the words that a user must find.
    const TABLE: &[(&str, Stage, &str, &[&str])] = &[
        (
            r#"Startup probe failed: Get "http://10.42.0.7:5001/live": dial tcp 10.42.0.7:5001: connect: connection refused"#,
            Stage::Starting,
            "NothingListens",
            &["nothing listens on port 5001", "correct spec.port", "40 s"],
        ),
        (
            r#"Liveness probe failed: Get "http://10.42.0.7:5001/live": dial tcp 10.42.0.7:5001: connect: connection refused"#,
            Stage::Started,
            "NothingListens",
            &["5001 any more", "kubectl logs tasks-1"],
        ),
        (
            "Startup probe failed: HTTP probe failed with statuscode: 404",
            Stage::Starting,
            "WrongLivenessPath",
            &["pod tasks-1: /live answers 404: correct spec.health.livenessPath"],
        ),
        (
            "Readiness probe failed: HTTP probe failed with statuscode: 404",
            Stage::Started,
            "WrongReadinessPath",
            &["pod tasks-1: /ready answers 404: correct spec.health.readinessPath"],
        ),
        (
            "Readiness probe failed: HTTP probe failed with statuscode: 401",
            Stage::Started,
            "WrongReadinessPath",
            &["answers 401", "spec.health.readinessPath", "login"],
        ),
        (
            "Startup probe failed: HTTP probe failed with statuscode: 400",
            Stage::Starting,
            "WrongLivenessPath",
            &[
                "answers 400 to plain HTTP",
                "spec.health.livenessPath or spec.port",
            ],
        ),
        (
            "Readiness probe failed: HTTP probe failed with statuscode: 503",
            Stage::Started,
            "ReadinessFails",
            &["/ready answers 503", "kubectl logs tasks-1"],
        ),
        (
            r#"Startup probe failed: Get "http://10.42.0.7:5001/live": context deadline exceeded (Client.Timeout exceeded while awaiting headers)"#,
            Stage::Starting,
            "ProbeTimeout",
            &[
                "/live does not answer on port 5001 within 5 s",
                "spec.health.livenessPath",
            ],
        ),
        (
            r#"Readiness probe failed: Get "http://10.42.0.7:5001/ready": dial tcp 10.42.0.7:5001: i/o timeout (Client.Timeout exceeded while awaiting headers)"#,
            Stage::Started,
            "ProbeTimeout",
            &["/ready does not answer"],
        ),
        (
            r#"Startup probe failed: Get "http://10.42.0.7:5001/live": dial tcp 10.42.0.7:5001: connect: no route to host"#,
            Stage::Starting,
            "PodUnreachable",
            &["no route", "the cluster's network"],
        ),
        (
            r#"Startup probe failed: Get "http://10.42.0.7:5001/live": net/http: HTTP/1.x transport connection broken: malformed HTTP response "\x15\x03\x01\x00\x02\x02""#,
            Stage::Starting,
            "NotHTTP",
            &["answers in TLS", "spec.port"],
        ),
        (
            r#"Startup probe failed: Get "http://10.42.0.7:5001/live": net/http: HTTP/1.x transport connection broken: malformed HTTP response "-ERR unknown command 'GET'""#,
            Stage::Starting,
            "NotHTTP",
            &["does not answer in HTTP", "spec.port"],
        ),
        (
            r#"Startup probe failed: Get "http://10.42.0.7:5001/live": EOF"#,
            Stage::Starting,
            "NotHTTP",
            &["spec.port"],
        ),
        (
            r#"Startup probe failed: Get "http://10.42.0.7:5001/live": stopped after 10 redirects"#,
            Stage::Starting,
            "ProbeFails",
            &["stopped after 10 redirects", "spec.health.livenessPath"],
        ),
    ];

    fn spec(health: bool) -> ObservedAppSpec {
        let health =
            health.then(|| json!({"livenessPath": "/live", "readinessPath": "/ready", "startupSeconds": 40}));
        serde_json::from_value(json!({"image": "tasks:1", "port": 5001, "health": health})).unwrap()
    }

    fn events(stage: Stage, messages: &[&str]) -> PodEvents {
        let events = messages.iter().map(|message| PodEvent {
            reason: "Unhealthy".to_owned(),
            message: (*message).to_owned(),
        });
        PodEvents::of("tasks-1", stage, events.collect())
    }

    #[test]
    fn the_kubelet_s_words_become_a_field_and_a_fact() {
        for (message, stage, reason, words) in TABLE {
            let condition = explain(&spec(true), &events(*stage, &[message])).unwrap();
            assert_eq!(condition.reason.as_str(), *reason, "{message}");
            for word in *words {
                assert!(
                    condition.message.contains(word),
                    "{message}: {}",
                    condition.message
                );
            }
        }
    }

    #[test]
    fn without_health_paths_only_the_port_is_asked() {
        for (message, reason) in [
            (
                "Startup probe failed: dial tcp 10.42.0.7:5001: connect: connection refused",
                "NothingListens",
            ),
            (
                "Startup probe failed: dial tcp 10.42.0.7:5001: i/o timeout",
                "ProbeTimeout",
            ),
        ] {
            let condition = explain(&spec(false), &events(Stage::Starting, &[message])).unwrap();
            assert_eq!(condition.reason.as_str(), reason);
            assert!(condition.message.contains("port 5001"), "{}", condition.message);
            assert!(!condition.message.contains("Path"), "{}", condition.message);
        }
    }

    #[test]
    fn failures_of_a_stage_that_is_over_are_not_told() {
        let refused = "Startup probe failed: dial tcp 10.42.0.7:5001: connect: connection refused";
        let missing = "Readiness probe failed: HTTP probe failed with statuscode: 404";
        let explained = |stage, messages: &[&str]| explain(&spec(true), &events(stage, messages));
        assert_eq!(explained(Stage::Started, &[refused]), None);
        assert_eq!(explained(Stage::Starting, &[missing]), None);
        assert_eq!(explained(Stage::Creating, &[refused]), None);
        let condition = explained(Stage::Started, &[refused, missing]).unwrap();
        assert_eq!(condition.reason, Reason::WrongReadinessPath);
        // What is no failure of a probe is not taken for one.
        let errored = "Readiness probe errored and resulted in unknown state: rpc error: code = Unavailable";
        assert_eq!(explained(Stage::Started, &[errored]), None);
    }
}
