//! What holds of every dashboard: Grafana's types, its linter's rules, and queries that parse.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::process::Command;
use std::{fs, str};

use golden_tests::Case;
use observedapp_desired::{Object, desired, fleet_dashboard};
use serde_json::Value;

fn dashboards() -> Vec<(String, Value)> {
    let mut dashboards = Vec::new();
    for case in Case::all().unwrap() {
        for object in desired(&case.validate().unwrap()).objects {
            if let Object::ConfigMap(config_map) = object
                && let Some(label) = config_map
                    .metadata
                    .labels
                    .as_ref()
                    .unwrap()
                    .get("grafana_dashboard")
            {
                assert_eq!(label, "1");
                for json in config_map.data.unwrap().values() {
                    dashboards.push((case.name.clone(), serde_json::from_str(json).unwrap()));
                }
            }
        }
    }
    assert!(dashboards.len() > 3);
    dashboards.push((FLEET.to_owned(), fleet()));
    dashboards
}

/// The one over all apps, which the chart brings.
const FLEET: &str = "fleet";

fn fleet() -> Value {
    serde_json::from_str(&fleet_dashboard()).unwrap()
}

/// Its JSON is in the chart; this is for the reviewer.
#[test]
fn the_dashboard_over_all_apps_looks_as_reviewed() {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("chart/fleet-dashboard.txt");
    let drawn = crate::drawing::draw(&fleet());
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&file, &drawn).unwrap();
    }
    assert!(
        fs::read_to_string(&file).unwrap_or_default() == drawn,
        "{} shows another dashboard. If that is meant: UPDATE_GOLDEN=1 cargo test -p golden-tests",
        file.display()
    );
}

fn charts(dashboard: &Value) -> impl Iterator<Item = &Value> {
    let panels = dashboard["panels"].as_array().unwrap().iter();
    panels.filter(|panel| panel["type"] != "row")
}

#[test]
fn every_panel_is_finished() {
    for (case, dashboard) in dashboards() {
        let mut ids = BTreeSet::new();
        for panel in dashboard["panels"].as_array().unwrap() {
            assert!(ids.insert(panel["id"].as_u64().unwrap()), "{case}: {panel}");
            assert!(!panel["title"].as_str().unwrap().is_empty(), "{case}: {panel}");
        }
        for panel in charts(&dashboard) {
            let defaults = &panel["fieldConfig"]["defaults"];
            assert!(!defaults["unit"].as_str().unwrap().is_empty(), "{case}: {panel}");
            assert!(
                !panel["description"].as_str().unwrap().is_empty(),
                "{case}: {panel}"
            );
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{case}: {panel}");
            assert!(
                !panel["targets"].as_array().unwrap().is_empty(),
                "{case}: {panel}"
            );
        }
    }
}

#[test]
fn panels_do_not_overlap() {
    for (case, dashboard) in dashboards() {
        let mut taken = BTreeSet::new();
        for panel in dashboard["panels"].as_array().unwrap() {
            let at = |field: &str| panel["gridPos"][field].as_u64().unwrap();
            assert!(at("x") + at("w") <= 24, "{case}: {panel}");
            for x in at("x")..at("x") + at("w") {
                for y in at("y")..at("y") + at("h") {
                    assert!(taken.insert((x, y)), "{case}: {panel}");
                }
            }
        }
    }
}

#[test]
fn every_query_parses_and_names_nothing() {
    for (case, dashboard) in dashboards() {
        let annotations = dashboard["annotations"]["list"].as_array().unwrap().iter();
        let targets = charts(&dashboard).flat_map(|panel| panel["targets"].as_array().unwrap());
        let mut exprs = BTreeSet::new();
        for query in annotations.chain(targets) {
            assert_eq!(query["datasource"]["uid"], "${datasource}", "{case}: {query}");
            let expr = query["expr"].as_str().unwrap();
            exprs.insert(expr);
            let plain = expr.replace("$__rate_interval", "5m");
            observedapp_slo::promql::parse(&plain)
                .unwrap_or_else(|refusal| panic!("{case}: {expr}: {refusal}"));
            for named in ["\"shop", "\"tasks"] {
                assert!(
                    !expr.contains(named),
                    "{case}: {expr} names what a variable should"
                );
            }
            // A rate over a fixed range shows gaps or smears peaks, as the zoom has it.
            assert!(
                !expr.contains("rate(") || expr.contains("[$__rate_interval]"),
                "{case}: {expr}"
            );
        }
        let series = exprs.iter().filter(|expr| !expr.starts_with("vector("));
        for expr in series {
            let own = case == FLEET && expr.contains("observedapp_") && !expr.contains("observedapp_app_");
            let chosen = if case == FLEET {
                "namespace=~\"$namespace\""
            } else {
                "namespace=\"$namespace\""
            };
            assert!(expr.contains(chosen) || own, "{case}: {expr}");
        }
    }
}

