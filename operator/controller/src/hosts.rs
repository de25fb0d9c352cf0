//! Which app has a host: the one whose Ingress carries it, else the one that has asked for it longest.
//!
//! A host belongs to one namespace, whatever the path: an app elsewhere could otherwise put its own login page under it.
//! Apps of one namespace share a host by different paths.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{Resource, ResourceExt};
use observedapp_api::ObservedApp;
use observedapp_desired::HostHolder;

use crate::context::Context;
use crate::watch::Route;

/// Who carries a host, or asks for it; the least has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Claim {
    since: Option<Time>,
    app: HostHolder,
    path: String,
}

impl Context {
    /// The other app that holds the host that this one asks for.
    pub fn host_holder(&self, app: &ObservedApp) -> Option<HostHolder> {
        let ingress = app.spec.ingress.as_ref()?;
        let own = Claim {
            since: app.metadata.creation_timestamp.clone(),
            app: name_of(app),
            path: ingress.path.clone(),
        };
        let carried = self.carried(&ingress.host);
        holder(&own, &carried, || self.asked(&ingress.host))
    }

    /// Two apps may be given a host at the same moment. Called after an app's own Ingress is known to the store, it has
    /// the losers reconciled, and says whether this app is one.
    pub fn lost_host(&self, app: &ObservedApp) -> bool {
        let Some(ingress) = &app.spec.ingress else {
            return false;
        };
        if self.host_holder(app).is_some() {
            return true;
        }
        let own = name_of(app);
        for rival in self.carried(&ingress.host) {
            let shares = rival.app.namespace == own.namespace && rival.path != ingress.path;
            if rival.app != own && !shares {
                self.queue.enqueue(&rival.app.namespace, &rival.app.name);
            }
        }
        false
    }

    /// The apps whose Ingresses carry the host.
    fn carried(&self, host: &str) -> Vec<Claim> {
        let mut claims = Vec::new();
        for (key, live) in self.store.ingresses_of(host) {
            let (Some(owner), Some(facts)) = (&live.controller, &live.facts) else {
                continue;
            };
            if !owner.is_app {
                continue;
            }
            let routes = facts.routes.iter().filter(|route| route.host == host);
            claims.extend(routes.map(|Route { path, .. }| Claim {
                since: facts.created.clone(),
                app: HostHolder {
                    namespace: key.namespace.to_string(),
                    name: owner.name.clone(),
                },
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
            if let Some(ingress) = app.spec.ingress.as_ref().filter(|ingress| ingress.host == host) {
                claims.push(Claim {
                    since: app.metadata.creation_timestamp.clone(),
                    app: name_of(app),
                    path: ingress.path.clone(),
                });
            }
        }
        claims
    }
}

fn name_of(app: &ObservedApp) -> HostHolder {
    HostHolder {
        namespace: app.namespace().unwrap_or_default(),
        name: app.name_any(),
    }
}

/// Who else has the host, or in the own namespace the path of it.
fn holder(own: &Claim, carried: &[Claim], asked: impl Fn() -> Vec<Claim>) -> Option<HostHolder> {
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
            app: HostHolder {
                namespace: namespace.to_owned(),
                name: name.to_owned(),
            },
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
