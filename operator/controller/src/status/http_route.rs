//! What the controllers of Gateways say of the app's HTTPRoute.

use observedapp_api::{ConditionType, GatewaySpec, ParentRef, Reason};
use observedapp_desired::Kind;

use super::condition::ConditionState;
use super::facts::Facts;
use crate::events::shortened;
use crate::watch::{ChildState, Fact, Facts as ChildFacts, RouteParent};

/// Why requests to a host of the HTTPRoute do not find their way.
pub fn problem(facts: &Facts<'_>, gateway: &GatewaySpec) -> Option<ConditionState> {
    let no = |reason, message: String| Some(ConditionState::no(ConditionType::Exposed, reason, message));
    if let Some(desired) = facts.progress.desired() {
        if desired.missing.contains(&Kind::HTTPRoute) {
            return no(
                Reason::ApiMissing,
                "the cluster does not serve HTTPRoute: install the CustomResourceDefinitions of the Gateway API, or remove spec.gateway"
                    .to_owned(),
            );
        }
        let held = gateway.routes().find_map(|route| {
            let holder = desired.held_routes.get(&route)?;
            Some((route.host, holder))
        });
        if let Some((host, holder)) = held {
            return no(
                Reason::HostTaken,
                format!(
                    "the app {holder} has the host {host}, so the HTTPRoute leaves it out: choose another host, or remove it there"
                ),
            );
        }
    }
    let Some(live) = own(facts).and_then(|live| live.facts.as_deref()) else {
        return no(
            Reason::NotCreated,
            "the HTTPRoute does not exist yet, see Applied".to_owned(),
        );
    };
    gateway
        .parent_refs
        .iter()
        .find_map(|parent| problem_of_parent(facts, live, parent))
}

/// The app's own HTTPRoute, if it exists.
pub fn own<'a>(facts: &'a Facts<'_>) -> Option<&'a ChildState> {
    facts.http_route.as_deref().filter(|live| facts.owns(live))
}

fn problem_of_parent(facts: &Facts<'_>, live: &ChildFacts, parent: &ParentRef) -> Option<ConditionState> {
    let type_ = ConditionType::Exposed;
    let own = facts.app.namespace.as_str();
    let who = name_of(own, parent);
    if facts.absent_gateways.contains(parent) {
        return Some(ConditionState::no(
            type_,
            Reason::GatewayMissing,
            format!("the {who} does not exist: correct spec.gateway.parentRefs, or have it made"),
        ));
    }
    let answers: Vec<Answer<'_>> = live
        .parents
        .iter()
        .filter(|said| is_same(own, &said.parent_ref, parent))
        .map(|said| Answer::of(said, live.generation))
        .collect();
    if answers.contains(&Answer::Takes) {
        return None;
    }
    let (reason, message) = match answers.first() {
        None | Some(Answer::Takes | Answer::Nothing) => {
            return Some(ConditionState::unknown(
                type_,
                Reason::RouteNotLookedAt,
                format!(
                    "no controller has said yet whether the {who} takes the HTTPRoute: wait; if it does not end, check that the Gateway \
                     exists and that the controller of its GatewayClass runs"
                ),
            ));
        }
        Some(Answer::NotAccepted(fact)) => (Reason::RouteNotAccepted, not_accepted(facts, &who, fact)),
        Some(Answer::NotResolved(fact)) => (
            Reason::RouteNotResolved,
            format!(
                "the {who} does not find what the HTTPRoute refers to ({}): kubectl describe httproute {} -n {own}",
                said(fact),
                facts.app.name
            ),
        ),
    };
    Some(ConditionState::no(type_, reason, message))
}

