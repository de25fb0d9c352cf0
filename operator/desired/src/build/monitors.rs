//! What Prometheus scrapes: a ServiceMonitor for the app, its database and its cache.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use observedapp_api::ObservedAppSpec;

use super::pod::{HTTP, METRICS};
use crate::monitoring::{Endpoint, ScrapeLimits, ServiceMonitor, ServiceMonitorSpec};
use crate::{Component, Database, Object, ValidApp};

/// How often the exporters are scraped.
const EXPORTER_INTERVAL: &str = "15s";
/// More series than a pod of any app should have.
const SAMPLE_LIMIT: u64 = 50_000;
/// What that many series take with a thousand bytes each.
const BODY_SIZE_LIMIT: &str = "50MB";
/// Twice as many pods as an app can have: a rollout may run old and new ones side by side.
const TARGET_LIMIT: u64 = 20_000;
/// Of these a series has a dozen from Kubernetes, and as many of its own as anybody could still read.
const LABEL_LIMIT: u64 = 64;
/// Names are words; values may be routes and messages of errors.
const LABEL_NAME_LENGTH_LIMIT: u64 = 256;
const LABEL_VALUE_LENGTH_LIMIT: u64 = 4_096;

pub(super) fn objects(app: &ValidApp) -> Vec<Object> {
    let mut objects = Vec::new();
    if let Some(metrics) = &app.spec.metrics {
        objects.push(service(app).into());
        objects.push(
            monitor(
                app,
                app.id.name.clone(),
                Component::Metrics,
                Endpoint {
                    port: METRICS.to_owned(),
                    path: Some(metrics.path.clone()),
                    interval: Some(metrics.interval.clone()),
                },
            )
            .into(),
        );
    }
    let exporter = || Endpoint {
        port: METRICS.to_owned(),
        interval: Some(EXPORTER_INTERVAL.to_owned()),
        ..Default::default()
    };
    if let Some(Database::Builtin(_)) = app.database {
        objects.push(monitor(app, app.id.database(), Component::Database, exporter()).into());
    }
    if app.builtin_cache().is_some() {
        objects.push(monitor(app, app.id.cache(), Component::Cache, exporter()).into());
    }
    objects
}

/// The port of the metrics, where it is not the app's own.
pub(crate) fn own_port(spec: &ObservedAppSpec) -> Option<i32> {
    let port = spec.metrics.as_ref()?.port?;
    (port != spec.port).then_some(port)
}

/// The labels that make Prometheus select an object; the operator's own stay what they are.
pub(super) fn select(
    app: &ValidApp,
    mut metadata: ObjectMeta,
    observed: &BTreeMap<String, String>,
) -> ObjectMeta {
    let mut labels = app
        .settings
        .monitor_labels
        .clone()
        .unwrap_or_else(|| observed.clone());
    labels.extend(metadata.labels.take().unwrap_or_default());
    metadata.labels = Some(labels);
    metadata
}

/// A Service of its own for the metrics, without an address: the app's may be open to the internet.
fn service(app: &ValidApp) -> Service {
    let (port, target) = match own_port(&app.spec) {
        Some(port) => (port, METRICS),
        None => (app.spec.port, HTTP),
    };
    Service {
        metadata: app.metadata(app.id.metrics_service(), Component::Metrics),
        spec: Some(ServiceSpec {
            cluster_ip: Some("None".to_owned()),
            selector: Some(app.selector_labels(Component::App)),
            ports: Some(vec![ServicePort {
                name: Some(METRICS.to_owned()),
                port,
                target_port: Some(IntOrString::String(target.to_owned())),
                ..Default::default()
            }]),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// What one scrape may bring at most.
pub(super) fn limits() -> ScrapeLimits {
    ScrapeLimits {
        sample_limit: Some(SAMPLE_LIMIT),
        target_limit: Some(TARGET_LIMIT),
        label_limit: Some(LABEL_LIMIT),
        label_name_length_limit: Some(LABEL_NAME_LENGTH_LIMIT),
        label_value_length_limit: Some(LABEL_VALUE_LENGTH_LIMIT),
    }
}

/// Series get the label `job` with the monitor's own name: the app's Service for metrics is named otherwise, so the
/// app's name is taken from its label; the others' Services have the right name.
fn monitor(app: &ValidApp, name: String, component: Component, endpoint: Endpoint) -> ServiceMonitor {
    let job_label = (component == Component::Metrics).then(|| "app.kubernetes.io/name".to_owned());
    ServiceMonitor {
        metadata: select(
            app,
            app.metadata(name, component),
            &app.observed.prometheus.monitor_labels,
        ),
        spec: ServiceMonitorSpec {
            job_label,
            selector: app.selector(component),
            endpoints: vec![endpoint],
            body_size_limit: Some(BODY_SIZE_LIMIT.to_owned()),
            limits: limits(),
        },
    }
}

/// The Service of a backing store, with its exporter's port beside its own.
pub(crate) fn exported_service(
    app: &ValidApp,
    name: String,
    component: Component,
    (own_name, own): (&str, i32),
    exporter: i32,
) -> Service {
    let port = |name: &str, port| ServicePort {
        name: Some(name.to_owned()),
        port,
        target_port: Some(IntOrString::String(name.to_owned())),
        ..Default::default()
    };
    Service {
        metadata: app.metadata(name, component),
        spec: Some(ServiceSpec {
            selector: Some(app.selector_labels(component)),
            ports: Some(vec![port(own_name, own), port(METRICS, exporter)]),
            ..Default::default()
        }),
        ..Default::default()
    }
}
