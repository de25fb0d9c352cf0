//! `manifests/reference.md` says every field, rule, condition, metric, alert, Helm value and setting, and is made from
//! where each of them is defined: `UPDATE_GOLDEN=1 cargo test -p golden-tests --test reference` writes it.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use golden_tests::PASSED_ON;
use observedapp_api::{AppRef, ConditionType, RULES, Reason, Remedy};
use observedapp_controller::{AppState, ErrorLabel, Metrics, RequestLabels, ResultLabel, RunOptions};
use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn says_what_the_source_says() {
    let file = root().join("manifests/reference.md");
    let wanted = [
        "# Reference\n\nMade from the source; a test compares. Do not edit.\n".to_owned(),
        fields(),
        rules(),
        conditions(),
        reasons(),
        operators_metrics(),
        records(),
        alerts(),
        helm_values(),
        settings(),
    ]
    .join("\n");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&file, &wanted).unwrap();
    }
    let found = fs::read_to_string(&file).unwrap_or_default();
    let difference = wanted
        .lines()
        .zip(found.lines().chain(std::iter::repeat("")))
        .find(|(one, other)| one != other);
    assert!(
        found == wanted,
        "manifests/reference.md is not what the source says now, first at: {difference:?}\n\
         UPDATE_GOLDEN=1 cargo test -p golden-tests --test reference"
    );
}

#[test]
fn the_charts_readme_ends_with_its_values() {
    let path = "charts/observedapp/README.md";
    let text = read(path);
    let about = text.split("## Helm values").next().unwrap_or_default();
    let wanted = format!("{about}{}", helm_values());
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(root().join(path), &wanted).unwrap();
    }
    assert!(
        read(path) == wanted,
        "{path} has not the values of values.yaml: UPDATE_GOLDEN=1 cargo test -p golden-tests --test reference"
    );
    let chart = read("charts/observedapp/Chart.yaml");
    let icon = chart
        .lines()
        .find_map(|line| line.strip_prefix("icon: "))
        .unwrap();
    let (_, file) = icon.split_once("/main/").unwrap();
    assert!(read(file).starts_with("<svg"), "{file}");
}

/// A table of rows with a heading; a part of the reference that is empty was not read.
fn table<const N: usize>(title: &str, about: &str, heads: [&str; N], rows: &[[String; N]]) -> String {
    assert!(!rows.is_empty(), "nothing was found for {title}");
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let mut text = format!("## {title}\n\n{about}\n\n");
    text += &line(&heads.map(str::to_owned));
    text += &line(&heads.map(|_| "---".to_owned()));
    for row in rows {
        text += &line(&row.clone().map(|cell| {
            cell.replace('|', "\\|")
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ")
        }));
    }
    text
}

fn code(text: &str) -> String {
    if text.is_empty() {
        String::new()
    } else {
        format!("`{text}`")
    }
}

fn fields() -> String {
    let schema = observedapp_api::schema();
    let mut rows = Vec::new();
    for part in ["spec", "status"] {
        field(&schema["properties"][part], part, false, &mut rows);
    }
    table(
        "Fields",
        "`kubectl explain oapp.spec` says the same. Of Kubernetes' own types only the name is given here.",
        ["field", "type", "default", "meaning"],
        &rows,
    )
}

fn field(schema: &Value, path: &str, is_required: bool, rows: &mut Vec<[String; 4]>) {
    let mut type_ = type_of(schema);
    if is_required {
        type_ += ", required";
    }
    let default = schema
        .get("default")
        .filter(|default| !default.is_object())
        .map(Value::to_string);
    let meaning = schema["description"].as_str().unwrap_or_default();
    rows.push([
        code(path),
        type_,
        code(&default.unwrap_or_default()),
        meaning.to_owned(),
    ]);
    if path
        .strip_prefix("spec.")
        .is_some_and(|inner| PASSED_ON.contains(&inner))
    {
        return;
    }
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
        field(
            inner,
            &format!("{path}.{name}"),
            required.contains(&name.as_str().into()),
            rows,
        );
    }
    let items = &schema["items"];
    if items["properties"].is_object() {
        field(items, &format!("{path}[]"), false, rows);
    }
}

fn type_of(schema: &Value) -> String {
    let mut parts = vec![match schema["type"].as_str() {
        _ if schema.get("x-kubernetes-int-or-string").is_some() => "text or number".to_owned(),
        Some("string") => "text".to_owned(),
        Some("array") => format!("list of {}", type_of(&schema["items"])),
        Some("object") if schema["additionalProperties"].is_object() => "map".to_owned(),
        Some(other) => other.to_owned(),
        None => "any".to_owned(),
    }];
    if let Some(values) = schema["enum"].as_array() {
        parts[0] = values
            .iter()
            .filter_map(Value::as_str)
            .map(code)
            .collect::<Vec<_>>()
            .join(" ");
    }
    for (bound, words) in [
        ("minimum", "from"),
        ("maximum", "to"),
        ("maxLength", "at most"),
        ("maxItems", "at most"),
    ] {
        if let Some(value) = schema.get(bound) {
            parts.push(format!("{words} {value}"));
        }
    }
    parts.join(" ")
}