/// What one controller says of the newest route.
#[derive(Debug, PartialEq, Eq)]
enum Answer<'a> {
    Nothing,
    Takes,
    NotAccepted(&'a Fact),
    NotResolved(&'a Fact),
}

impl<'a> Answer<'a> {
    fn of(said: &'a RouteParent, generation: i64) -> Self {
        let newest = |type_: &str| {
            said.conditions.iter().find(|fact| {
                let is_newest = fact.observed_generation == 0 || fact.observed_generation >= generation;
                fact.type_ == type_ && is_newest
            })
        };
        match (newest("Accepted"), newest("ResolvedRefs")) {
            (Some(fact), _) if fact.status == "False" => Self::NotAccepted(fact),
            (_, Some(fact)) if fact.status == "False" => Self::NotResolved(fact),
            (Some(accepted), Some(resolved)) if accepted.status == "True" && resolved.status == "True" => {
                Self::Takes
            }
            _ => Self::Nothing,
        }
    }
}

fn not_accepted(facts: &Facts<'_>, who: &str, fact: &Fact) -> String {
    match fact.reason.as_str() {
        "NotAllowedByListeners" => format!(
            "no listener of the {who} takes routes from the namespace {}: have its owner allow the namespace (allowedRoutes), or name another Gateway",
            facts.app.namespace
        ),
        "NoMatchingListenerHostname" => format!(
            "no listener of the {who} takes a host of spec.gateway.hostnames: choose a host that one takes, or have a listener added"
        ),
        "NoMatchingParent" => format!(
            "the {who} has no listener that is ready and that the HTTPRoute names: correct spec.gateway.parentRefs, or look at the Gateway's own status"
        ),
        _ => format!(
            "the {who} does not accept the HTTPRoute ({}): kubectl describe httproute {} -n {}",
            said(fact),
            facts.app.name,
            facts.app.namespace
        ),
    }
}

/// What a controller wrote, which may be as long as it likes.
fn said(fact: &Fact) -> String {
    let message = shortened(&fact.message, 200);
    if message.is_empty() {
        fact.reason.clone()
    } else {
        format!("{}, {}", fact.reason, message.trim_end_matches('.'))
    }
}

fn name_of(own: &str, parent: &ParentRef) -> String {
    let namespace = parent.namespace.as_deref().unwrap_or(own);
    format!("Gateway {namespace}/{}", parent.name)
}

/// A namespace that is left out is the route's own.
fn is_same(own: &str, one: &ParentRef, other: &ParentRef) -> bool {
    let key = |parent: &ParentRef| {
        let namespace = parent.namespace.clone().unwrap_or_else(|| own.to_owned());
        (namespace, parent.name.clone(), parent.section_name.clone())
    };
    key(one) == key(other)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use observedapp_api::{AppRef, ObservedAppSpec};
    use observedapp_desired::Desired;
    use serde_json::{Value, json};

    use super::super::exposure::{exposed, url};
    use super::*;
    use crate::status::Progress;
    use crate::watch::Partial;

    const HOST: &str = "tasks.example.com";

    /// The HTTPRoute of generation 3, of which this is said.
    fn route(parents: &Value) -> ChildState {
        let route = json!({
            "metadata": {
                "name": "tasks", "namespace": "shop", "generation": 3,
                "ownerReferences": [{"apiVersion": "observedapp.dev/v1alpha1", "kind": "ObservedApp", "name": "tasks", "uid": "u", "controller": true}],
            },
            "spec": {"hostnames": [HOST], "rules": [{"matches": [{"path": {"value": "/"}}]}]},
            "status": {"parents": parents},
        });
        serde_json::from_value::<Partial<false>>(route)
            .unwrap()
            .into_state()
    }

    /// What a controller says of the Gateway `infra/public`.
    fn parent(accepted: &str, reason: &str, resolved: &str, generation: i64) -> Value {
        let condition = |type_: &str, status: &str, reason: &str| {
            json!({
                "type": type_, "status": status, "reason": reason, "observedGeneration": generation,
                "message": "as it is: said", "lastTransitionTime": "2026-01-01T00:00:00Z",
            })
        };
        json!({
            "parentRef": {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "public", "namespace": "infra"},
            "controllerName": "example.com/gateway",
            "conditions": [condition("Accepted", accepted, reason), condition("ResolvedRefs", resolved, "Any")],
        })
    }

    /// The condition and the URL of an app behind that Gateway.
    fn of(
        desired: Desired,
        live: Option<ChildState>,
        change: impl FnOnce(&mut Facts<'_>),
    ) -> (ConditionState, String) {
        let app = AppRef::new("shop", "tasks");
        let spec: ObservedAppSpec = serde_json::from_value(json!({
            "image": "tasks:1",
            "gateway": {"parentRefs": [{"name": "public", "namespace": "infra"}], "hostnames": [HOST]},
        }))
        .unwrap();
        let progress = Progress::applied(desired);
        let mut facts = Facts {
            http_route: live.map(Arc::new),
            ..Facts::without_objects(&app, &spec, &progress)
        };
        change(&mut facts);
        (exposed(&facts).unwrap(), url(&facts))
    }

    fn reason(live: Option<ChildState>) -> Reason {
        of(Desired::default(), live, |_| {}).0.reason
    }

    #[test]
    fn a_route_is_exposed_once_its_gateway_takes_the_newest_of_it() {
        assert_eq!(reason(None), Reason::NotCreated);
        assert_eq!(reason(Some(route(&json!([])))), Reason::RouteNotLookedAt);
        let old = parent("True", "Accepted", "True", 2);
        assert_eq!(reason(Some(route(&json!([old])))), Reason::RouteNotLookedAt);
        let mut elsewhere = parent("True", "Accepted", "True", 3);
        elsewhere["parentRef"]["namespace"] = json!("shop");
        assert_eq!(reason(Some(route(&json!([elsewhere])))), Reason::RouteNotLookedAt);
        let newest = parent("True", "Accepted", "True", 3);
        assert_eq!(reason(Some(route(&json!([newest])))), Reason::Exposed);
    }

    #[test]
    fn what_a_gateway_refuses_is_said_with_a_remedy() {
        for (accepted, why, resolved, reason, remedy) in [
            (
                "False",
                "NotAllowedByListeners",
                "True",
                Reason::RouteNotAccepted,
                "allow the namespace",
            ),
            (
                "False",
                "NoMatchingListenerHostname",
                "True",
                Reason::RouteNotAccepted,
                "choose a host",
            ),
            (
                "False",
                "NoMatchingParent",
                "True",
                Reason::RouteNotAccepted,
                "correct spec.gateway.parentRefs",
            ),
            (
                "False",
                "Other",
                "False",
                Reason::RouteNotAccepted,
                "kubectl describe httproute tasks -n shop",
            ),
            (
                "True",
                "Accepted",
                "False",
                Reason::RouteNotResolved,
                "kubectl describe httproute tasks -n shop",
            ),
        ] {
            let said = route(&json!([parent(accepted, why, resolved, 3)]));
            let (condition, url) = of(Desired::default(), Some(said), |_| {});
            assert_eq!(condition.reason, reason, "{why}");
            let (_, last) = condition.message.rsplit_once(": ").unwrap();
            assert!(
                last.starts_with(remedy) || last.contains(remedy),
                "{}",
                condition.message
            );
            assert!(
                condition.message.contains("infra/public"),
                "{}",
                condition.message
            );
            assert_eq!(url, "http://tasks.example.com/");
        }
    }

    #[test]
    fn a_gateway_that_does_not_exist_is_named() {
        let (condition, _) = of(Desired::default(), Some(route(&json!([]))), |facts| {
            facts.absent_gateways = facts.spec.gateway.as_ref().unwrap().parent_refs.clone();
        });
        assert_eq!(condition.reason, Reason::GatewayMissing);
        assert!(
            condition.message.contains("infra/public"),
            "{}",
            condition.message
        );
    }

    #[test]
    fn without_the_api_the_condition_says_so_and_the_url_is_the_services() {
        let desired = Desired {
            missing: vec![Kind::HTTPRoute],
            ..Desired::default()
        };
        let (condition, url) = of(desired, None, |_| {});
        assert_eq!(condition.reason, Reason::ApiMissing);
        assert_eq!(url, "http://tasks.shop.svc/");
    }

    #[test]
    fn the_url_is_https_where_a_gateway_says_so_and_of_the_apps_own_route_alone() {
        let served = |facts: &mut Facts<'_>| facts.https_hosts = [HOST.to_owned()].into();
        let live = route(&json!([]));
        let url = |live: ChildState| of(Desired::default(), Some(live), served).1;
        assert_eq!(url(live.clone()), "https://tasks.example.com/");
        let mut foreign = live;
        foreign.controller = None;
        assert_eq!(url(foreign), "http://tasks.shop.svc/");
    }
}
