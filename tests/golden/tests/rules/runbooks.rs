//! One page for each alert, where its `runbook_url` leads.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use observedapp_slo::names::alerts;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../manifests/runbooks")
}

#[test]
fn every_alert_has_a_page_and_every_page_an_alert() {
    let pages: BTreeSet<String> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "README.md")
        .collect();
    // The chart's own alerts, on the operator itself, have their pages beside those of the apps.
    let chart = folder().join("../../charts/observedapp/templates/prometheusrule.yaml");
    let chart = fs::read_to_string(chart).unwrap();
    let operators = chart
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "));
    let wanted: BTreeSet<String> = alerts::ALL
        .iter()
        .copied()
        .chain(operators)
        .map(|alert| format!("{alert}.md"))
        .collect();
    assert_eq!(pages, wanted);
    let list = fs::read_to_string(folder().join("README.md")).unwrap();
    for page in pages {
        let row = format!("| [{}]({page}) |", page.trim_end_matches(".md"));
        assert!(
            list.contains(&row),
            "manifests/runbooks/README.md does not list {page}"
        );
    }
}

#[test]
fn every_page_says_what_to_type_first() {
    for alert in alerts::ALL {
        let page = fs::read_to_string(folder().join(format!("{alert}.md"))).unwrap();
        assert!(
            page.starts_with(&format!("# {alert}\n")),
            "{alert}: the title is the alert's name"
        );
        let mut at = 0;
        for heading in [
            "## Meaning",
            "## Impact",
            "## First three commands",
            "## How to mend",
        ] {
            let found = page
                .find(&format!("\n{heading}\n"))
                .unwrap_or_else(|| panic!("{alert} lacks {heading}"));
            assert!(found > at, "{alert}: {heading} is out of order");
            at = found;
        }
        let commands = page
            .split("## First three commands")
            .nth(1)
            .and_then(|rest| rest.split("```").nth(1))
            .unwrap();
        let commands = commands
            .lines()
            .skip(1)
            .filter(|line| !line.starts_with([' ', '#']))
            .count();
        assert_eq!(commands, 3, "{alert}");
    }
}
