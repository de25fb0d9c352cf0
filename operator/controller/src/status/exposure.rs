//! `Exposed`, and where the app is reached.

use observedapp_api::{ConditionType, IngressSpec, Reason, ServiceType};

use super::condition::ConditionState;
use super::facts::Facts;
use crate::watch::ChildState;

pub fn exposed(facts: &Facts<'_>) -> Option<ConditionState> {
    let type_ = ConditionType::Exposed;
    let balanced = facts.spec.service.type_ == ServiceType::LoadBalancer;
    if facts.spec.ingress.is_none() && !balanced {
        return None;
    }
    if balanced && addresses(facts.service.as_deref()).is_empty() {
        return Some(ConditionState::no(
            type_,
            Reason::NoAddress,
            "the load balancer has no address yet: without a cloud's controller (or MetalLB) it never gets one",
        ));
    }
    if let Some(ingress) = &facts.spec.ingress {
        let desired = facts.progress.desired();
        if let Some(holder) = desired.and_then(|desired| desired.host_holder.as_ref()) {
            return Some(ConditionState::no(
                type_,
                Reason::HostTaken,
                format!(
                    "the app {holder} has the host {}, so no Ingress is made: choose another host, or remove it there",
                    ingress.host
                ),
            ));
        }
        if facts.ingress.is_none() {
            return Some(ConditionState::no(
                type_,
                Reason::NotCreated,
                "the Ingress does not exist yet, see Applied",
            ));
        }
        match &facts.ingress_classes {
            Some(classes) => {
                if let Some(condition) = class_missing(ingress.class_name.as_deref(), classes) {
                    return Some(condition);
                }
            }
            None if addresses(facts.ingress.as_deref()).is_empty() => {
                return Some(ConditionState::unknown(
                    type_,
                    Reason::IngressClassesUnreadable,
                    "an operator that is confined to some namespaces cannot read IngressClasses, and no ingress controller has \
                     written an address into the Ingress: check that spec.ingress.className names a class that exists",
                ));
            }
            None => {}
        }
    }
    Some(ConditionState::yes(
        type_,
        Reason::Exposed,
        "requests from outside find their way",
    ))
}

fn class_missing(class: Option<&str>, classes: &[(String, bool)]) -> Option<ConditionState> {
    let known = || {
        if classes.is_empty() {
            return "there is none: install an ingress controller".to_owned();
        }
        let names: Vec<&str> = classes.iter().map(|(name, _)| name.as_str()).collect();
        format!("there are: {}", names.join(", "))
    };
    match class {
        Some(class) if !classes.iter().any(|(name, _)| name == class) => Some(ConditionState::no(
            ConditionType::Exposed,
            Reason::ClassMissing,
            format!("the IngressClass {class} does not exist; {}", known()),
        )),
        None if !classes.iter().any(|(_, default)| *default) => Some(ConditionState::no(
            ConditionType::Exposed,
            Reason::NoDefaultClass,
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
pub fn url(facts: &Facts<'_>) -> String {
    let spec = facts.spec;
    let ingress = spec.ingress.as_ref();
    if let Some(ingress) = ingress.filter(|ingress| carries(facts, &ingress.host)) {
        return ingress_url(ingress);
    }
    let port = match spec.service.port {
        80 => String::new(),
        port => format!(":{port}"),
    };
    if spec.service.type_ == ServiceType::LoadBalancer
        && let Some(address) = addresses(facts.service.as_deref()).first()
    {
        let host = if address.contains(':') {
            format!("[{address}]")
        } else {
            address.clone()
        };
        return format!("http://{host}{port}/");
    }
    format!("http://{}.{}.svc{port}/", facts.app.name, facts.app.namespace)
}

fn ingress_url(ingress: &IngressSpec) -> String {
    let scheme = if ingress.tls_secret_name.is_some() {
        "https"
    } else {
        "http"
    };
    format!("{scheme}://{}{}", ingress.host, ingress.path)
}

/// Whether the app's own Ingress carries a host.
fn carries(facts: &Facts<'_>, host: &str) -> bool {
    let ingress = facts.ingress.as_deref().filter(|live| facts.owns(live));
    ingress
        .and_then(|live| live.facts.as_deref())
        .is_some_and(|live| live.routes.iter().any(|route| route.host == host))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use observedapp_api::{AppRef, ObservedAppSpec};
    use observedapp_desired::Desired;
    use serde_json::json;

    use super::*;
    use crate::status::Progress;
    use crate::watch::{Facts as ChildFacts, Owner, Route};

    fn with_facts<T>(desired: Desired, ingress: Option<ChildState>, ask: impl FnOnce(&Facts<'_>) -> T) -> T {
        let app = AppRef::new("shop", "tasks");
        let spec: ObservedAppSpec =
            serde_json::from_value(json!({"image": "tasks:1", "ingress": {"host": "tasks.example.com"}}))
                .unwrap();
        let progress = Progress::applied(desired);
        ask(&Facts {
            ingress: ingress.map(Arc::new),
            ..Facts::without_objects(&app, &spec, &progress)
        })
    }

    fn ingress(owner: &str, addresses: &[&str]) -> ChildState {
        ChildState {
            controller: Some(Owner {
                is_app: true,
                kind: "ObservedApp".to_owned(),
                name: "tasks".to_owned(),
                uid: owner.to_owned(),
            }),
            facts: Some(Box::new(ChildFacts {
                routes: vec![Route {
                    host: "tasks.example.com".to_owned(),
                    path: "/".to_owned(),
                }],
                addresses: addresses.iter().map(ToString::to_string).collect(),
                ..ChildFacts::default()
            })),
            ..ChildState::default()
        }
    }

    #[test]
    fn the_url_is_of_an_ingress_only_where_it_is_the_apps_own() {
        let url_with = |ingress| with_facts(Desired::default(), ingress, url);
        assert_eq!(url_with(Some(ingress("u", &[]))), "http://tasks.example.com/");
        for not_ours in [None, Some(ingress("another", &[]))] {
            assert_eq!(url_with(not_ours), "http://tasks.shop.svc/");
        }
    }

    #[test]
    fn a_host_that_another_app_has_is_reported_with_its_holder() {
        let desired = Desired {
            host_holder: Some(AppRef::new("mail", "web")),
            ..Desired::default()
        };
        let state = with_facts(desired, None, exposed).unwrap();
        assert_eq!(state.reason, Reason::HostTaken);
        assert!(state.message.contains("mail/web"), "{}", state.message);
    }

    #[test]
    fn without_a_right_to_classes_only_an_address_proves_that_an_ingress_is_served() {
        let exposed_with = |addresses: &[&str]| {
            let state = with_facts(Desired::default(), Some(ingress("u", addresses)), exposed).unwrap();
            (state.status.as_str(), state.reason)
        };
        assert_eq!(exposed_with(&[]), ("Unknown", Reason::IngressClassesUnreadable));
        assert_eq!(exposed_with(&["10.0.0.1"]), ("True", Reason::Exposed));
    }
}
