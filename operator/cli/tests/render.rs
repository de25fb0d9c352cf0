//! `observedapp render`, as a user runs it.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::path::Path;

use serde_json::Value;
use support::{Run, observedapp};

const APP: &str = "\
apiVersion: observedapp.dev/v1alpha1
kind: ObservedApp
metadata: {name: tasks, namespace: shop}
spec:
  image: example.com/tasks:1
  database: {builtin: {}}
  metrics: {}
  probe: {}
  slos:
  - {name: availability, objective: 99.9, indicator: {availability: {}}}
";

fn render(arguments: &[&str], input: &str) -> Run {
    observedapp(&[&["render", "-"], arguments].concat(), input)
}

/// The objects that a run without problems prints.
fn objects(arguments: &[&str], input: &str) -> Vec<Value> {
    let run = render(arguments, input);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{run:?}");
    serde_yaml::from_multiple(&run.stdout).unwrap()
}

fn kinds(objects: &[Value]) -> Vec<&str> {
    objects
        .iter()
        .filter_map(|object| object["kind"].as_str())
        .collect()
}

/// Else `kubectl diff` of it would invent a difference on every cluster that was set up as documented.
#[test]
fn the_prober_is_the_one_that_the_manifests_install() {
    let install = include_str!("../../../manifests/install.yaml");
    let installed = install
        .lines()
        .find_map(|line| line.trim().strip_prefix("- --prober-url="));
    let all = objects(&["--only", "Probe"], APP);
    assert_eq!(all[0]["spec"]["prober"]["url"].as_str(), installed);
}

#[test]
fn a_stream_comes_in_the_order_of_its_application() {
    let all = objects(&[], APP);
    let at = |kind: &str| kinds(&all).iter().position(|found| *found == kind).unwrap();
    assert!(at("Secret") < at("StatefulSet") && at("ServiceAccount") < at("Deployment"));
    for object in &all {
        assert_eq!(object["metadata"]["namespace"], "shop", "{object:#}");
        assert!(object["metadata"].get("ownerReferences").is_none(), "{object:#}");
        if object["kind"] == "Secret" {
            assert!(
                object.get("data").is_none() && object.get("stringData").is_none(),
                "{object:#}"
            );
        }
    }
    // The same again, to the byte.
    assert_eq!(render(&[], APP).stdout, render(&[], APP).stdout);
}

#[test]
fn only_the_kinds_that_are_asked_for_in_any_spelling() {
    assert_eq!(kinds(&objects(&["--only", "Deployment"], APP)), ["Deployment"]);
    let some = objects(&["--only", "prometheusrules,statefulset"], APP);
    let mut some = kinds(&some);
    some.sort_unstable();
    assert_eq!(some, ["PrometheusRule", "StatefulSet"]);
    let run = render(&["--only", "Deplyoment"], APP);
    assert_eq!(run.code, Some(2), "{run:?}");
    assert!(
        run.stderr.contains("there is no such kind here; use one of"),
        "{run:?}"
    );
}

#[test]
fn what_the_cluster_lacks_is_not_made() {
    let all = objects(&["--without", "servicemonitor,probe"], APP);
    let kinds = kinds(&all);
    assert!(
        !kinds.contains(&"ServiceMonitor") && !kinds.contains(&"Probe"),
        "{kinds:?}"
    );
    assert!(kinds.contains(&"PrometheusRule"), "{kinds:?}");
}

#[test]
fn monitors_and_rules_carry_the_labels_that_select_them() {
    let labels = ["--monitor-labels", "release=kps,team=shop"];
    for kind in ["ServiceMonitor", "Probe", "PrometheusRule"] {
        for object in objects(&[&labels, ["--only", kind].as_slice()].concat(), APP) {
            assert_eq!(object["metadata"]["labels"]["release"], "kps", "{object:#}");
            assert_eq!(object["metadata"]["labels"]["team"], "shop", "{object:#}");
        }
    }
    let run = render(&["--monitor-labels", "release"], APP);
    assert_eq!(run.code, Some(2), "{run:?}");
    assert!(run.stderr.contains("write it as KEY=VALUE"), "{run:?}");
}

fn files(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_folder_gets_one_file_an_object_and_a_folder_a_namespace() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("made/here");
    let arguments = [
        "--output-dir",
        out.to_str().unwrap(),
        "--only",
        "Deployment,StatefulSet",
    ];
    let run = render(&arguments, APP);
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), ""), "{run:?}");
    assert_eq!(
        files(&out),
        ["deployment-tasks.yaml", "statefulset-tasks-db.yaml"]
    );
    let deployment = fs::read_to_string(out.join("deployment-tasks.yaml")).unwrap();
    assert_eq!(deployment, render(&["--only", "Deployment"], APP).stdout);

    let two = format!("{APP}---\n{}", APP.replace("namespace: shop", "namespace: mail"));
    let out = folder.path().join("two");
    let run = render(
        &["--output-dir", out.to_str().unwrap(), "--only", "Deployment"],
        &two,
    );
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(files(&out), ["mail", "shop"]);
    assert_eq!(files(&out.join("mail")), ["deployment-tasks.yaml"]);
}

#[test]
fn an_app_without_a_namespace_gets_the_given_one() {
    let app = APP.replace(", namespace: shop", "");
    for object in objects(&["--namespace", "mail", "--only", "Deployment"], &app) {
        assert_eq!(object["metadata"]["namespace"], "mail");
    }
    for object in objects(&["--only", "Deployment"], &app) {
        assert_eq!(object["metadata"]["namespace"], "default");
    }
}

#[test]
fn nothing_is_printed_while_there_is_a_problem() {
    let two = format!("{APP}---\n{}", APP.replace("image:", "imag:"));
    let run = render(&[], &two);
    assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""), "{run:?}");
    assert!(
        run.stderr
            .contains("standard input:16: spec.imag: unknown field `imag`: did you mean `image`?"),
        "{run:?}"
    );
    let run = render(&[], "apiVersion: v1\nkind: ConfigMap\n");
    assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""), "{run:?}");
    assert!(
        run.stderr
            .starts_with("standard input:1: there is no ObservedApp in it: "),
        "{run:?}"
    );
}
