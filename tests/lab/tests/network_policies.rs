//! Tests of the network policy enforcer's rules.

#![allow(clippy::unwrap_used)]

use std::net::Ipv4Addr;

use k8s_openapi::api::{
    core::v1::{Namespace, Pod},
    networking::v1::NetworkPolicy,
};
use lab::netpol::{Allowed, Endpoint, Isolated, Rules, Ruleset, Service};

type Ports = &'static [(&'static str, u16)];

/// web and db are in `shop`, prometheus in `monitoring`, a stranger in `other`.
const CLUSTER: [(&str, &str, &str, Ports); 4] = [
    ("web", "shop", "10.0.0.1", &[("http", 8080), ("metrics", 9090)]),
    ("db", "shop", "10.0.0.2", &[("postgres", 5432)]),
    ("prometheus", "monitoring", "10.0.0.3", &[]),
    ("stranger", "other", "10.0.0.4", &[("http", 8081)]),
];
const OUTSIDE: &str = "192.0.2.7";

fn pod(name: &str, namespace: &str, ip: &str, ports: Ports) -> Pod {
    let ports: Vec<_> = ports
        .iter()
        .map(|(name, port)| serde_json::json!({"name": name, "containerPort": port}))
        .collect();
    serde_json::from_value(serde_json::json!({
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": name}},
        "spec": {"containers": [{"name": "main", "ports": ports}]},
        "status": {"podIP": ip, "phase": "Running"},
    }))
    .unwrap()
}

fn namespace(name: &str) -> Namespace {
    serde_json::from_value(serde_json::json!({
        "metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}},
    }))
    .unwrap()
}

fn policy(namespace: &str, spec: &str) -> NetworkPolicy {
    let spec: serde_json::Value = serde_yaml::from_str(spec).unwrap();
    serde_json::from_value(serde_json::json!({
        "metadata": {"name": "p", "namespace": namespace}, "spec": spec,
    }))
    .unwrap()
}

fn rules(policies: &[NetworkPolicy]) -> Rules {
    let pods: Vec<Endpoint> = CLUSTER
        .iter()
        .map(|(name, namespace, ip, ports)| Endpoint::of(&pod(name, namespace, ip, ports)).unwrap())
        .collect();
    Rules::new(policies, &pods, &["shop", "monitoring", "other"].map(namespace))
}

fn address(name: &str) -> Ipv4Addr {
    let known = CLUSTER.iter().find(|pod| pod.0 == name).map_or(name, |pod| pod.2);
    known.parse().unwrap()
}

/// Evaluates the rules, independent of iptables.
fn may_reach(rules: &Rules, from: &str, to: &str, protocol: &str, port: u16) -> bool {
    let (from, to) = (address(from), address(to));
    let lets = |isolated: &[Isolated], own: Ipv4Addr, peer: Ipv4Addr| {
        let matches = |allowed: &Allowed| {
            allowed.peer.is_none_or(|net| net.contains(&peer))
                && allowed.service.as_ref().is_none_or(|service: &Service| {
                    service.protocol == protocol
                        && service.ports.as_ref().is_none_or(|ports| ports.contains(&port))
                })
        };
        let mut pods = isolated.iter().filter(|pod| pod.ip == own);
        pods.next().is_none_or(|pod| pod.allowed.iter().any(matches))
    };
    lets(&rules.egress, from, to) && lets(&rules.ingress, to, from)
}

/// Each row: source, destination (with a port, and `/udp` if it is not TCP), and whether it is allowed.
#[track_caller]
fn check(policies: &[(&str, &str)], table: &[(&str, &str, bool)]) {
    let policies: Vec<_> = policies
        .iter()
        .map(|(namespace, spec)| policy(namespace, spec))
        .collect();
    let rules = rules(&policies);
    for (from, to, expected) in table {
        let (to, port) = to.split_once(':').unwrap();
        let (port, protocol) = port.split_once('/').unwrap_or((port, "tcp"));
        let reached = may_reach(&rules, from, to, &protocol.to_uppercase(), port.parse().unwrap());
        assert_eq!(
            reached,
            *expected,
            "{from} -> {to}:{port}/{protocol}\n{}",
            Ruleset::from(&rules)
        );
    }
}

