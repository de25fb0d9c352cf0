//! `observedapp check`, as a user runs it.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;

use serde_json::Value;
use support::{Run, observedapp};

const GOOD: &str = "\
apiVersion: observedapp.dev/v1alpha1
kind: ObservedApp
metadata: {name: good}
spec:
  image: example.com/good:1
";

fn check(input: &str) -> Run {
    observedapp(&["check", "-"], input)
}

#[test]
fn an_app_without_a_problem_passes_in_silence_but_for_the_summary() {
    let run = check(GOOD);
    assert_eq!(
        (run.code, run.stdout.as_str(), run.stderr.as_str()),
        (Some(0), "", "1 app, no problems\n")
    );
    let run = observedapp(&["check", "--quiet", "-"], GOOD);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
}

#[test]
fn files_and_whole_folders_are_read_and_each_problem_has_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let file = folder.path().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, text).unwrap();
        file.display().to_string()
    };
    let broken = write("apps/a.yaml", &GOOD.replace("  image", "  replica: 3\n  image"));
    let nested = write("apps/deeper/b.yml", &GOOD.replace("example.com/good:1", "''"));
    write(
        "apps/c.json",
        &serde_json::json!({
            "apiVersion": "observedapp.dev/v1alpha1", "kind": "ObservedApp",
            "metadata": {"name": "json"}, "spec": {"image": "example.com/json:1"},
        })
        .to_string(),
    );
    write("apps/notes.txt", "kind: ObservedApp");
    write("apps/.hidden/d.yaml", "kind: ObservedApp");
    write(
        "apps/other.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: other}\n",
    );
    let more = write(
        "more.yaml",
        &format!("{GOOD}---\n{}", GOOD.replace("good", "second")),
    );

    let apps = folder.path().join("apps").display().to_string();
    let run = observedapp(&["check", &apps, &more], "");
    assert_eq!(run.code, Some(1), "{run:?}");
    let lines: Vec<&str> = run.stdout.lines().collect();
    assert_eq!(lines.len(), 2, "{run:?}");
    assert_eq!(
        lines[0],
        format!("{broken}:5: spec.replica: unknown field `replica`: did you mean `replicas`?")
    );
    assert!(
        lines[1].starts_with(&format!("{nested}:5: spec.image: ")),
        "{run:?}"
    );
    assert_eq!(
        run.stderr,
        "5 apps, 2 problems; skipped 1 object of other kinds\n"
    );
}

#[test]
fn programs_get_one_list() {
    let run = observedapp(&["check", "-o", "json", "-"], &GOOD.replace("image", "imag"));
    assert_eq!(run.code, Some(1), "{run:?}");
    let findings: Vec<Value> = serde_json::from_str(&run.stdout).unwrap();
    let unknown = findings.iter().find(|one| one["field"] == "spec.imag").unwrap();
    assert_eq!(
        *unknown,
        serde_json::json!({
            "file": "standard input", "line": 5, "field": "spec.imag", "severity": "problem",
            "problem": "unknown field `imag`", "remedy": "did you mean `image`?",
        })
    );
    let run = observedapp(&["check", "-o", "json", "-"], GOOD);
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), "[]\n"));
}

#[test]
fn what_is_only_worth_knowing_does_not_fail() {
    let slo = "  metrics: {}\n  slos:\n  - {name: a, objective: 90, indicator: {availability: {}}}\n";
    let run = check(&format!("{GOOD}{slo}"));
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(run.stdout.contains("note: "), "{run:?}");
}