fn rules() -> String {
    let rows: Vec<_> = RULES
        .iter()
        .map(|rule| {
            let at = match (rule.at, rule.field) {
                (at, None) => at.to_owned(),
                ("", Some(field)) => field.to_owned(),
                (at, Some(field)) => format!("{at}.{field}"),
            };
            [code(&at), rule.message.to_owned()]
        })
        .collect();
    table(
        "Rules",
        "What the API server and `observedapp check` refuse beside what the types say. What only `check` and the condition \
         `Valid` can tell is not listed: they say it themselves, with the remedy. What takes a cluster to know, such as a \
         host that another app holds, only `Valid` says.",
        ["field", "rule"],
        &rows,
    )
}

fn conditions() -> String {
    let rows: Vec<_> = ConditionType::ALL
        .iter()
        .map(|type_| [code(type_.as_str()), type_.meaning().to_owned()])
        .collect();
    table(
        "Conditions",
        "One that does not apply to an app is absent.",
        ["condition", "True means"],
        &rows,
    )
}

fn reasons() -> String {
    let rows: Vec<_> = Reason::ALL
        .iter()
        .map(|reason| {
            let remedy = match reason.remedy() {
                Remedy::None => String::new(),
                Remedy::Wait => "wait: the operator tries again by itself".to_owned(),
                Remedy::See(type_) => format!("see `{}`", type_.as_str()),
                Remedy::InMessage => "the condition's message ends with it".to_owned(),
                Remedy::Do(remedy) => remedy.to_owned(),
            };
            [code(reason.as_str()), reason.meaning().to_owned(), remedy]
        })
        .collect();
    table(
        "Reasons of conditions",
        "Beside these a reason may name a field of the spec that makes no sense (`InvalidSpecPort`), or be the one that \
         Kubernetes itself gives for a pod or an autoscaler.",
        ["reason", "meaning", "what to do"],
        &rows,
    )
}

/// The items of a piece of Rust that stand on one line, with the comments before them.
fn documented(source: &str) -> impl Iterator<Item = (&str, String)> {
    let mut comment = Vec::new();
    source.lines().map(str::trim).filter_map(move |line| {
        if let Some(text) = line.strip_prefix("///") {
            comment.push(text.trim());
            return None;
        }
        let meaning = std::mem::take(&mut comment).join(" ");
        (!line.is_empty()).then_some((line, meaning))
    })
}

fn operators_metrics() -> String {
    // One series of each: a family that has none is not shown.
    let metrics = Metrics::default();
    let result = ResultLabel { result: "done" };
    metrics.reconciles.get_or_create(&result).inc();
    metrics.prometheus_polls.get_or_create(&result).inc();
    metrics
        .errors
        .get_or_create(&ErrorLabel {
            error: Reason::Conflict.to_string(),
        })
        .inc();
    let (kind, code_) = ("services".to_owned(), "200".to_owned());
    metrics
        .requests
        .get_or_create(&RequestLabels {
            verb: "get",
            kind,
            code: code_,
        })
        .inc();
    let status = serde_json::json!({
        "conditions": [{
            "type": "Ready", "status": "True", "reason": "Ready", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z",
        }],
        "slos": [{"name": "availability", "objective": "99.9%", "window": "30d", "state": "Met"}],
        "release": {"number": 7, "image": "tasks:7", "phase": "Baking", "began": "2026-01-01T00:00:00Z"},
    });
    let status = serde_json::from_value(status).unwrap();
    let restarts = vec![("tasks-5d8f9c7b6d-x7k2p".to_owned(), 0)];
    let state = AppState::new(&status, 2, 2, restarts);
    let app = AppRef::new("shop", "tasks");
    metrics.apps.show(&app, Some(state));
    metrics.apps.show_failures(&app, 0);

    let text = metrics.text().unwrap();
    let mut rows: Vec<[String; 4]> = Vec::new();
    for line in text.lines() {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
            rows.push([name.to_owned(), String::new(), String::new(), help.to_owned()]);
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let type_ = &mut rows.last_mut().unwrap()[1];
            rest.rsplit(' ').next().unwrap().clone_into(type_);
        } else if let (Some((_, labels)), Some(row)) = (line.split_once('{'), rows.last_mut())
            && row[2].is_empty()
        {
            let names = labels.split("\",").filter_map(|label| label.split_once('='));
            row[2] = names
                .map(|(name, _)| name)
                .filter(|name| *name != "le")
                .map(code)
                .collect::<Vec<_>>()
                .join(" ");
        }
    }
    for row in &mut rows {
        let suffix = if row[1] == "counter" { "_total" } else { "" };
        row[0] = code(&format!("{}{suffix}", row[0]));
    }
    table(
        "Metrics of the operator",
        "At `/metrics`. Those of apps are exported by the replica that leads.",
        ["metric", "type", "labels", "meaning"],
        &rows,
    )
}

/// The rules of the golden case that has everything.
fn everything() -> Vec<Value> {
    let rule = read("tests/golden/cases/everything/objects/PrometheusRule-tasks.yaml");
    rules_of(&serde_yaml::from_str(&rule).unwrap())
}

