//! Random apps: never a panic, no two objects of one name, selectors that match their pods, the same bytes every time,
//! and a change of one field changes only what it should.

use std::collections::{BTreeMap, BTreeSet};

use golden_tests::{default_observed, default_settings};
use observedapp_api::ObservedApp;
use observedapp_desired::{Object, ValidApp, desired, validate};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::pods;

/// A capability's possible values in the spec, absence among them.
fn choice(values: Vec<Value>) -> impl Strategy<Value = Option<Value>> {
    proptest::option::of(proptest::sample::select(values))
}

pub fn any_spec() -> impl Strategy<Value = Value> {
    let image = proptest::sample::select(vec![
        "app:1",
        "r.example.com:5000/a/b:v1.2_3",
        "app@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    ]);
    let running = (
        image,
        0..=5_i32,
        1024..65000_i32,
        choice(vec![
            json!({"maxReplicas": 4}),
            json!({"minReplicas": 1, "maxReplicas": 2, "targetCPUUtilization": 50}),
        ]),
        choice(vec![
            json!({}),
            json!({"livenessPath": "/l", "readinessPath": "/r", "startupSeconds": 1}),
        ]),
        choice(vec![
            json!({"delaySeconds": 0, "graceSeconds": 1}),
            json!({"delaySeconds": 20}),
        ]),
        choice(vec![
            json!({"limits": {"memory": "64Mi"}}),
            json!({"requests": {"cpu": "2"}, "limits": {"cpu": "2"}}),
        ]),
        choice(vec![
            json!({"runAsUser": 1000, "fsGroup": 1}),
            json!({"addNetBindService": true}),
        ]),
    );
    let around = (
        choice(vec![
            json!({"builtin": {}}),
            json!({"builtin": {"version": 16, "parameters": {"max_connections": 300}, "deletionPolicy": "Delete"}}),
            json!({"cloudNativePG": {"instances": 1}}),
            json!({"external": {"secretName": "db"}, "env": "DB"}),
        ]),
        choice(vec![
            json!({"builtin": {}}),
            json!({"builtin": {"memory": "1Gi"}}),
            json!({"external": {"secretName": "r"}}),
        ]),
        choice(vec![
            json!({"host": "a.example.com"}),
            json!({"host": "b.example.com", "path": "/b", "tlsSecretName": "tls"}),
        ]),
        choice(vec![
            json!({"parentRefs": [{"name": "g"}], "hostnames": ["a.example.com", "*.example.com"]}),
        ]),
        choice(vec![
            json!({"type": "NodePort"}),
            json!({"type": "LoadBalancer", "port": 443}),
        ]),
        choice(vec![json!({}), json!({"port": 1000, "path": "/m"})]),
        choice(vec![json!({}), json!({"path": "/deep"})]),
        choice(vec![
            json!({"enabled": false}),
            json!({"metricsFrom": [{"podSelector": {}}]}),
        ]),
        choice(vec![
            json!({"enabled": false}),
            json!({"folder": "F", "labels": {"a": "b"}}),
        ]),
    );
    (running, around).prop_map(|(running, around)| {
        let (image, replicas, port, autoscaling, health, shutdown, resources, security) = running;
        let (database, cache, ingress, gateway, service, metrics, probe, network, dashboards) = around;
        let mut slos = Vec::new();
        if metrics.is_some() {
            slos.push(json!({"name": "a", "objective": 99.9, "indicator": {"availability": {}}}));
            slos.push(json!({"name": "l", "objective": 95, "window": "7d", "indicator": {"latency": {"threshold": "1s"}}}));
        }
        if probe.is_some() {
            slos.push(json!({"name": "p", "objective": 90, "indicator": {"probe": {}}}));
        }
        let mut spec = json!({"image": image, "replicas": replicas, "port": port, "slos": slos});
        for (field, value) in [
            ("autoscaling", autoscaling),
            ("health", health),
            ("shutdown", shutdown),
            ("resources", resources),
            ("securityContext", security),
            ("database", database),
            ("cache", cache),
            ("ingress", ingress),
            ("gateway", gateway),
            ("service", service),
            ("metrics", metrics),
            ("probe", probe),
            ("networkPolicy", network),
            ("dashboards", dashboards),
        ] {
            if let Some(value) = value {
                spec[field] = value;
            }
        }
        spec
    })
}

fn app(spec: &Value) -> ValidApp {
    let app: ObservedApp = serde_json::from_value(json!({
        "apiVersion": "observedapp.dev/v1alpha1",
        "kind": "ObservedApp",
        "metadata": {"name": "a-b", "namespace": "n", "uid": "u"},
        "spec": spec,
    }))
    .unwrap();
    validate(&app, default_observed(), default_settings())
        .unwrap_or_else(|problems| panic!("{problems}\n{spec:#}"))
}

/// The bytes of every object, by kind and name.
fn objects(spec: &Value) -> BTreeMap<String, String> {
    let desired = desired(&app(spec));
    let generated = desired.generated.into_iter().map(Object::from);
    let objects: Vec<Object> = desired.objects.into_iter().chain(generated).collect();
    let count = objects.len();
    let named: BTreeMap<_, _> = objects
        .iter()
        .map(|object| {
            let name = format!("{} {}", object.kind().as_str(), object.name());
            (name, serde_json::to_string(object).unwrap())
        })
        .collect();
    assert_eq!(named.len(), count, "two objects of one kind have one name");
    named
}

fn changed(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> BTreeSet<String> {
    let names: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    names
        .into_iter()
        .filter(|name| before.get(*name) != after.get(*name))
        .cloned()
        .collect()
}

fn names(objects: &Value) -> Vec<(String, String)> {
    let labels = objects.as_object().into_iter().flatten();
    labels
        .map(|(key, value)| (key.clone(), value.as_str().unwrap().to_owned()))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_same_spec_gives_the_same_bytes(spec in any_spec()) {
        prop_assert_eq!(objects(&spec), objects(&spec));
    }

    #[test]
    fn everything_is_the_apps_own(spec in any_spec()) {
        for object in desired(&app(&spec)).objects {
            let metadata = object.metadata();
            let labels = metadata.labels.as_ref().unwrap();
            prop_assert_eq!(labels.get("app.kubernetes.io/managed-by").map(String::as_str), Some("observedapp"));
            prop_assert_eq!(labels.get("app.kubernetes.io/instance").map(String::as_str), Some("a-b"));
            let annotations = metadata.annotations.as_ref();
            let retained = annotations.is_some_and(|a| a.contains_key(observedapp_desired::RETAIN_ANNOTATION));
            let owned = metadata.owner_references.as_ref().is_some_and(|owners| owners.len() == 1);
            prop_assert!(owned != retained, "{} is owned or retained, never both", object.name());
            for value in labels.values() {
                prop_assert!(value.len() <= 63);
            }
        }
    }

    #[test]
    fn selectors_match_exactly_their_pods(spec in any_spec()) {
        let objects = desired(&app(&spec)).objects;
        let templates = pods::templates(&objects);
        let matching = |selector: &[(String, String)]| {
            let matches = |template: &&(String, Value)| {
                selector.iter().all(|(key, value)| template.1["metadata"]["labels"][key] == *value)
            };
            templates.iter().filter(matches).count()
        };
        for object in &objects {
            let value = serde_json::to_value(object).unwrap();
            let selector = match object {
                Object::Service(_) => &value["spec"]["selector"],
                Object::Deployment(_) | Object::StatefulSet(_) | Object::PodDisruptionBudget(_) => {
                    &value["spec"]["selector"]["matchLabels"]
                }
                Object::NetworkPolicy(_) => &value["spec"]["podSelector"]["matchLabels"],
                _ => continue,
            };
            prop_assert_eq!(matching(&names(selector)), 1, "{}", object.name());
        }
        for object in &objects {
            if let Object::ServiceMonitor(monitor) = object {
                let selector = monitor.spec.selector.match_labels.as_ref().unwrap();
                let selected: Vec<_> = objects
                    .iter()
                    .filter_map(|object| match object {
                        Object::Service(service) => Some(service),
                        _ => None,
                    })
                    .filter(|service| {
                        let labels = service.metadata.labels.as_ref().unwrap();
                        selector.iter().all(|(key, value)| labels.get(key) == Some(value))
                    })
                    .collect();
                prop_assert_eq!(selected.len(), 1, "{}", object.name());
                let ports = selected[0].spec.as_ref().unwrap().ports.as_ref().unwrap();
                let port = &monitor.spec.endpoints[0].port;
                prop_assert!(ports.iter().any(|p| p.name.as_ref() == Some(port)));
            }
        }
    }

    #[test]
    fn every_pod_is_restricted(spec in any_spec()) {
        for (name, pod) in pods::templates(&desired(&app(&spec)).objects) {
            prop_assert_eq!(pods::restricted(&pod), Vec::<String>::new(), "{}", name);
        }
    }

    #[test]
    fn a_limit_is_never_below_its_request(spec in any_spec()) {
        for (name, pod) in pods::templates(&desired(&app(&spec)).objects) {
            for container in pod["spec"]["containers"].as_array().unwrap() {
                for resource in ["cpu", "memory"] {
                    let amount = |of: &str| -> Option<observedapp_api::Amount> {
                        container["resources"][of][resource].as_str().map(|text| text.parse().unwrap())
                    };
                    if let (Some(request), Some(limit)) = (amount("requests"), amount("limits")) {
                        prop_assert!(request <= limit, "{}: {}", name, container["name"]);
                    }
                }
            }
        }
    }

    /// Each field of the table may change these objects, whatever else is in the spec, and must change the first.
    #[test]
    fn a_change_stays_where_it_belongs(spec in any_spec()) {
        let table: &[(&str, Value, &[&str])] = &[
            ("args", json!(["--other"]), &["Deployment a-b"]),
            ("env", json!([{"name": "NEW", "value": "1"}]), &["Deployment a-b"]),
            ("podTemplate", json!({"labels": {"new": "1"}}), &["Deployment a-b"]),
            ("placement", json!({"priorityClassName": "high"}), &["Deployment a-b"]),
            ("rollout", json!({"maxSurge": "50%"}), &["Deployment a-b"]),
            ("serviceAccount", json!({"annotations": {"new": "1"}}), &["ServiceAccount a-b"]),
            ("service", json!({"annotations": {"new": "1"}, "port": 81}), &["Service a-b", "Probe a-b", "HTTPRoute a-b"]),
            ("ingress", json!({"host": "new.example.com"}), &["Ingress a-b", "Probe a-b"]),
            ("gateway", json!({"parentRefs": [{"name": "new"}], "hostnames": ["new.example.com"]}), &["HTTPRoute a-b", "Probe a-b"]),
            ("autoscaling", json!({"minReplicas": 3, "maxReplicas": 9}), &["HorizontalPodAutoscaler a-b", "Deployment a-b", "PodDisruptionBudget a-b"]),
            ("dashboards", json!({"folder": "New"}), &["ConfigMap a-b-dashboards", "PrometheusRule a-b"]),
            ("cache", json!({"builtin": {"memory": "96Mi"}}), &["Deployment a-b-cache", "Deployment a-b", "Service a-b-cache", "ServiceMonitor a-b-cache", "NetworkPolicy a-b-cache", "ConfigMap a-b-dashboards"]),
            ("alerts", json!({"highCPU": {"percent": 42}}), &["PrometheusRule a-b"]),
        ];
        let before = objects(&spec);
        for (field, value, allowed) in table {
            let mut other = spec.clone();
            other[*field] = value.clone();
            let changed = changed(&before, &objects(&other));
            prop_assert!(changed.contains(allowed[0]), "{} did not change {}", field, allowed[0]);
            for name in &changed {
                prop_assert!(allowed.contains(&name.as_str()), "{} changed {}", field, name);
            }
        }
    }
}
