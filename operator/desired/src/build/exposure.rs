//! How the app is reached from outside.

use k8s_openapi::api::networking::v1::{
    HTTPIngressPath, HTTPIngressRuleValue, Ingress, IngressBackend, IngressRule, IngressServiceBackend,
    IngressSpec, IngressTLS, ServiceBackendPort,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use observedapp_api::IngressSpec as IngressField;

use super::app::given;
use super::pod::HTTP;
use crate::{Component, Object, ValidApp};

pub(super) fn objects(app: &ValidApp) -> Vec<Object> {
    ingress(app).map(Object::from).into_iter().collect()
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

/// Where the app is reached, without a path: through its Ingress if it has one, else inside the cluster.
pub fn origin(app: &ValidApp) -> String {
    if let Some(ingress) = ingress_spec(app) {
        let scheme = if ingress.tls_secret_name.is_some() {
            "https"
        } else {
            "http"
        };
        return format!("{scheme}://{}", ingress.host);
    }
    let port = match app.spec.service.port {
        80 => String::new(),
        port => format!(":{port}"),
    };
    format!("http://{}.{}.svc{port}", app.id.name, app.id.namespace)
}

/// The Ingress that the app asks for, unless another app holds its host.
fn ingress_spec(app: &ValidApp) -> Option<&IngressField> {
    let is_free = app.observed.host_holder.is_none();
    app.spec.ingress.as_ref().filter(|_| is_free)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::origin;
    use crate::{Kind, Observed, Settings, desired, validate};
    use observedapp_api::AppRef;

    #[test]
    fn an_app_whose_host_is_held_loses_its_ingress_and_nothing_else() {
        let made = |host_holder: Option<AppRef>| {
            let app = json!({
                "apiVersion": "observedapp.dev/v1alpha1", "kind": "ObservedApp",
                "metadata": {"name": "tasks", "namespace": "shop"},
                "spec": {"image": "tasks:1", "ingress": {"host": "tasks.example.com", "path": "/login"}},
            });
            let observed = Observed {
                host_holder,
                ..Observed::default()
            };
            let app = validate(
                &serde_json::from_value(app).unwrap(),
                observed,
                Settings::default(),
            )
            .unwrap();
            let kinds: Vec<Kind> = desired(&app).objects.iter().map(crate::Object::kind).collect();
            (origin(&app), kinds)
        };
        let (origin, all) = made(None);
        assert_eq!(origin, "http://tasks.example.com");
        assert!(all.contains(&Kind::Ingress));
        let (origin, rest) = made(Some(AppRef {
            namespace: "mail".to_owned(),
            name: "web".to_owned(),
        }));
        assert_eq!(origin, "http://tasks.shop.svc");
        let expected: Vec<Kind> = all.into_iter().filter(|kind| *kind != Kind::Ingress).collect();
        assert_eq!(rest, expected);
    }
}
