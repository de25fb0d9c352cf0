//! How the app is reached from outside: the Ingress, and the URL.

use k8s_openapi::api::networking::v1::{
    HTTPIngressPath, HTTPIngressRuleValue, Ingress, IngressBackend, IngressRule, IngressServiceBackend,
    IngressSpec, IngressTLS, ServiceBackendPort,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::app::{HTTP, given};
use crate::{App, Component, Object};

pub(super) fn objects(app: &App) -> Vec<Object> {
    ingress(app).map(Object::from).into_iter().collect()
}

fn ingress(app: &App) -> Option<Ingress> {
    let given_ingress = app.spec.ingress.as_ref()?;
    Some(Ingress {
        metadata: ObjectMeta {
            annotations: given(&given_ingress.annotations),
            ..app.metadata(app.name.clone(), Component::App)
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
                                name: app.name.clone(),
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
pub fn origin(app: &App) -> String {
    if let Some(ingress) = &app.spec.ingress {
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
    format!("http://{}.{}.svc{port}", app.name, app.namespace)
}

/// Where people find the app.
pub fn url(app: &App) -> String {
    let path = app
        .spec
        .ingress
        .as_ref()
        .map_or("/", |ingress| ingress.path.as_str());
    format!("{}{path}", origin(app))
}
