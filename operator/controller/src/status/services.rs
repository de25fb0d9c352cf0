//! `DatabaseReady`, `CacheReady`, `Exposed`, and where the app is reached.

use kube::ResourceExt;
use observedapp_api::{ConditionType, ObservedApp, ServiceType};

use super::availability::{explain, worst};
use super::conditions::{AppFacts, Finding, Progress};
use crate::watch::{Live, Whose};
use observedapp_desired::Kind;

pub fn database_ready(facts: &AppFacts<'_>) -> Option<Finding> {
    let type_ = ConditionType::DatabaseReady;
    let database = facts.spec.database.as_ref()?;
    if let Some(external) = &database.external {
        return Some(external_secret(
            facts,
            type_,
            &external.secret_name,
            "spec.database.external.secretName",
        ));
    }
    if let Progress::Applied { desired, .. } | Progress::Paused(desired) = &facts.progress
        && let Some(lost) = &desired.database_lost
    {
        return Some(Finding::no(type_, "SecretLost", lost.to_string()));
    }
    if database.builtin.is_some() {
        return Some(running(facts, type_, facts.database, "database"));
    }
    let Some(cluster) = facts.database.and_then(|live| live.facts.as_deref()) else {
        return Some(Finding::no(
            type_,
            "NotCreated",
            "the Cluster does not exist yet, see Applied",
        ));
    };
    if cluster
        .condition("Ready")
        .is_some_and(|fact| fact.status == "True")
        || (cluster.ready > 0 && cluster.ready >= cluster.replicas)
    {
        return Some(Finding::yes(
            type_,
            "AcceptsConnections",
            format!("{} instances are ready", cluster.ready),
        ));
    }
    let phase = cluster
        .phase
        .as_deref()
        .unwrap_or("CloudNativePG has not looked at it yet");
    Some(Finding::no(
        type_,
        "NotReady",
        format!("{phase}: look at `kubectl describe cluster {}-db`", facts.name),
    ))
}

pub fn cache_ready(facts: &AppFacts<'_>) -> Option<Finding> {
    let type_ = ConditionType::CacheReady;
    let cache = facts.spec.cache.as_ref()?;
    if let Some(external) = &cache.external {
        return Some(external_secret(
            facts,
            type_,
            &external.secret_name,
            "spec.cache.external.secretName",
        ));
    }
    Some(running(facts, type_, facts.cache, "cache"))
}

/// What answers elsewhere can only be told by the app's own readiness; that we know where it is can be told here.
fn external_secret(facts: &AppFacts<'_>, type_: ConditionType, secret: &str, field: &str) -> Finding {
    let absent = facts
        .absent
        .iter()
        .any(|key| key.kind == Kind::Secret && *key.name == *secret);
    if absent {
        Finding::no(
            type_,
            "SecretMissing",
            format!("the Secret {secret} does not exist: create it, or correct {field}"),
        )
    } else {
        Finding::yes(
            type_,
            "External",
            format!(
                "the Secret {secret} says where it is; whether it answers, the app's own readiness tells"
            ),
        )
    }
}

/// A workload of one pod, ready when its pod is: the pod's readiness check is a connection.
fn running(facts: &AppFacts<'_>, type_: ConditionType, live: Option<&Live>, component: &str) -> Finding {
    let Some(workload) = live.and_then(|live| live.facts.as_deref()) else {
        return Finding::no(type_, "NotCreated", "it does not exist yet, see Applied");
    };
    if workload.ready > 0 {
        return Finding::yes(type_, "AcceptsConnections", "it accepts connections");
    }
    if let Some((pod, trouble)) = worst(facts.pods, component) {
        let explained = explain(facts.name, pod, trouble, false);
        return Finding { type_, ..explained };
    }
    if let Some(failure) = workload
        .condition("ReplicaFailure")
        .filter(|fact| fact.status == "True")
    {
        return Finding::no(type_, "PodsNotCreated", failure.message.clone());
    }
    Finding::no(type_, "Starting", "it does not accept connections yet")
}

pub fn exposed(facts: &AppFacts<'_>) -> Option<Finding> {
    let type_ = ConditionType::Exposed;
    let balanced = facts.spec.service.type_ == ServiceType::LoadBalancer;
    if facts.spec.ingress.is_none() && !balanced {
        return None;
    }
    if balanced && addresses(facts.service).is_empty() {
        return Some(Finding::no(
            type_,
            "NoAddress",
            "the load balancer has no address yet: without a cloud's controller (or MetalLB) it never gets one",
        ));
    }
    if let Some(ingress) = &facts.spec.ingress {
        if let Progress::Applied { desired, .. } | Progress::Paused(desired) = &facts.progress
            && let Some(holder) = &desired.host_holder
        {
            return Some(Finding::no(
                type_,
                "HostTaken",
                format!(
                    "the app {holder} has the host {}, so no Ingress is made: choose another host, or remove it there",
                    ingress.host
                ),
            ));
        }
        if facts.ingress.is_none() {
            return Some(Finding::no(
                type_,
                "NotCreated",
                "the Ingress does not exist yet, see Applied",
            ));
        }
        if let Some(classes) = facts.ingress_classes {
            let names = || {
                classes
                    .iter()
                    .map(|(name, _)| name.as_str())
                    .collect::<Vec<_>>()
                    .join(", ")
            };
            let known = || {
                if classes.is_empty() {
                    "there is none: install an ingress controller".to_owned()
                } else {
                    format!("there are: {}", names())
                }
            };
            match &ingress.class_name {
                Some(class) if !classes.iter().any(|(name, _)| name == class) => {
                    return Some(Finding::no(
                        type_,
                        "ClassMissing",
                        format!("the IngressClass {class} does not exist; {}", known()),
                    ));
                }
                None if !classes.iter().any(|(_, default)| *default) => {
                    return Some(Finding::no(
                        type_,
                        "NoDefaultClass",
                        format!(
                            "spec.ingress.className is not given and no IngressClass is the default; {}",
                            known()
                        ),
                    ));
                }
                _ => {}
            }
        }
    }
    Some(Finding::yes(
        type_,
        "Exposed",
        "requests from outside find their way",
    ))
}

fn addresses(live: Option<&Live>) -> &[String] {
    live.and_then(|live| live.facts.as_deref())
        .map_or(&[], |facts| facts.addresses.as_slice())
}

/// Where the app is reached: through its own Ingress, its load balancer, or within the cluster.
pub fn url(app: &ObservedApp, service: Option<&Live>, ingress: Option<&Live>) -> String {
    let name = app.name_any();
    if let Some(given) = &app.spec.ingress
        && ingress.is_some_and(|live| {
            let routes = live.facts.as_deref().map_or(&[][..], |facts| &facts.routes);
            live.whose(&name, &app.uid().unwrap_or_default()) == Whose::Ours
                && routes.iter().any(|route| route.host == given.host)
        })
    {
        let scheme = if given.tls_secret_name.is_some() {
            "https"
        } else {
            "http"
        };
        return format!("{scheme}://{}{}", given.host, given.path);
    }
    let port = match app.spec.service.port {
        80 => String::new(),
        port => format!(":{port}"),
    };
    if app.spec.service.type_ == ServiceType::LoadBalancer
        && let Some(address) = addresses(service).first()
    {
        let host = if address.contains(':') {
            format!("[{address}]")
        } else {
            address.clone()
        };
        return format!("http://{host}{port}/");
    }
    format!("http://{name}.{}.svc{port}/", app.namespace().unwrap_or_default())
}