/// What a person types, and where and in which words the mistake is reported.
#[test]
fn mistakes_that_people_make_get_a_sentence_each() {
    let mistakes = [
        (
            GOOD.replace("  image", "\timage"),
            "5: a tab stands where YAML takes only spaces: indent with spaces",
        ),
        (
            GOOD.replace("v1alpha1", "v1"),
            "1: apiVersion: \"observedapp.dev/v1\" is no version of ObservedApp: write apiVersion: observedapp.dev/v1alpha1",
        ),
        (
            GOOD.replace("kind: ObservedApp", "kind: observedapp"),
            "2: kind: observedapp.dev has no kind \"observedapp\": write kind: ObservedApp",
        ),
        (
            GOOD.replace("kind: ObservedApp\n", ""),
            "1: the object has no kind: an app begins with apiVersion: observedapp.dev/v1alpha1 and kind: ObservedApp",
        ),
        (
            format!("{GOOD}  repicas: 2\n"),
            "6: spec.repicas: unknown field `repicas`: did you mean `replicas`?",
        ),
        (
            format!("{GOOD}  database: {{builtin: {{storage: {{sice: 1Gi}}}}}}\n"),
            "6: spec.database.builtin.storage.sice: unknown field `sice`: did you mean `size`?",
        ),
        (
            format!("{GOOD}  image: example.com/again:1\n"),
            "6: spec.image: the field is given twice: keep one of the two",
        ),
        (GOOD.replace("{name: good}", "{name: good"), "this is not YAML: "),
        (
            format!("{GOOD}  replicas: \"two\"\n"),
            "6: spec.replicas: the text \"two\" is not a whole number: write a whole number, such as 2",
        ),
        (
            format!("{GOOD}  replicas: \"2\"\n"),
            "6: spec.replicas: the text \"2\" is not a whole number: write it without quotes: 2",
        ),
        (
            format!(
                "{GOOD}  probe: {{}}\n  slos:\n  - {{name: a, objective: 99.9%, indicator: {{probe: {{}}}}}}\n"
            ),
            "8: spec.slos[0].objective: the text \"99.9%\" is not a number: write the number alone: 99.9",
        ),
        (
            format!(
                "{GOOD}  metrics: {{}}\n  slos:\n  - {{name: a, objective: 99, indicator: {{latency: {{threshold: 300}}}}}}\n"
            ),
            "threshold: the number 300 is not text: write it with its unit: 300ms, 300s or 300m",
        ),
        (
            format!("{GOOD}  database: {{builtin: {{storage: 5Gi}}}}\n"),
            "storage: the text \"5Gi\" is not a mapping: write a mapping: storage: {size: 5Gi}",
        ),
        (
            format!("{GOOD}  health: true\n"),
            "spec.health: `true` is not a mapping: write health: {} for its defaults, or a mapping of livenessPath, ",
        ),
        (
            format!("{GOOD}  args: -v\n"),
            "spec.args: the text \"-v\" is not a list: write a list: args: [\"-v\"]",
        ),
        (
            format!("{GOOD}  database: {{builtin: {{}}, external: {{secretName: a}}}}\n"),
            "spec.database: builtin and external are both given: database must have exactly one of",
        ),
        (
            format!("{GOOD}  database: {{}}\n"),
            "spec.database: none of them is given: database must have exactly one of",
        ),
        (
            format!("{GOOD}  alerts: {{extra: [{{alert: A, expr: 'up{{a=~\"\\\\w{{100}}\"}}'}}]}}\n"),
            "spec.alerts.extra[0].expr: the regular expression \"\\\\w{100}\" is too large once its repetitions and \
             classes are written out: use + in place of a number of repetitions",
        ),
        (
            format!("{GOOD}  metrics: {{interval: 1ms}}\n"),
            "spec.metrics.interval: \"1ms\" cannot be used: metrics.interval must be from 5s",
        ),
        (
            GOOD.replace("observedapp.dev/v1alpha1", "apps/v1")
                .replace("ObservedApp", "ObservdApp"),
            "2: kind: there is no kind \"ObservdApp\": did you mean ObservedApp?",
        ),
        ("foo: [\n".to_owned(), "this is not YAML: "),
        (
            "- a\n".to_owned(),
            "1: this is no object with fields: an app begins with apiVersion: ",
        ),
        (
            "apiVersion: v1\nkind: Secret\n".to_owned(),
            "1: there is no ObservedApp in it: an app begins with apiVersion: ",
        ),
        (String::new(), "1: there is no ObservedApp in it: "),
    ];
    for (text, expected) in mistakes {
        let run = check(&text);
        assert_eq!(run.code, Some(1), "{text}{run:?}");
        assert!(
            run.stdout
                .lines()
                .any(|line| line.starts_with("standard input:") && line.contains(expected)),
            "{text}\n{expected}\n{}",
            run.stdout
        );
    }
}

