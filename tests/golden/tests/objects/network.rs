//! Who may reach what, allowed and denied, by evaluating the policies as Kubernetes does.

use golden_tests::Case;
use observedapp_desired::{Object, ValidApp, desired};
use serde_json::Value;

/// Somebody who wants to connect.
struct Client {
    namespace: &'static str,
    /// `app.kubernetes.io/` `name` and `component`, where it is a pod of an app's.
    labels: Option<(&'static str, &'static str)>,
}

const OWN: Client = client("shop", "tasks", "app");
const OWN_CACHE: Client = client("shop", "tasks", "cache");
const OTHER_APP: Client = client("shop", "other", "app");
const PROMETHEUS: Client = stranger("monitoring");
const PROBER: Client = stranger("probing");
const METRICS_READER: Client = stranger("auditing");
const STRANGER: Client = stranger("elsewhere");
const NAMESAKE: Client = client("elsewhere", "tasks", "app");

const fn client(namespace: &'static str, name: &'static str, component: &'static str) -> Client {
    Client {
        namespace,
        labels: Some((name, component)),
    }
}

const fn stranger(namespace: &'static str) -> Client {
    Client {
        namespace,
        labels: None,
    }
}

const EVERYBODY: [&Client; 8] = [
    &OWN,
    &OWN_CACHE,
    &OTHER_APP,
    &PROMETHEUS,
    &PROBER,
    &METRICS_READER,
    &STRANGER,
    &NAMESAKE,
];

/// Component, port, and who reaches it.
type Table<'a> = &'a [(&'a str, i64, &'a [&'a Client])];

#[track_caller]
fn expect(case: &str, table: Table<'_>) {
    let found = Case::all().unwrap().into_iter().find(|found| found.name == case);
    let app = found.unwrap().validate().unwrap();
    for (component, port, allowed) in table {
        for client in EVERYBODY {
            let expected = allowed.iter().any(|allowed| std::ptr::eq(*allowed, client));
            assert_eq!(
                reaches(&app, client, component, *port),
                expected,
                "{case}: {:?} of {} to {component}:{port}",
                client.labels,
                client.namespace
            );
        }
    }
}

#[test]
fn only_those_who_should_get_through() {
    expect(
        "everything",
        &[
            ("app", 5000, &EVERYBODY),
            ("app", 8000, &[&PROMETHEUS, &PROBER, &METRICS_READER]),
            ("app", 22, &[]),
            ("database", 5432, &[&OWN]),
            ("database", 9187, &[&PROMETHEUS, &METRICS_READER]),
            ("cache", 6379, &[&OWN]),
            ("cache", 9121, &[&PROMETHEUS, &METRICS_READER]),
        ],
    );
}

#[test]
fn where_nobody_knows_where_prometheus_runs_it_is_not_shut_out() {
    expect(
        "prometheus-unknown",
        &[
            ("app", 8000, &EVERYBODY),
            ("database", 5432, &[&OWN]),
            ("database", 9187, &EVERYBODY),
            ("cache", 6379, &[&OWN]),
            ("cache", 9121, &EVERYBODY),
        ],
    );
}

#[test]
fn an_app_without_a_policy_leaves_its_database_and_cache_closed() {
    expect(
        "prometheus-unread",
        &[
            ("app", 8000, &EVERYBODY),
            ("app", 22, &EVERYBODY),
            ("database", 5432, &[&OWN]),
            ("database", 9187, &[&PROMETHEUS, &METRICS_READER]),
            ("cache", 6379, &[&OWN]),
            ("cache", 9121, &[&PROMETHEUS, &METRICS_READER]),
        ],
    );
}

#[test]
fn databases_and_caches_call_nobody() {
    for case in Case::all().unwrap() {
        for policy in policies(&case.validate().unwrap()) {
            let component = &policy["spec"]["podSelector"]["matchLabels"]["app.kubernetes.io/component"];
            let types = policy["spec"]["policyTypes"].as_array().unwrap();
            assert_eq!(
                types.iter().any(|t| t == "Egress"),
                component != "app",
                "{}",
                case.name
            );
            assert!(policy["spec"]["egress"].is_null(), "{}", case.name);
        }
    }
}

fn policies(app: &ValidApp) -> Vec<Value> {
    let objects = desired(app).objects.into_iter();
    objects
        .filter(|object| matches!(object, Object::NetworkPolicy(_)))
        .map(|policy| serde_json::to_value(policy).unwrap())
        .collect()
}

fn reaches(app: &ValidApp, client: &Client, component: &str, port: i64) -> bool {
    let policies = policies(app);
    let selects = |policy: &&Value| {
        policy["spec"]["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == component
    };
    let selecting: Vec<_> = policies.iter().filter(selects).collect();
    // What no policy selects is open.
    if selecting.is_empty() {
        return true;
    }
    assert_eq!(selecting.len(), 1, "{component}");
    let rules = selecting[0]["spec"]["ingress"].as_array().unwrap();
    rules.iter().any(|rule| {
        let ports = rule["ports"].as_array().unwrap();
        let peers = rule["from"].as_array();
        ports.iter().any(|p| p["port"] == port)
            && peers.is_none_or(|peers| peers.iter().any(|peer| is_peer(app, client, peer)))
    })
}

fn is_peer(app: &ValidApp, client: &Client, peer: &Value) -> bool {
    let in_namespace = if peer["namespaceSelector"].is_null() {
        client.namespace == app.id.namespace
    } else {
        let selector = &peer["namespaceSelector"];
        let name = selector["matchLabels"]["kubernetes.io/metadata.name"].as_str();
        let names = selector["matchExpressions"][0]["values"].as_array();
        name.is_none_or(|name| name == client.namespace)
            && names.is_none_or(|names| names.iter().any(|name| name == client.namespace))
    };
    let selected = match peer["podSelector"]["matchLabels"].as_object() {
        None => true,
        Some(labels) => labels.iter().all(|(key, value)| {
            client.labels.is_some_and(|(name, component)| {
                let own = match key.as_str() {
                    "app.kubernetes.io/component" => component,
                    _ => name,
                };
                value == own
            })
        }),
    };
    in_namespace && selected
}
