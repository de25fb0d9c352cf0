#![allow(clippy::unwrap_used)]
use std::fs;
use std::path::{Path, PathBuf};

use observedapp_api::ObservedApp;

use super::super::report::LastDay;
use super::*;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/screens")
}

pub(crate) fn app(name: &str) -> ObservedApp {
    let text = fs::read_to_string(folder().join(format!("{name}.yaml"))).unwrap();
    let mut value: serde_json::Value = serde_yaml::from_str(&text).unwrap();
    observedapp_api::fill_in_defaults(&mut value);
    serde_json::from_value(value).unwrap()
}

/// A day that was quiet until two hours ago.
fn day() -> LastDay {
    let burning = [0.3, 0.8, 6.1, 14.2];
    let points = (0..48).map(|half_hour| match half_hour {
        0..4 => None,
        44.. => Some(burning[half_hour - 44]),
        _ => Some(0.1),
    });
    LastDay::Known([("availability".to_owned(), points.collect())].into())
}

fn rendered(app: &ObservedApp, history: &LastDay, terminal: Terminal) -> String {
    let now = "2026-11-21T12:30:00Z".parse().unwrap();
    draw(&Report::of(app, history), now, terminal)
}

const WIDE: Terminal = Terminal {
    width: 100,
    colour: false,
};

pub(crate) fn compare(name: &str, rendered: &str) {
    let file = folder().join(format!("{name}.txt"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&file, rendered).unwrap();
    }
    let golden = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        rendered == golden,
        "{name}: the screen has changed; UPDATE_GOLDEN=1 takes it. It is now\n{rendered}"
    );
}

#[test]
fn screens_are_as_committed() {
    let missing = LastDay::Missing(
        "the cluster has no Prometheus object; say where it answers with --prometheus URL".to_owned(),
    );
    for (name, history) in [
        ("healthy", &day()),
        ("burning", &day()),
        ("no-data", &missing),
        ("broken", &missing),
        ("long-names", &day()),
        ("not-looked-at", &missing),
        ("baking", &day()),
        ("rolled-back", &day()),
    ] {
        compare(name, &rendered(&app(name), history, WIDE));
    }
}

#[test]
fn a_release_is_told_only_while_there_is_something_to_tell() {
    let mut app = app("baking");
    for (phase, told) in [
        ("Held", true),
        ("RollingOut", true),
        ("Watching", true),
        ("NeverReady", true),
        ("Stable", false),
        ("Superseded", false),
        ("Unjudged", false),
    ] {
        let release = app.status.as_mut().unwrap().release.as_mut().unwrap();
        phase.clone_into(&mut release.phase);
        let title = format!("\nRelease 7  {phase} for 3m\n");
        assert_eq!(rendered(&app, &day(), WIDE).contains(&title), told, "{phase}");
    }
}

#[test]
fn figures_of_earlier_are_called_so() {
    let mut app = app("healthy");
    assert!(rendered(&app, &day(), WIDE).contains("\nSLOs\n"));
    let conditions = &mut app.status.as_mut().unwrap().conditions;
    let met = conditions.last_mut().unwrap();
    "Unknown".clone_into(&mut met.status);
    "PrometheusUnreachable".clone_into(&mut met.reason);
    assert!(rendered(&app, &day(), WIDE).contains("\nSLOs, as last known (see SLOsMet)\n"));
}

#[test]
fn a_narrow_terminal_gets_narrow_lines() {
    let narrow = Terminal {
        width: 44,
        colour: false,
    };
    let text = rendered(&app("burning"), &day(), narrow);
    compare("burning-narrow", &text);
}

#[test]
fn colours_change_nothing_but_colours() {
    let coloured = Terminal { colour: true, ..WIDE };
    for name in ["healthy", "burning", "no-data", "broken"] {
        let plain = rendered(&app(name), &day(), WIDE);
        let mut text = rendered(&app(name), &day(), coloured);
        assert!(text.contains("\x1b[1m"), "{name}");
        for code in [
            "\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[32m", "\x1b[33m",
        ] {
            text = text.replace(code, "");
        }
        assert_eq!(text, plain, "{name}");
    }
}

#[test]
fn the_readme_shows_a_screen_as_it_is() {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md")).unwrap();
    let screen = fs::read_to_string(folder().join("burning.txt")).unwrap();
    assert!(
        readme.contains(&screen),
        "put tests/screens/burning.txt into README.md"
    );
}