#[test]
fn each_mistake_is_told_once() {
    let slo = "  - {name: a, objective: 99, indicator: {probe: {}}}\n";
    let alert = "{alert: A, expr: up == 0}";
    for (text, field) in [
        (
            format!("{GOOD}  probe: {{}}\n  slos:\n{slo}{slo}"),
            "spec.slos[1]",
        ),
        (
            format!("{GOOD}  alerts: {{extra: [{alert}, {alert}]}}\n"),
            "spec.alerts.extra[1]",
        ),
    ] {
        let run = check(&text);
        let reported: Vec<&str> = run
            .stdout
            .lines()
            .filter(|line| !line.contains(": note: "))
            .collect();
        assert!(
            reported.len() == 1 && reported[0].contains(&format!(": {field}: ")),
            "{}",
            run.stdout
        );
    }
}

#[test]
fn a_share_in_place_of_percent_is_asked_about_first() {
    let slo = "  probe: {}\n  slos:\n  - {name: a, objective: 0.999, indicator: {probe: {}}}\n";
    let run = check(&format!("{GOOD}{slo}"));
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(
        run.stdout
            .contains("spec.slos[0].objective: note: did you mean 99.9? 0.999 is percent"),
        "{run:?}"
    );
}

#[test]
fn links_that_lead_in_a_circle_are_read_once_and_what_is_no_text_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let apps = folder.path().join("apps");
    fs::create_dir(&apps).unwrap();
    fs::write(apps.join("good.yaml"), GOOD).unwrap();
    for name in ["again", "and-again"] {
        std::os::unix::fs::symlink(&apps, apps.join(name)).unwrap();
    }
    let run = observedapp(&["check", apps.to_str().unwrap()], "");
    assert_eq!(
        (run.code, run.stderr.as_str()),
        (Some(0), "1 app, no problems\n"),
        "{run:?}"
    );
    for bytes in [&b"kind: \xff\xfe"[..], b"\x7fELF\0\0"] {
        let binary = folder.path().join("binary.yaml");
        fs::write(&binary, bytes).unwrap();
        let run = observedapp(&["check", binary.to_str().unwrap()], "");
        assert_eq!(run.code, Some(1), "{run:?}");
        assert!(run.stderr.contains("binary.yaml is not text in UTF-8"), "{run:?}");
    }
}

#[test]
fn all_problems_are_told_at_once_in_the_order_of_the_lines() {
    let text = format!(
        "{}  replicas: -1\n  port: 0\n",
        GOOD.replace("name: good", "name: Good")
    );
    let run = check(&text);
    let lines: Vec<&str> = run
        .stdout
        .lines()
        .filter_map(|line| line.split(": ").next())
        .collect();
    assert_eq!(
        lines,
        ["standard input:3", "standard input:6", "standard input:7"],
        "{}",
        run.stdout
    );
}

#[test]
fn one_broken_document_does_not_hide_the_others_and_lists_are_opened() {
    let text = format!(
        "{}---\napiVersion: v1\nkind: List\nitems:\n- apiVersion: observedapp.dev/v1alpha1\n  kind: ObservedApp\n  metadata: {{name: inner}}\n  spec: {{imag: a}}\n",
        GOOD.replace("  image", "\timage")
    );
    let run = check(&text);
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.stdout.contains("standard input:5: a tab stands"), "{run:?}");
    assert!(
        run.stdout.contains("standard input:13: spec.imag: unknown field"),
        "{run:?}"
    );
}

#[test]
fn what_cannot_be_read_is_an_error_and_not_a_pass() {
    let run = observedapp(&["check", "/nowhere/app.yaml"], "");
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.stderr.contains("/nowhere/app.yaml cannot be read"), "{run:?}");
    let empty = tempfile::tempdir().unwrap();
    let run = observedapp(&["check", empty.path().to_str().unwrap()], "");
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(
        run.stderr.contains("holds no .yaml, .yml or .json file"),
        "{run:?}"
    );
    assert_eq!(observedapp(&["check"], "").code, Some(2));
}

#[test]
fn what_the_cluster_lacks_can_be_said() {
    let run = observedapp(&["check", "--without", "nonsense", "-"], GOOD);
    assert_eq!(run.code, Some(2), "{run:?}");
    assert!(
        run.stderr.contains("ServiceMonitor"),
        "the kinds are named: {run:?}"
    );
}
