//! What cannot be done is said in a sentence, before any load.
#![allow(clippy::unwrap_used)]

mod support;

use support::liar::HONEST;
use support::tasks_load;

#[test]
fn a_wrong_argument_is_answered_with_what_to_write() {
    for (argument, wrong, sentence) in [
        ("--host", "localhost:5000", "write it with http:// or https://"),
        ("--users", "0", "write a number, 1 or more"),
        ("--users", "many", "write a number, 1 or more"),
        ("--spawn-rate", "0", "write a number, 1 or more"),
        ("--duration", "soon", "write a time such as 500ms, 30s, 5m or 1h"),
        ("--duration", "0s", "write a time such as 500ms, 30s, 5m or 1h"),
        ("--duration", "1500ms", "write whole seconds, 1s or more"),
        ("--think-time", "5s-1s", "the least pause is longer than the most"),
        ("--timeout", "-1s", "write a time such as 500ms, 30s, 5m or 1h"),
        ("--fail-above", "101%", "write a share such as 0% or 0.5%"),
    ] {
        let output = tasks_load(&[&format!("{argument}={wrong}")]);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{argument} {wrong}: {stderr}");
        assert!(
            stderr.contains(&format!("invalid value '{wrong}' for '{argument}")),
            "{stderr}"
        );
        assert!(stderr.contains(sentence), "{argument} {wrong}: {stderr}");
    }
}

#[test]
fn a_service_that_is_not_there_is_named() {
    let nowhere = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let output = tasks_load(&["--host", &format!("http://{nowhere}")]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr.starts_with(&format!("tasks-load: cannot reach http://{nowhere}: ")),
        "{stderr}"
    );
    assert!(stderr.ends_with("Does the service run there?\n"), "{stderr}");
}

#[test]
fn a_file_that_cannot_be_written_is_named_before_the_load() {
    let service = HONEST.listen();
    for argument in ["--report", "--summary"] {
        let output = tasks_load(&["--host", &service.url, argument, "/nowhere/at/all"]);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(
            stderr.starts_with("tasks-load: cannot write /nowhere/at/all: "),
            "{stderr}"
        );
    }
    assert_eq!(service.connections(), 0);
}
