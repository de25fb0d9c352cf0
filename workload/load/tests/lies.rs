//! An answer with the right code and the wrong content is a failure.
#![allow(clippy::unwrap_used)]

mod support;

use support::Run;
use support::liar::{HONEST, Liar};

#[test]
fn wrong_content_is_a_failure_whatever_the_code() {
    for (liar, failure) in [
        (HONEST, "a task is missing from the list"),
        (
            Liar {
                get: "tasks",
                ..HONEST
            },
            "not a list: ",
        ),
        (
            Liar {
                get: r#"[{"id":2,"task":"b"},{"id":1,"task":"a"}]"#,
                ..HONEST
            },
            "the list is not in order",
        ),
        (
            Liar {
                post: r#"{"message":"Task taken"}"#,
                ..HONEST
            },
            r#"not the message "Task added""#,
        ),
        (Liar { put: "{}", ..HONEST }, r#"not the message "Task updated""#),
        (Liar { delete: "", ..HONEST }, "not JSON: "),
    ] {
        let run = Run::against(&liar.listen().url, &[]);
        assert_eq!(run.code, 1, "{failure}: {}", run.stdout);
        let reported = run.failures().iter().any(|what| what.starts_with(failure));
        assert!(reported, "{failure}: {:?}", run.failures());
    }
}

/// Ids that the service is going to give out, each with a text that no user chose.
#[test]
fn a_text_that_was_changed_is_a_failure() {
    let tasks: Vec<String> = (1..1000)
        .map(|id| format!(r#"{{"id":{id},"task":"changed"}}"#))
        .collect();
    let get = Box::leak(format!("[{}]", tasks.join(",")).into_boxed_str());
    let run = Run::against(&Liar { get, ..HONEST }.listen().url, &[]);
    assert_eq!(run.code, 1);
    assert!(
        run.failures()
            .contains(&"a task has another text than it was given"),
        "{:?}",
        run.failures()
    );
}

#[test]
fn failures_of_one_kind_are_counted_together() {
    let run = Run::against(&Liar { put: "{}", ..HONEST }.listen().url, &[]);
    let failures = run.summary["failures"].as_array().unwrap();
    let counted: u64 = failures
        .iter()
        .map(|failure| failure["count"].as_u64().unwrap())
        .sum();
    assert_eq!(counted, run.count("failed"));
    assert!(
        run.report
            .contains("<tr><td>not the message \"Task updated\"</td>"),
        "{}",
        run.report
    );
}

#[test]
fn every_user_has_connections_of_its_own() {
    let service = HONEST.listen();
    let run = Run::against(&service.url, &["--users", "7", "--fail-above", "100%"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    // On a busy machine a user may ask again before its connection is known to be free, and gets another one.
    let connections = service.connections();
    assert!(
        (7..14).contains(&connections),
        "7 users had {connections} connections: they share some, or keep none"
    );
}