/// Grafana makes `$__rate_interval` from the least step: a rate over less than two scrapes has no value.
#[test]
fn queries_step_no_faster_than_their_series_are_scraped() {
    let all = dashboards();
    let mut slow = 0;
    for case in Case::all().unwrap() {
        let app = case.validate().unwrap().objectives.app;
        let step = |interval: Option<observedapp_slo::PromDuration>| {
            interval.map(|interval| format!("{}s", interval.millis() / 1000))
        };
        let [own, probe] = [
            app.metrics.map(|metrics| metrics.interval),
            app.probe.map(|probe| probe.interval),
        ]
        .map(step);
        for (_, dashboard) in all.iter().filter(|(name, _)| *name == case.name) {
            for target in charts(dashboard).flat_map(|panel| panel["targets"].as_array().unwrap()) {
                let expr = target["expr"].as_str().unwrap();
                let wanted = match expr {
                    _ if expr.contains(r#"job="$app""#) => own.as_deref(),
                    _ if expr.contains(r#"job="$app-probe""#) => probe.as_deref(),
                    // What Prometheus scrapes at its own pace is the data source's to know.
                    _ => None,
                };
                assert_eq!(target["interval"].as_str(), wanted, "{}: {expr}", case.name);
                slow += usize::from(wanted == Some("60s"));
            }
        }
    }
    assert!(slow > 0, "no case is scraped once a minute");
}

/// What the linter asks of a dashboard as a whole: one variable chooses the Prometheus, and what the panels show is
/// changed where it is made.
#[test]
fn the_reader_chooses_the_data_source_and_changes_nothing_else() {
    for (case, dashboard) in dashboards() {
        let variables = dashboard["templating"]["list"].as_array().unwrap();
        let of = |kind: &'static str| variables.iter().filter(move |variable| variable["type"] == kind);
        let [source] = of("datasource").collect::<Vec<_>>()[..] else {
            panic!("{case}: {variables:?}");
        };
        assert_eq!(source["name"], "datasource", "{case}");
        assert_eq!(source["label"], "Data source", "{case}");
        assert_eq!(source["query"], "prometheus", "{case}");
        // What is asked for must be asked for again when the time range moves; an app's variables are constants.
        assert_eq!(of("query").count(), usize::from(case == FLEET), "{case}");
        assert!(of("query").all(|variable| variable["refresh"] == 2), "{case}");
        assert_eq!(dashboard["editable"], false, "{case}");
    }
}

/// A counter only grows: what it says is its rate.
#[test]
fn counters_are_never_shown_as_they_are() {
    const COUNTERS: [&str; 4] = ["_total", "_count", "_sum", "_bucket"];
    const RATES: [&str; 3] = ["rate(", "increase(", "irate("];
    for (case, dashboard) in dashboards() {
        for target in charts(&dashboard).flat_map(|panel| panel["targets"].as_array().unwrap()) {
            let expr = target["expr"].as_str().unwrap();
            for (at, _) in expr.match_indices('{') {
                let before = &expr[..at];
                let name = before.rfind(|c: char| !c.is_ascii_alphanumeric() && !"_:".contains(c));
                let (before, name) = before.split_at(name.map_or(0, |end| end + 1));
                // The state of connections is counted anew each time.
                if name == "pg_stat_activity_count" || !COUNTERS.iter().any(|end| name.ends_with(end)) {
                    continue;
                }
                assert!(
                    RATES.iter().any(|rate| before.ends_with(rate)),
                    "{case}: {name} in {expr}"
                );
            }
        }
    }
}

#[test]
fn every_runbook_it_links_to_is_there() {
    let runbooks = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../manifests/runbooks");
    for (case, dashboard) in dashboards() {
        let links = dashboard["links"].as_array().unwrap().iter();
        for link in links.filter(|link| link["type"] == "link") {
            let page = link["url"].as_str().unwrap().rsplit('/').next().unwrap();
            assert!(
                runbooks.join(page).is_file(),
                "{case}: there is no runbook {page}"
            );
        }
    }
}

/// Against the types that Grafana publishes, by their own compiler: an unknown field or a wrong one is an error.
#[test]
fn grafana_knows_every_field() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("grafana");
    let installed = Command::new("npm")
        .args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"])
        .current_dir(&folder)
        .output()
        .expect(
            "this test needs Node.js with npm: install it (apt install nodejs npm) and run the test again",
        );
    assert!(
        installed.status.success(),
        "npm ci failed in {}:\n{}",
        folder.display(),
        String::from_utf8_lossy(&installed.stderr)
    );
    let mut source = fs::read_to_string(folder.join("dashboard.ts")).unwrap();
    for (i, (case, dashboard)) in dashboards().into_iter().enumerate() {
        writeln!(
            source,
            "\n// {case}\nexport const dashboard{i}: Ours = {dashboard:#};"
        )
        .unwrap();
    }
    let checked = tempfile::Builder::new()
        .prefix("checked-")
        .suffix(".ts")
        .tempfile_in(&folder)
        .unwrap();
    fs::write(&checked, source).unwrap();
    let output = Command::new(folder.join("node_modules/.bin/tsc"))
        .args(["--noEmit", "--strict", "--skipLibCheck", "--target", "es2022"])
        .args(["--module", "esnext", "--moduleResolution", "bundler"])
        .arg(checked.path())
        .current_dir(&folder)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        str::from_utf8(&output.stdout).unwrap()
    );
}
