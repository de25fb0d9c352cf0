//! `DatabaseReady`, `CacheReady`, `Exposed`, and where the app is reached.

use kube::ResourceExt;
use observedapp_api::{ConditionType, ObservedApp, ServiceType};

use super::cloud_native_pg::primary;
use super::conditions::{AppFacts, Finding, Progress};
use super::pod_faults::{explain, worst};
use crate::watch::{ChildState, Ownership};
use observedapp_desired::Kind;

/// The reason of `Exposed` where the operator lacks the right to know. That says nothing of the app.
pub const CLASSES_UNREADABLE: &str = "IngressClassesUnreadable";

pub fn database_ready(facts: &AppFacts<'_>) -> Option<Finding> {
    let type_ = ConditionType::DatabaseReady;
    let database = facts.spec.database.as_ref()?;
    if let Some(external) = &database.external {
        let keys = facts.database_secret_keys;
        return Some(external_secret(
            facts,
            type_,
            (&external.secret_name, &external.key),
            keys,
            "spec.database.external",
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
    let wanted = database
        .cloud_native_pg
        .as_ref()
        .map_or(0, |database| database.instances);
    Some(primary(facts.name, cluster, wanted))
}

pub fn cache_ready(facts: &AppFacts<'_>) -> Option<Finding> {
    let type_ = ConditionType::CacheReady;
    let cache = facts.spec.cache.as_ref()?;
    if let Some(external) = &cache.external {
        let keys = facts.cache_secret_keys;
        return Some(external_secret(
            facts,
            type_,
            (&external.secret_name, &external.key),
            keys,
            "spec.cache.external",
        ));
    }
    Some(running(facts, type_, facts.cache, "cache"))
}

/// Whether what answers elsewhere takes connections, only the app finds out.
fn external_secret(
    facts: &AppFacts<'_>,
    type_: ConditionType,
    (secret, key): (&String, &String),
    keys: Option<&[String]>,
    field: &str,
) -> Finding {
    let absent = facts
        .absent
        .iter()
        .any(|absent| absent.kind == Kind::Secret && *absent.name == **secret);
    if absent {
        return Finding::no(
            type_,
            "SecretMissing",
            format!("the Secret {secret} does not exist: create it, or correct {field}.secretName"),
        );
    }
    match keys {
        Some(keys) if !keys.contains(key) => Finding::no(
            type_,
            "KeyMissing",
            format!(
                "the Secret {secret} has no key {key}: it has {}: correct {field}.key, or add the key",
                if keys.is_empty() {
                    "none".to_owned()
                } else {
                    keys.join(", ")
                }
            ),
        ),
        Some(_) => Finding::yes(
            type_,
            "External",
            format!(
                "the Secret {secret} has the key {key}; whether it accepts connections is the app's to find out"
            ),
        ),
        None => Finding::unknown(
            type_,
            "NotChecked",
            format!("the Secret {secret} has not been read, see Applied"),
        ),
    }
}

/// A workload of one pod, ready when its pod is: the pod's readiness check is a connection.
fn running(
    facts: &AppFacts<'_>,
    type_: ConditionType,
    live: Option<&ChildState>,
    component: &str,
) -> Finding {
    let Some(workload) = live.and_then(|live| live.facts.as_deref()) else {
        return Finding::no(type_, "NotCreated", "it does not exist yet, see Applied");
    };
    if workload.ready > 0 {
        return Finding::yes(type_, "AcceptsConnections", "it accepts connections");
    }
    if let Some((pod, trouble)) = worst(facts.pods, component) {
        let explained = explain(facts, component, pod, trouble);
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
        match facts.ingress_classes {
            Some(classes) => {
                if let Some(finding) = class_missing(ingress.class_name.as_deref(), classes) {
                    return Some(finding);
                }
            }
            None if addresses(facts.ingress).is_empty() => {
                return Some(Finding::unknown(
                    type_,
                    CLASSES_UNREADABLE,
                    "an operator that is confined to some namespaces cannot read IngressClasses, and no ingress controller has \
                     written an address into the Ingress: check that spec.ingress.className names a class that exists",
                ));
            }
            None => {}
        }
    }
    Some(Finding::yes(
        type_,
        "Exposed",
        "requests from outside find their way",
    ))
}

fn class_missing(class: Option<&str>, classes: &[(String, bool)]) -> Option<Finding> {
    let known = || {
        if classes.is_empty() {
            return "there is none: install an ingress controller".to_owned();
        }
        let names: Vec<&str> = classes.iter().map(|(name, _)| name.as_str()).collect();
        format!("there are: {}", names.join(", "))
    };
    match class {
        Some(class) if !classes.iter().any(|(name, _)| name == class) => Some(Finding::no(
            ConditionType::Exposed,
            "ClassMissing",
            format!("the IngressClass {class} does not exist; {}", known()),
        )),
        None if !classes.iter().any(|(_, default)| *default) => Some(Finding::no(
            ConditionType::Exposed,
            "NoDefaultClass",
            format!(
                "spec.ingress.className is not given and no IngressClass is the default; {}",
                known()
            ),
        )),
        _ => None,
    }
}

fn addresses(live: Option<&ChildState>) -> &[String] {
    live.and_then(|live| live.facts.as_deref())
        .map_or(&[], |facts| facts.addresses.as_slice())
}

/// Where the app is reached: through its own Ingress, its load balancer, or within the cluster.
pub fn url(app: &ObservedApp, service: Option<&ChildState>, ingress: Option<&ChildState>) -> String {
    let name = app.name_any();
    if let Some(given) = &app.spec.ingress
        && ingress.is_some_and(|live| {
            let routes = live.facts.as_deref().map_or(&[][..], |facts| &facts.routes);
            live.ownership(&name, &app.uid().unwrap_or_default()) == Ownership::Owned
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use observedapp_desired::{Desired, HostHolder};
    use serde_json::{Value, json};

    use super::*;
    use crate::watch::{Facts, Owner, Route};

    fn app(spec: &Value) -> ObservedApp {
        serde_json::from_value(json!({
            "apiVersion": "observedapp.dev/v1alpha1", "kind": "ObservedApp",
            "metadata": {"name": "tasks", "namespace": "shop", "uid": "u"}, "spec": spec,
        }))
        .unwrap()
    }

    fn facts<'a>(app: &'a ObservedApp, desired: &'a Desired) -> AppFacts<'a> {
        AppFacts::without_objects(&app.spec, Progress::Applied { desired, errors: &[] })
    }

    fn ingress(owner: &str, addresses: &[&str]) -> ChildState {
        ChildState {
            controller: Some(Owner {
                is_app: true,
                kind: "ObservedApp".to_owned(),
                name: "tasks".to_owned(),
                uid: owner.to_owned(),
            }),
            facts: Some(Box::new(Facts {
                routes: vec![Route {
                    host: "tasks.example.com".to_owned(),
                    path: "/".to_owned(),
                }],
                addresses: addresses.iter().map(ToString::to_string).collect(),
                ..Facts::default()
            })),
            ..ChildState::default()
        }
    }

    #[test]
    fn the_url_is_of_an_ingress_only_where_it_is_the_apps_own() {
        let app = app(&json!({"image": "tasks:1", "ingress": {"host": "tasks.example.com"}}));
        let own = ingress("u", &[]);
        assert_eq!(url(&app, None, Some(&own)), "http://tasks.example.com/");
        for not_ours in [None, Some(&ingress("another", &[]))] {
            assert_eq!(url(&app, None, not_ours), "http://tasks.shop.svc/");
        }
    }

    #[test]
    fn a_host_that_another_has_is_told_with_its_holder() {
        let app = app(&json!({"image": "tasks:1", "ingress": {"host": "tasks.example.com"}}));
        let desired = Desired {
            host_holder: Some(HostHolder {
                namespace: "mail".to_owned(),
                name: "web".to_owned(),
            }),
            ..Desired::default()
        };
        let finding = exposed(&facts(&app, &desired)).unwrap();
        assert_eq!(finding.reason, "HostTaken");
        assert!(finding.message.contains("mail/web"), "{}", finding.message);
    }

    #[test]
    fn without_a_right_to_classes_only_an_address_proves_that_an_ingress_is_served() {
        let app = app(&json!({"image": "tasks:1", "ingress": {"host": "tasks.example.com"}}));
        let desired = Desired::default();
        let exposed = |addresses: &[&str]| {
            let ingress = ingress("u", addresses);
            let facts = AppFacts {
                ingress: Some(&ingress),
                ..facts(&app, &desired)
            };
            let finding = super::exposed(&facts).unwrap();
            (finding.status.as_str(), finding.reason)
        };
        assert_eq!(exposed(&[]), ("Unknown", CLASSES_UNREADABLE.to_owned()));
        assert_eq!(exposed(&["10.0.0.1"]), ("True", "Exposed".to_owned()));
    }

    #[test]
    fn of_an_external_database_no_more_is_said_than_its_secret_tells() {
        let app = app(&json!({"image": "tasks:1", "database": {"external": {"secretName": "my-db"}}}));
        let desired = Desired::default();
        let ready = |keys: &[&str]| {
            let keys: Vec<String> = keys.iter().map(ToString::to_string).collect();
            let facts = AppFacts {
                database_secret_keys: Some(&keys),
                ..facts(&app, &desired)
            };
            database_ready(&facts).unwrap()
        };
        let there = ready(&["uri"]);
        assert_eq!(there.status.as_str(), "True");
        assert_eq!(
            there.message,
            "the Secret my-db has the key uri; whether it accepts connections is the app's to find out"
        );
        let missing = ready(&["url"]);
        assert_eq!(
            (missing.status.as_str(), missing.reason.as_str()),
            ("False", "KeyMissing")
        );
        assert!(missing.message.contains("it has url"), "{}", missing.message);
    }
}
