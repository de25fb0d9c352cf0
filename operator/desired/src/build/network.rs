//! Who may reach what.

use std::collections::BTreeSet;

use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{cache, database, monitors};
use crate::{Component, Database, Object, ReleaseFields, ValidApp};

/// While pods of two releases run, the policy fits both: `before` are the fields of the other one.
pub(super) fn objects(app: &ValidApp, before: Option<&ReleaseFields>) -> Vec<Object> {
    let mut policies = Vec::new();
    if app.spec.network_policy.enabled {
        policies.push(for_app(app, before).into());
    }
    // The cache has no password: its policy is what keeps others out, so no setting of the app's own takes it away.
    if let Some(Database::Builtin(_)) = app.database {
        policies.push(
            for_backend(
                app,
                app.id.database(),
                Component::Database,
                database::PORT,
                database::builtin::EXPORTER_PORT,
            )
            .into(),
        );
    }
    if app.builtin_cache().is_some() {
        policies.push(
            for_backend(
                app,
                app.id.cache(),
                Component::Cache,
                cache::PORT,
                cache::EXPORTER_PORT,
            )
            .into(),
        );
    }
    policies
}

/// The app serves everybody; what it calls itself is nobody else's business. Its metrics, on a port of their own, are
/// for Prometheus.
fn for_app(app: &ValidApp, before: Option<&ReleaseFields>) -> NetworkPolicy {
    let ports = |own: Option<i32>, other: Option<i32>| -> Option<Vec<NetworkPolicyPort>> {
        let ports: BTreeSet<i32> = own.into_iter().chain(other).collect();
        (!ports.is_empty()).then(|| ports.into_iter().map(port).collect())
    };
    let mut rules = vec![NetworkPolicyIngressRule {
        from: None,
        ports: ports(Some(app.spec.port), before.map(|before| before.port)),
    }];
    let metrics = ports(
        monitors::own_port(&app.spec),
        before.and_then(|before| before.metrics_port),
    );
    if metrics.is_some() {
        rules.push(NetworkPolicyIngressRule {
            from: metrics_from(app, app.observed.prometheus.prober_namespace.as_ref()),
            ports: metrics,
        });
    }
    NetworkPolicy {
        metadata: app.metadata(app.id.name.clone(), Component::App),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(app.selector(Component::App)),
            policy_types: Some(vec!["Ingress".to_owned()]),
            ingress: Some(rules),
            ..Default::default()
        }),
    }
}

/// Prometheus, and whom the spec names beside it. Where nobody knows where Prometheus runs, everybody: shut out, it would
/// report every database as down.
fn metrics_from(app: &ValidApp, prober: Option<&String>) -> Option<Vec<NetworkPolicyPeer>> {
    let prometheus = &app.observed.prometheus;
    if prometheus.namespaces.is_empty() {
        return None;
    }
    let mut namespaces = prometheus.namespaces.clone();
    namespaces.extend(prober.cloned());
    let mut peers = vec![in_namespaces(&namespaces)];
    peers.extend(app.spec.network_policy.metrics_from.iter().cloned());
    Some(peers)
}

/// A database or a cache: from this app's pods, its exporter from Prometheus, and nowhere to go itself.
fn for_backend(
    app: &ValidApp,
    name: String,
    component: Component,
    serves: i32,
    exporter: i32,
) -> NetworkPolicy {
    let rules = vec![
        NetworkPolicyIngressRule {
            from: Some(vec![NetworkPolicyPeer {
                pod_selector: Some(app.selector(Component::App)),
                ..Default::default()
            }]),
            ports: Some(vec![port(serves)]),
        },
        NetworkPolicyIngressRule {
            from: metrics_from(app, None),
            ports: Some(vec![port(exporter)]),
        },
    ];
    NetworkPolicy {
        metadata: app.metadata(name, component),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(app.selector(component)),
            policy_types: Some(vec!["Ingress".to_owned(), "Egress".to_owned()]),
            ingress: Some(rules),
            ..Default::default()
        }),
    }
}

fn in_namespaces(names: &BTreeSet<String>) -> NetworkPolicyPeer {
    NetworkPolicyPeer {
        namespace_selector: Some(LabelSelector {
            match_expressions: Some(vec![LabelSelectorRequirement {
                key: "kubernetes.io/metadata.name".to_owned(),
                operator: "In".to_owned(),
                values: Some(names.iter().cloned().collect()),
            }]),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// By number: a name would also match another port of that name in another container.
fn port(number: i32) -> NetworkPolicyPort {
    NetworkPolicyPort {
        protocol: Some("TCP".to_owned()),
        port: Some(IntOrString::Int(number)),
        ..Default::default()
    }
}
