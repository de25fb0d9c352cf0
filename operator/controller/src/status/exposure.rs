//! `Exposed`, and where the app is reached.

use observedapp_api::{ConditionType, GatewaySpec, IngressSpec, Reason, Route, ServiceType};

use super::condition::ConditionState;
use super::facts::Facts;
use super::http_route;
use crate::watch::ChildState;

pub fn exposed(facts: &Facts<'_>) -> Option<ConditionState> {
    let type_ = ConditionType::Exposed;
    let balanced = facts.spec.service.type_ == ServiceType::LoadBalancer;
    if facts.spec.ingress.is_none() && facts.spec.gateway.is_none() && !balanced {
        return None;
    }
    if balanced && addresses(facts.service.as_deref()).is_empty() {
        return Some(ConditionState::no(
            type_,
            Reason::NoAddress,
            "the load balancer has no address yet: without a cloud's controller (or MetalLB) it never gets one",
        ));
    }
    let (ingress, gateway) = (facts.spec.ingress.as_ref(), facts.spec.gateway.as_ref());
    let problem = ingress
        .and_then(|ingress| ingress_problem(facts, ingress))
        .or_else(|| gateway.and_then(|gateway| http_route::problem(facts, gateway)));
    Some(problem.unwrap_or_else(|| {
        ConditionState::yes(type_, Reason::Exposed, "requests from outside find their way")
    }))
}

/// Why requests to the host of the Ingress do not find their way.
fn ingress_problem(facts: &Facts<'_>, ingress: &IngressSpec) -> Option<ConditionState> {
    let type_ = ConditionType::Exposed;
    let desired = facts.progress.desired();
    if let Some(holder) = desired.and_then(|desired| desired.held_routes.get(&ingress.route())) {
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
        Some(classes) => class_missing(ingress.class_name.as_deref(), classes),
        None if addresses(facts.ingress.as_deref()).is_empty() => Some(ConditionState::unknown(
            type_,
            Reason::IngressClassesUnreadable,
            "an operator that is confined to some namespaces cannot read IngressClasses, and no ingress controller has \
             written an address into the Ingress: check that spec.ingress.className names a class that exists",
        )),
        None => None,
    }
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

/// Where the app is reached: through its own Ingress, else its HTTPRoute, its load balancer, or within the cluster.
pub fn url(facts: &Facts<'_>) -> String {
    let spec = facts.spec;
    let ingress = spec.ingress.as_ref();
    let own_ingress = facts.ingress.as_deref().filter(|live| facts.owns(live));
    if let Some(ingress) = ingress.filter(|ingress| carries(own_ingress, &ingress.host)) {
        return ingress_url(ingress);
    }
    let own_route = http_route::own(facts);
    let mut hosts = spec.gateway.iter().flat_map(GatewaySpec::routes);
    let route = hosts.find(|route| !route.host.starts_with("*.") && carries(own_route, &route.host));
    if let Some(Route { host, path }) = route {
        let is_https = facts.https_hosts.contains(&host);
        return format!("{}://{host}{path}", if is_https { "https" } else { "http" });
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

/// Whether an object carries a host.
fn carries(live: Option<&ChildState>, host: &str) -> bool {
    live.and_then(|live| live.facts.as_deref())
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
    use crate::watch::{Facts as ChildFacts, Owner};

    fn route() -> Route {
        Route {
            host: "tasks.example.com".to_owned(),
            path: "/".to_owned(),
        }
    }

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
                routes: vec![route()],
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
            held_routes: [(route(), AppRef::new("mail", "web"))].into(),
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