#[test]
fn without_a_policy_everybody_reaches_everybody() {
    check(
        &[],
        &[
            ("stranger", "db:5432", true),
            (OUTSIDE, "web:8080", true),
            ("web", "192.0.2.7:443", true),
        ],
    );
}

#[test]
fn an_empty_policy_denies_all_ingress_of_its_namespace_and_nothing_else() {
    check(
        &[("shop", "{podSelector: {}}")],
        &[
            ("stranger", "web:8080", false),
            ("web", "db:5432", false),
            (OUTSIDE, "db:5432", false),
            ("web", "prometheus:9090", true),
            ("web", "192.0.2.7:443", true),
        ],
    );
}

#[test]
fn the_database_takes_its_port_from_its_app_and_from_nobody_else() {
    check(
        &[(
            "shop",
            "{podSelector: {matchLabels: {app: db}}, policyTypes: [Ingress, Egress], ingress: [
               {from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 5432}]}]}",
        )],
        &[
            ("web", "db:5432", true),
            ("web", "db:5432/udp", false),
            ("web", "db:22", false),
            ("prometheus", "db:5432", false),
            ("stranger", "db:5432", false),
            ("db", "web:8080", false),
            ("db", "192.0.2.7:443", false),
            ("stranger", "web:8080", true),
        ],
    );
}

#[test]
fn a_pod_selector_alone_means_the_policys_own_namespace() {
    check(
        &[(
            "shop",
            "{podSelector: {}, ingress: [{from: [{podSelector: {}}]}]}",
        )],
        &[("web", "db:5432", true), ("stranger", "db:5432", false)],
    );
}

#[test]
fn namespace_and_pod_selector_in_one_peer_must_both_match_and_in_two_either_will_do() {
    let monitoring = "namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: monitoring}}";
    let one = format!(
        "{{podSelector: {{}}, ingress: [{{from: [{{{monitoring}, podSelector: {{matchLabels: {{app: x}}}}}}]}}]}}"
    );
    check(&[("shop", &one)], &[("prometheus", "web:9090", false)]);
    let two = format!(
        "{{podSelector: {{}}, ingress: [{{from: [{{{monitoring}}}, {{podSelector: {{matchLabels: {{app: x}}}}}}]}}]}}"
    );
    check(
        &[("shop", &two)],
        &[("prometheus", "web:9090", true), ("stranger", "web:9090", false)],
    );
}

#[test]
fn expressions_select_too() {
    let spec = "{podSelector: {matchExpressions: [{key: app, operator: In, values: [web, db]}]}, ingress: [
        {from: [{namespaceSelector: {matchExpressions: [
          {key: kubernetes.io/metadata.name, operator: NotIn, values: [other]},
          {key: team, operator: DoesNotExist}]}}]}]}";
    check(
        &[("shop", spec)],
        &[("prometheus", "web:1", true), ("stranger", "web:1", false)],
    );
}

#[test]
fn ports_go_by_number_range_and_name() {
    let by = |port: &str| {
        format!("{{podSelector: {{matchLabels: {{app: web}}}}, ingress: [{{ports: [{port}]}}]}}")
    };
    check(
        &[("shop", &by("{port: metrics}"))],
        &[("stranger", "web:9090", true), ("stranger", "web:8080", false)],
    );
    check(
        &[("shop", &by("{port: 8080, endPort: 8090}"))],
        &[
            ("stranger", "web:8080", true),
            ("stranger", "web:8090", true),
            ("stranger", "web:8091", false),
        ],
    );
    check(
        &[("shop", &by("{protocol: UDP}"))],
        &[("stranger", "web:53/udp", true), ("stranger", "web:53", false)],
    );
    check(
        &[("shop", &by("{port: nobodys}"))],
        &[("stranger", "web:8080", false)],
    );
}

