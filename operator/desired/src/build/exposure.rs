//! How the app is reached from outside.

use k8s_openapi::api::networking::v1::{
    HTTPIngressPath, HTTPIngressRuleValue, Ingress, IngressBackend, IngressRule, IngressServiceBackend,
    IngressSpec, IngressTLS, ServiceBackendPort,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use observedapp_api::{GatewaySpec, IngressSpec as IngressField, Route};

use super::app::given;
use super::pod::HTTP;
use crate::gateway::{BackendRef, HTTPRoute, HTTPRouteSpec, PathMatch, RouteMatch, RouteRule};
use crate::{Component, Kind, Object, ValidApp};

pub(super) fn objects(app: &ValidApp) -> Vec<Object> {
    let ingress = ingress(app).map(Object::from);
    ingress
        .into_iter()
        .chain(http_route(app).map(Object::from))
        .collect()
}

fn ingress(app: &ValidApp) -> Option<Ingress> {
    let given_ingress = ingress_spec(app)?;
    Some(Ingress {
        metadata: ObjectMeta {
            annotations: given(&given_ingress.annotations),
            ..app.metadata(app.id.name.clone(), Component::App)
        },
        spec: Some(IngressSpec {
            ingress_class_name: given_ingress.class_name.clone(),
            rules: Some(vec![IngressRule {
                host: Some(given_ingress.host.clone()),
                http: Some(HTTPIngressRuleValue {
                    paths: vec![HTTPIngressPath {
                        path: Some(given_ingress.path.clone()),
                        path_type: "Prefix".to_owned(),
                        backend: IngressBackend {
                            service: Some(IngressServiceBackend {
                                name: app.id.name.clone(),
                                port: Some(ServiceBackendPort {
                                    name: Some(HTTP.to_owned()),
                                    ..Default::default()
                                }),
                            }),
                            ..Default::default()
                        },
                    }],
                }),
            }]),
            tls: given_ingress.tls_secret_name.as_ref().map(|secret| {
                vec![IngressTLS {
                    hosts: Some(vec![given_ingress.host.clone()]),
                    secret_name: Some(secret.clone()),
                }]
            }),
            ..Default::default()
        }),
        ..Default::default()
    })
}

fn http_route(app: &ValidApp) -> Option<HTTPRoute> {
    let gateway = app.spec.gateway.as_ref()?;
    let hostnames = free_hostnames(app);
    if hostnames.is_empty() {
        return None;
    }
    Some(HTTPRoute {
        metadata: app.metadata(app.id.name.clone(), Component::App),
        spec: HTTPRouteSpec {
            parent_refs: gateway.parent_refs.clone(),
            hostnames,
            rules: vec![RouteRule {
                matches: vec![RouteMatch {
                    path: PathMatch {
                        type_: "PathPrefix".to_owned(),
                        value: gateway.path.clone(),
                    },
                }],
                backend_refs: vec![BackendRef {
                    name: app.id.name.clone(),
                    port: app.spec.service.port,
                }],
            }],
        },
    })
}

/// Where the app is reached, without a path: through its Ingress if it has one, else through its HTTPRoute, else inside
/// the cluster.
pub fn origin(app: &ValidApp) -> String {
    if let Some(ingress) = ingress_spec(app) {
        let scheme = if ingress.tls_secret_name.is_some() {
            "https"
        } else {
            "http"
        };
        return format!("{scheme}://{}", ingress.host);
    }
    let hostnames = free_hostnames(app);
    if let Some(host) = hostnames.iter().find(|host| !host.starts_with("*."))
        && app.observed.optional_kinds.contains(&Kind::HTTPRoute)
    {
        let is_https = app.observed.https_hosts.contains(host);
        return format!("{}://{host}", if is_https { "https" } else { "http" });
    }
    let port = match app.spec.service.port {
        80 => String::new(),
        port => format!(":{port}"),
    };
    format!("http://{}.{}.svc{port}", app.id.name, app.id.namespace)
}

/// The Ingress that the app asks for, unless another app holds its host.
fn ingress_spec(app: &ValidApp) -> Option<&IngressField> {
    let ingress = app.spec.ingress.as_ref()?;
    is_free(app, &ingress.route()).then_some(ingress)
}

/// The host names of the HTTPRoute that the app asks for, without those that other apps hold.
fn free_hostnames(app: &ValidApp) -> Vec<String> {
    let asked = app.spec.gateway.iter().flat_map(GatewaySpec::routes);
    asked
        .filter(|route| is_free(app, route))
        .map(|route| route.host)
        .collect()
}

fn is_free(app: &ValidApp, route: &Route) -> bool {
    !app.observed.held_routes.contains_key(route)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeSet;

    use serde_json::{Value, json};

    use super::origin;
    use crate::{Kind, Object, Observed, Settings, desired, validate};
    use observedapp_api::{AppRef, Route};

    /// The origin and the objects of an app of this spec, where `mail/web` holds these routes.
    fn made(spec: Value, held: &[(&str, &str)]) -> (String, Vec<Object>) {
        let mut app = json!({
            "apiVersion": "observedapp.dev/v1alpha1", "kind": "ObservedApp",
            "metadata": {"name": "tasks", "namespace": "shop"}, "spec": spec,
        });
        app["spec"]["image"] = json!("tasks:1");
        let held = held.iter().map(|(host, path)| {
            let (host, path) = ((*host).to_owned(), (*path).to_owned());
            (Route { host, path }, AppRef::new("mail", "web"))
        });
        let observed = Observed {
            held_routes: held.collect(),
            optional_kinds: [Kind::HTTPRoute].into(),
            https_hosts: ["safe.example.com".to_owned()].into(),
            ..Observed::default()
        };
        let app = serde_json::from_value(app).unwrap();
        let app = validate(&app, observed, Settings::default()).unwrap();
        (origin(&app), desired(&app).objects)
    }

    fn gateway(hostnames: &[&str]) -> Value {
        json!({"parentRefs": [{"name": "public"}], "hostnames": hostnames})
    }

    fn hostnames(objects: &[Object]) -> Vec<String> {
        let route = objects.iter().find_map(|object| match object {
            Object::HTTPRoute(route) => Some(route.spec.hostnames.clone()),
            _ => None,
        });
        route.unwrap_or_default()
    }

    #[test]
    fn an_app_whose_host_is_held_loses_its_ingress_and_nothing_else() {
        let spec = json!({"ingress": {"host": "tasks.example.com", "path": "/login"}});
        let kinds = |objects: &[Object]| objects.iter().map(Object::kind).collect::<BTreeSet<Kind>>();
        let (origin, objects) = made(spec.clone(), &[]);
        assert_eq!(origin, "http://tasks.example.com");
        let (other, rest) = made(spec, &[("tasks.example.com", "/login")]);
        assert_eq!(other, "http://tasks.shop.svc");
        let lost: Vec<Kind> = kinds(&objects).difference(&kinds(&rest)).copied().collect();
        assert_eq!(lost, [Kind::Ingress]);
    }

    #[test]
    fn a_route_keeps_the_hosts_that_nobody_else_holds() {
        let spec = json!({"gateway": gateway(&["a.example.com", "b.example.com"])});
        let (origin, objects) = made(spec.clone(), &[("a.example.com", "/")]);
        assert_eq!(hostnames(&objects), ["b.example.com"]);
        assert_eq!(origin, "http://b.example.com");
        let (origin, objects) = made(spec, &[("a.example.com", "/"), ("b.example.com", "/")]);
        assert!(objects.iter().all(|object| object.kind() != Kind::HTTPRoute));
        assert_eq!(origin, "http://tasks.shop.svc");
    }

    #[test]
    fn a_route_beside_an_ingress_takes_over_when_that_is_removed() {
        let of = |spec| made(spec, &[]).0;
        let route = gateway(&["*.example.com", "safe.example.com"]);
        let both = json!({"ingress": {"host": "old.example.com"}, "gateway": route});
        assert_eq!(of(both), "http://old.example.com");
        assert_eq!(of(json!({"gateway": route})), "https://safe.example.com");
        assert_eq!(
            of(json!({"gateway": gateway(&["*.example.com"])})),
            "http://tasks.shop.svc"
        );
    }
}
