//! Which app has a host: the one whose Ingress or HTTPRoute carries it, else the one that has asked for it longest.
//!
//! A host belongs to one namespace, whatever the path: an app elsewhere could otherwise put its own login page under it.
//! Apps of one namespace share a host by different paths.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Resource;
use observedapp_api::{AppRef, ObservedApp, Route};

use crate::context::Context;

/// Who carries a host, or asks for it; the least has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Claim {
    since: Option<Time>,
    app: AppRef,
    path: String,
}

impl Claim {
    fn of(app: &ObservedApp, path: String) -> Self {
        Self {
            since: app.metadata.creation_timestamp.clone(),
            app: app.into(),
            path,
        }
    }
}

impl Context {
    /// What this app asks for and other apps hold.
    pub fn held_routes(&self, app: &ObservedApp) -> BTreeMap<Route, AppRef> {
        let held = app.spec.routes().filter_map(|route| {
            let own = Claim::of(app, route.path.clone());
            let carried = self.carried(&route.host);
            let holder = holder(&own, &carried, || self.asked(&route.host))?;
            Some((route, holder))
        });
        held.collect()
    }

    /// Two apps may be given a host at the same moment. Called after an app's own objects are known to the store, it has
    /// the losers reconciled, and says whether this app is one: whether others hold more than it knows of.
    pub fn lost_host(&self, app: &ObservedApp, known: &BTreeMap<Route, AppRef>) -> bool {
        let held = self.held_routes(app);
        if held.keys().any(|route| !known.contains_key(route)) {
            return true;
        }
        let own = AppRef::from(app);
        for route in app.spec.routes().filter(|route| !held.contains_key(route)) {
            for rival in self.carried(&route.host) {
                let shares = rival.app.namespace == own.namespace && rival.path != route.path;
                if rival.app != own && !shares {
                    self.queue.enqueue(&rival.app);
                }
            }
        }
        false
    }

    /// The apps whose objects carry the host.
    fn carried(&self, host: &str) -> Vec<Claim> {
        let mut claims = Vec::new();
        for (key, live) in self.store.carriers_of(host) {
            let (Some(owner), Some(facts)) = (&live.controller, &live.facts) else {
                continue;
            };
            if !owner.is_app {
                continue;
            }
            let routes = facts.routes.iter().filter(|route| route.host == host);
            claims.extend(routes.map(|Route { path, .. }| Claim {
                since: facts.created.clone(),
                app: AppRef::new(&*key.namespace, &owner.name),
                path: path.clone(),
            }));
        }
        claims
    }

    /// The apps that ask for the host and may be given it.
    fn asked(&self, host: &str) -> Vec<Claim> {
        let mut claims = Vec::new();
        for app in self.apps.state() {
            let Ok(app) = &app.0 else { continue };
            if app.spec.paused || app.meta().deletion_timestamp.is_some() {
                continue;
            }
            let routes = app.spec.routes().filter(|route| route.host == host);
            claims.extend(routes.map(|route| Claim::of(app, route.path)));
        }
        claims
    }
}

/// Who else has the host, or in the own namespace the path of it.
fn holder(own: &Claim, carried: &[Claim], asked: impl Fn() -> Vec<Claim>) -> Option<AppRef> {
    let first = |of: &dyn Fn(&Claim) -> bool| {
        let carrying = carried.iter().filter(|claim| of(claim)).min().cloned();
        carrying.or_else(|| asked().into_iter().filter(of).min())
    };
    let namespace = first(&|_| true).filter(|claim| claim.app.namespace != own.app.namespace);
    namespace
        .or_else(|| {
            first(&|claim| claim.app.namespace == own.app.namespace && claim.path == own.path)
                .filter(|claim| claim.app != own.app)
        })
        .map(|claim| claim.app)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn claim(since: i64, app: &str, path: &str) -> Claim {
        let (namespace, name) = app.split_once('/').unwrap();
        Claim {
            since: Some(Time(jiff::Timestamp::from_second(since).unwrap())),
            app: AppRef::new(namespace, name),
            path: path.to_owned(),
        }
    }

    fn holder_of(own: &Claim, carried: &[Claim], asked: &[Claim]) -> Option<String> {
        holder(own, carried, || asked.to_vec()).map(|app| app.to_string())
    }

    #[test]
    fn an_older_app_does_not_take_a_host_that_another_carries() {
        let old = claim(1, "mail/old", "/");
        let young = claim(9, "shop/young", "/");
        let carried = [claim(10, "shop/young", "/")];
        let asked = [old.clone(), young.clone()];
        assert_eq!(holder_of(&old, &carried, &asked).as_deref(), Some("shop/young"));
        assert_eq!(holder_of(&young, &carried, &asked), None);
    }

    #[test]
    fn no_path_of_a_host_is_given_to_another_namespace() {
        let carried = [claim(10, "shop/young", "/")];
        let login = claim(1, "mail/old", "/login");
        assert_eq!(
            holder_of(&login, &carried, std::slice::from_ref(&login)).as_deref(),
            Some("shop/young")
        );
        let neighbour = claim(20, "shop/login", "/login");
        assert_eq!(holder_of(&neighbour, &carried, &[login, neighbour.clone()]), None);
        let same = claim(1, "shop/again", "/");
        assert_eq!(
            holder_of(&same, &carried, std::slice::from_ref(&same)).as_deref(),
            Some("shop/young")
        );
    }

    #[test]
    fn a_host_that_nobody_carries_goes_to_who_has_asked_longest() {
        let asked = [
            claim(2, "shop/b", "/"),
            claim(2, "mail/a", "/x"),
            claim(3, "mail/c", "/"),
        ];
        let holders: Vec<_> = asked.iter().map(|own| holder_of(own, &[], &asked)).collect();
        assert_eq!(holders, [Some("mail/a".to_owned()), None, None]);
    }

    #[test]
    fn of_two_that_carry_a_host_exactly_one_has_it() {
        let carried = [claim(5, "shop/b", "/"), claim(5, "mail/a", "/")];
        let own = [claim(1, "shop/b", "/"), claim(2, "mail/a", "/")];
        assert_eq!(holder_of(&own[0], &carried, &own).as_deref(), Some("mail/a"));
        assert_eq!(holder_of(&own[1], &carried, &own), None);
    }
}