#[test]
fn an_egress_rule_takes_a_ports_name_from_the_pod_that_is_reached() {
    let spec = "{podSelector: {}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {}}], ports: [{port: http}]}]}";
    check(
        &[("shop", spec)],
        &[
            ("db", "web:8080", true),
            ("db", "stranger:8081", true),
            ("db", "stranger:8080", false),
            ("db", "prometheus:8080", false),
        ],
    );
}

#[test]
fn blocks_hold_but_for_their_exceptions() {
    let spec = "{podSelector: {}, policyTypes: [Egress], egress: [
        {to: [{ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8, 192.0.2.0/29]}}]}]}";
    check(
        &[("shop", spec)],
        &[
            ("web", "198.51.100.1:443", true),
            ("web", "192.0.2.7:443", false),
            ("web", "192.0.2.8:443", true),
            ("web", "stranger:8081", false),
        ],
    );
}

#[test]
fn several_policies_add_up() {
    let base = "{podSelector: {}}";
    let http = "{podSelector: {matchLabels: {app: web}}, ingress: [{ports: [{port: 8080}]}]}";
    let metrics = "{podSelector: {matchLabels: {app: web}}, ingress: [{ports: [{port: 9090}]}]}";
    check(
        &[("shop", base), ("shop", http), ("shop", metrics)],
        &[
            ("stranger", "web:8080", true),
            ("stranger", "web:9090", true),
            ("stranger", "web:1", false),
            ("stranger", "db:5432", false),
        ],
    );
}

#[test]
fn egress_and_ingress_must_both_allow() {
    let egress = "{podSelector: {}, policyTypes: [Egress], egress: [{to: [{podSelector: {}}]}]}";
    let deny = "{podSelector: {matchLabels: {app: db}}}";
    check(
        &[("shop", egress), ("shop", deny)],
        &[
            ("web", "db:5432", false),
            ("db", "web:8080", true),
            ("web", "stranger:1", false),
        ],
    );
}

#[test]
fn a_policy_is_for_its_own_namespace() {
    check(
        &[("other", "{podSelector: {}}")],
        &[("web", "db:5432", true), ("web", "stranger:8081", false)],
    );
}

#[test]
fn pods_without_an_address_of_their_own_are_no_endpoints() {
    let with = |change: &str| {
        let mut pod = serde_json::to_value(pod("web", "shop", "10.0.0.1", &[])).unwrap();
        let change: serde_json::Value = serde_json::from_str(change).unwrap();
        for (part, fields) in change.as_object().unwrap() {
            for (name, value) in fields.as_object().unwrap() {
                pod[part][name] = value.clone();
            }
        }
        Endpoint::of(&serde_json::from_value(pod).unwrap())
    };
    assert!(with("{}").is_some());
    assert_eq!(with(r#"{"spec": {"hostNetwork": true}}"#), None);
    assert_eq!(with(r#"{"status": {"phase": "Succeeded"}}"#), None);
    assert_eq!(with(r#"{"status": {"podIP": null}}"#), None);
}

#[test]
fn a_sidecars_ports_have_names_too() {
    let mut pod = serde_json::to_value(pod("web", "shop", "10.0.0.1", &[])).unwrap();
    pod["spec"]["initContainers"] = serde_json::json!([
        {"name": "setup", "ports": [{"name": "once", "containerPort": 1}]},
        {"name": "proxy", "restartPolicy": "Always", "ports": [{"name": "tls", "containerPort": 8443}]},
    ]);
    let endpoint = Endpoint::of(&serde_json::from_value(pod).unwrap()).unwrap();
    assert_eq!(endpoint.ports, [("tls".to_owned(), "TCP".to_owned(), 8443)]);
}
