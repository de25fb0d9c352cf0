//! The chart, by the real Helm: it lints, renders as reviewed in every mode, refuses what is misspelt, and carries the
//! CRD that `crds/` holds and the dashboard over all apps.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use golden_tests::kubeconform;
use k8s_openapi::api::core::v1::ConfigMap;
use lab_tools::{Tool, ensure};
use observedapp_desired::fleet_dashboard;

const MONITORING: &[&str] = &[
    "--api-versions=monitoring.coreos.com/v1/ServiceMonitor",
    "--api-versions=monitoring.coreos.com/v1/PrometheusRule",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap()
}

fn helm(args: &[&str]) -> Output {
    let helm = ensure(&[Tool::Helm]).unwrap().remove(&Tool::Helm).unwrap();
    Command::new(helm)
        .args(args)
        .current_dir(root())
        .output()
        .unwrap()
}

fn render(args: &[&str]) -> Result<String, String> {
    let output = helm(&[&["template", "observedapp", "charts/observedapp"], args].concat());
    if output.status.success() {
        Ok(String::from_utf8(output.stdout).unwrap())
    } else {
        Err(String::from_utf8(output.stderr).unwrap())
    }
}

/// Compares with the file, or writes it where `UPDATE_GOLDEN` is set.
fn assert_golden(file: &Path, actual: &str) {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(file, actual).unwrap();
    }
    let expected = fs::read_to_string(file).unwrap_or_default();
    assert!(
        expected == actual,
        "{} is not what the chart renders now. If that is meant: UPDATE_GOLDEN=1 cargo test -p golden-tests --test chart",
        file.display()
    );
}

#[test]
fn lints_strictly() {
    let output = helm(&["lint", "--strict", "charts/observedapp"]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
}

#[test]
fn carries_the_crd() {
    let [source, copy] = [
        "crds/observedapps.yaml",
        "charts/observedapp/files/observedapps.yaml",
    ]
    .map(|file| root().join(file));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::copy(&source, &copy).unwrap();
    }
    assert!(
        fs::read(&source).unwrap() == fs::read(&copy).unwrap_or_default(),
        "the chart's CRD is not that of crds/: UPDATE_GOLDEN=1 cargo test -p golden-tests --test chart"
    );
    let rendered = render(&["--show-only=templates/crd.yaml"]).unwrap();
    assert!(rendered.contains("helm.sh/resource-policy: keep"), "{rendered}");
    let without = render(&["--set=crds.install=false"]).unwrap();
    assert!(!without.contains("CustomResourceDefinition"), "{without}");
}

#[test]
fn carries_the_dashboard_over_all_apps() {
    let file = root().join("charts/observedapp/files/fleet-dashboard.json");
    let dashboard = fleet_dashboard();
    assert_golden(&file, &dashboard);
    let rendered = render(&[
        "--show-only=templates/dashboard.yaml",
        "--set=dashboard.folder=Fleet",
        "--set=dashboard.labels.team=platform",
    ])
    .unwrap();
    let config_map: ConfigMap = serde_yaml::from_str(&rendered).unwrap();
    let (labels, annotations) = (
        config_map.metadata.labels.unwrap(),
        config_map.metadata.annotations.unwrap(),
    );
    assert_eq!(labels["grafana_dashboard"], "1");
    assert_eq!(labels["team"], "platform");
    assert_eq!(annotations["grafana_folder"], "Fleet");
    let carried: Vec<String> = config_map.data.unwrap().into_values().collect();
    assert_eq!(carried, [dashboard]);
    let without = render(&["--set=dashboard.enabled=false", "--set=crds.install=false"]).unwrap();
    assert!(!without.contains("grafana_dashboard"), "{without}");
}

#[test]
fn renders_every_mode_as_reviewed() {
    let modes: &[(&str, &[&str])] = &[
        ("defaults", &[]),
        ("monitoring", MONITORING),
        (
            "namespaced",
            &[
                "--set=namespaces={shop,mail}",
                "--set=prometheus.url=https://prometheus.example.com",
                "--set=monitorLabels.release=prom",
                "--set=monitorLabels.team=web",
            ],
        ),
        (
            "prober",
            &[
                "--set=prober.enabled=true",
                "--set=replicas=1",
                "--set=serviceMonitor.enabled=true",
            ],
        ),
        (
            "everything",
            &["--values=tests/golden/chart/everything.values.yaml"],
        ),
    ];
    for (mode, args) in modes {
        // The CRD and the dashboard have a test and a golden file of their own.
        let rendered = render(
            &[
                *args,
                &[
                    "--set=crds.install=false",
                    "--set=dashboard.enabled=false",
                    "--namespace=observedapp-system",
                ],
            ]
            .concat(),
        )
        .unwrap();
        assert_golden(&root().join(format!("tests/golden/chart/{mode}.yaml")), &rendered);
        assert!(
            !rendered.contains("\"*\"") && !rendered.contains("'*'"),
            "{mode}: no right is a wildcard"
        );
        assert!(!rendered.contains("cluster-admin"), "{mode}");
        let cluster_wide = rendered.contains("kind: ClusterRole\n");
        assert_eq!(
            cluster_wide,
            !mode.contains("namespaced") && *mode != "everything",
            "{mode}"
        );
    }
}