fn rules_of(rule: &Value) -> Vec<Value> {
    let groups = rule["spec"]["groups"].as_array().unwrap();
    groups
        .iter()
        .flat_map(|group| group["rules"].as_array().unwrap().clone())
        .collect()
}

fn records() -> String {
    let source = read("operator/slo/src/names.rs");
    let meanings: BTreeMap<&str, String> = documented(&source)
        .filter_map(|(item, meaning)| Some((item.strip_prefix("pub const ")?.split('"').nth(1)?, meaning)))
        .collect();
    let mut rows = BTreeMap::new();
    for rule in everything() {
        let Some(name) = rule["record"].as_str() else {
            continue;
        };
        let (name, meaning) = match (meanings.get(name), name.strip_prefix("slo:error_ratio:rate")) {
            (Some(meaning), _) => (name.to_owned(), meaning.clone()),
            (None, Some(_)) => {
                let meaning =
                    "Share of failed events over each window that an alert looks at, weighted by traffic.";
                ("slo:error_ratio:rateWINDOW".to_owned(), meaning.to_owned())
            }
            (None, None) => panic!("{name} is not documented in operator/slo/src/names.rs"),
        };
        let labels = rule["labels"].as_object().unwrap();
        rows.insert(
            name,
            (
                labels
                    .keys()
                    .map(|label| code(label))
                    .collect::<Vec<_>>()
                    .join(" "),
                meaning,
            ),
        );
    }
    let rows: Vec<_> = rows
        .into_iter()
        .map(|(name, (labels, meaning))| [code(&name), labels, meaning])
        .collect();
    table(
        "Recorded series",
        "For each SLO of each app.",
        ["record", "labels", "meaning"],
        &rows,
    )
}

fn alerts() -> String {
    let chart = read("tests/golden/chart/monitoring.yaml");
    let own = chart
        .split("\n---\n")
        .filter_map(|document| serde_yaml::from_str::<Value>(document).ok())
        .find(|document| document["kind"] == "PrometheusRule")
        .unwrap();
    let mut rows = BTreeMap::new();
    for (whose, alerts) in [("an app's", everything()), ("the operator's", rules_of(&own))] {
        for alert in alerts {
            let Some(name) = alert["alert"].as_str().filter(|name| *name != "QueueLong") else {
                continue; // a record, or the alert of the case's own
            };
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let row = [
                format!("[{name}](runbooks/{name}.md)"),
                whose.to_owned(),
                text(&alert["labels"]["severity"]),
                text(&alert["for"]),
                text(&alert["annotations"]["summary"]),
            ];
            assert!(
                root().join(format!("manifests/runbooks/{name}.md")).exists(),
                "{name} has no runbook"
            );
            rows.entry((whose, name.to_owned())).or_insert(row);
        }
    }
    let rows: Vec<_> = rows.into_values().collect();
    table(
        "Alerts",
        "Summaries are those of an app called `tasks`. Each name leads to its runbook.",
        ["alert", "whose", "severity", "for", "summary"],
        &rows,
    )
}

fn helm_values() -> String {
    let values = read("charts/observedapp/values.yaml");
    let mut parents: Vec<(usize, &str)> = Vec::new();
    let mut comment = Vec::new();
    let mut rows = Vec::new();
    for line in values.lines() {
        let text = line.trim_start();
        let indent = line.len() - text.len();
        if let Some(said) = text.strip_prefix('#') {
            comment.push(said.trim());
        } else if let Some((key, value)) = text.split_once(':') {
            parents.retain(|(at, _)| *at < indent);
            parents.push((indent, key));
            let path: Vec<_> = parents.iter().map(|(_, key)| *key).collect();
            let meaning = std::mem::take(&mut comment).join(" ");
            if !value.trim().is_empty() || !meaning.is_empty() {
                rows.push([code(&path.join(".")), code(value.trim()), meaning]);
            }
        } else {
            comment.clear();
        }
    }
    table(
        "Helm values",
        "Of `charts/observedapp`. A misspelt one is refused.",
        ["value", "default", "meaning"],
        &rows,
    )
}

fn settings() -> String {
    let command = RunOptions::augment_args(clap::Command::new("run"));
    let rows: Vec<_> = command
        .get_arguments()
        .map(|arg| {
            let flag = arg.get_long().unwrap_or_default();
            let variable = arg.get_env().unwrap_or_default().to_string_lossy();
            // This one is made of the machine's name.
            let defaults = arg.get_default_values().iter().filter(|_| flag != "identity");
            let default: Vec<_> = defaults.map(|value| value.to_string_lossy()).collect();
            let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
            [
                code(&format!("--{flag}")),
                code(&variable),
                code(&default.join(",")),
                help,
            ]
        })
        .collect();
    let settings = table(
        "Settings of `observedapp run`",
        "By flag or by environment; the chart sets them from its values.",
        ["flag", "variable", "default", "meaning"],
        &rows,
    );
    let more = command
        .get_after_help()
        .map(ToString::to_string)
        .unwrap_or_default();
    format!("{settings}\n```text\n{more}\n```\n")
}