#[test]
fn install_yaml_is_the_rendered_chart() {
    let namespace = "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: observedapp-system\n  labels:\n    pod-security.kubernetes.io/enforce: restricted\n";
    let rendered = render(&["--namespace=observedapp-system", "--set=prober.enabled=true"]).unwrap();
    // What only Helm understands does not belong into what kubectl applies.
    let rendered: String = rendered
        .replace("  annotations:\n    helm.sh/resource-policy: keep\n", "")
        .lines()
        .filter(|line| !line.starts_with("# Source:") && !line.contains("helm.sh/"))
        .map(|line| {
            line.replace(
                "app.kubernetes.io/managed-by: Helm",
                "app.kubernetes.io/managed-by: kubectl",
            )
        })
        .fold(String::new(), |all, line| all + &line + "\n");
    let header = "# Rendered from charts/observedapp for `kubectl apply --server-side -f`; a test compares. Do not edit.\n";
    assert_golden(
        &root().join("manifests/install.yaml"),
        &format!("{header}{namespace}{rendered}"),
    );
}

#[test]
fn kubeconform_accepts_every_mode() {
    let modes = ["defaults", "everything", "monitoring", "namespaced", "prober"];
    let rendered = modes.map(|mode| root().join(format!("tests/golden/chart/{mode}.yaml")));
    kubeconform(
        rendered
            .into_iter()
            .chain([root().join("manifests/install.yaml")]),
    )
    .unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn its_notes_ask_for_what_prometheus_needs() {
    let unlabelled = "monitorLabels is empty";
    let confined = "set prometheus.url, prometheus.namespaces (who may scrape) and monitorLabels";
    let all = [
        "--set=namespaces={shop}",
        "--set=prometheus.url=http://prometheus",
        "--set=prometheus.namespaces={monitoring}",
        "--set=monitorLabels.release=prom",
    ];
    let own = [
        "--set=serviceMonitor.labels.release=prom",
        "--set=prometheusRule.labels.release=prom",
    ];
    let table: &[(&[&str], Option<&str>)] = &[
        (&[], Some(unlabelled)),
        (&all[3..], None),
        (&own, None),
        (&all[..1], Some(confined)),
        (&all[..3], Some(confined)),
        (&all, None),
    ];
    for (values, wanted) in table {
        let install = ["install", "observedapp", "charts/observedapp", "--dry-run=client"];
        let output = helm(&[&install, *values].concat());
        let printed = String::from_utf8(output.stdout).unwrap();
        let (_, notes) = printed.split_once("NOTES:").unwrap();
        for note in [unlabelled, confined] {
            assert_eq!(notes.contains(note), *wanted == Some(note), "{values:?}: {notes}");
        }
    }
}

#[test]
fn refuses_a_misspelt_value() {
    for (value, named) in [
        ("replica=3", "replica"),
        ("prober.enable=true", "enable"),
        ("logFormat=jsonn", "logFormat"),
        ("serviceMonitor.enabled=perhaps", "enabled"),
        ("concurrency=0", "concurrency"),
        ("namespaces={Shop}", "namespaces"),
        ("prometheus.namespaces={Shop}", "namespaces"),
    ] {
        let error = render(&[&format!("--set={value}")]).unwrap_err();
        assert!(error.contains(named), "{value}: {error}");
    }
}

#[test]
fn every_value_is_documented_and_in_the_schema() {
    let values = fs::read_to_string(root().join("charts/observedapp/values.yaml")).unwrap();
    let schema = fs::read_to_string(root().join("charts/observedapp/values.schema.json")).unwrap();
    let mut documented = false;
    let mut documented_parents = vec![];
    for line in values.lines() {
        let text = line.trim_start();
        let indent = line.len() - text.len();
        documented_parents.retain(|parent| *parent < indent);
        if text.is_empty() {
            documented = false;
        } else if text.starts_with('#') {
            documented = true;
        } else if let Some((key, value)) = text.split_once(':') {
            assert!(
                schema.contains(&format!("\"{key}\"")),
                "{key} is not in values.schema.json"
            );
            let is_parent = value.trim().is_empty();
            let inherited = documented_parents.iter().any(|parent| *parent + 2 == indent);
            assert!(
                documented || inherited || is_parent,
                "{key} is not documented in values.yaml"
            );
            if is_parent && documented {
                documented_parents.push(indent);
            }
            documented = false;
        }
    }
}
