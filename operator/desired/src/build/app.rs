//! The app itself: ServiceAccount, Deployment, Service.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment};
use k8s_openapi::api::core::v1::{
    Capabilities, Container, EnvVar, HTTPGetAction, Lifecycle, LifecycleHandler, PodSecurityContext, PodSpec,
    PodTemplateSpec, Probe, SecurityContext, Service, ServiceAccount, ServicePort, ServiceSpec, SleepAction,
    TCPSocketAction, TopologySpreadConstraint, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use observedapp_api::{AppVolume, ServiceType};
use observedapp_release::Plan;

use super::pod::{HTTP, METRICS};
use super::{cache, database, monitors, pod, scaling};
use crate::names::REFERENCES_ANNOTATION;
use crate::{Component, Object, RELEASE_LABEL, Releases, ValidApp, digest, resources};

/// Prefixed, so that it is no name that an app's own volume would have.
const TMP_VOLUME: &str = "observedapp-tmp";
const TMP: &str = "/tmp";

/// `running` is the app as its pods should be, which may be those of an earlier release.
pub(super) fn objects(app: &ValidApp, running: &ValidApp, releases: Option<&Releases>) -> Vec<Object> {
    vec![
        service_account(app).into(),
        service(app).into(),
        deployment(running, releases.map(|releases| &releases.plan)).into(),
    ]
}

fn service_account(app: &ValidApp) -> ServiceAccount {
    ServiceAccount {
        metadata: ObjectMeta {
            annotations: given(&app.spec.service_account.annotations),
            ..app.metadata(app.id.name.clone(), Component::App)
        },
        automount_service_account_token: Some(false),
        ..Default::default()
    }
}

fn service(app: &ValidApp) -> Service {
    let service = &app.spec.service;
    Service {
        metadata: ObjectMeta {
            annotations: given(&service.annotations),
            ..app.metadata(app.id.name.clone(), Component::App)
        },
        spec: Some(ServiceSpec {
            type_: Some(service_type(service.type_).to_owned()),
            selector: Some(app.selector_labels(Component::App)),
            ports: Some(vec![ServicePort {
                name: Some(HTTP.to_owned()),
                port: service.port,
                node_port: service
                    .node_port
                    .filter(|_| service.type_ != ServiceType::ClusterIP),
                target_port: Some(IntOrString::String(HTTP.to_owned())),
                ..Default::default()
            }]),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn service_type(type_: ServiceType) -> &'static str {
    match type_ {
        ServiceType::ClusterIP => "ClusterIP",
        ServiceType::NodePort => "NodePort",
        ServiceType::LoadBalancer => "LoadBalancer",
    }
}

fn deployment(app: &ValidApp, plan: Option<&Plan>) -> Deployment {
    let trial = plan.and_then(|plan| plan.trial);
    let rollout = &app.spec.rollout;
    let template = &app.spec.pod_template;
    let mut labels = template.labels.clone();
    labels.extend(app.labels(Component::App));
    labels.extend(plan.map(|plan| (RELEASE_LABEL.to_owned(), plan.template.to_string())));
    let mut annotations = template.annotations.clone();
    annotations.extend(references(app).map(|digest| (REFERENCES_ANNOTATION.to_owned(), digest)));
    Deployment {
        metadata: app.metadata(app.id.name.clone(), Component::App),
        spec: Some(DeploymentSpec {
            replicas: scaling::replicas(app),
            selector: app.selector(Component::App),
            strategy: Some(DeploymentStrategy {
                type_: Some("RollingUpdate".to_owned()),
                rolling_update: Some(match trial {
                    Some(_) => RollingUpdateDeployment {
                        max_surge: Some(IntOrString::Int(1)),
                        max_unavailable: Some(IntOrString::Int(0)),
                    },
                    None => RollingUpdateDeployment {
                        max_surge: Some(rollout.max_surge.clone()),
                        max_unavailable: Some(rollout.max_unavailable.clone()),
                    },
                }),
            }),
            min_ready_seconds: trial.map(|trial| seconds(trial.min_ready)),
            progress_deadline_seconds: trial.map(|trial| seconds(trial.progress_deadline)),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(labels),
                    annotations: given(&annotations),
                    ..Default::default()
                }),
                spec: Some(pod_spec(app)),
            },
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn seconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_secs()).unwrap_or(i32::MAX)
}

/// What the pods read from elsewhere, as one digest: those of others were observed, our own are known. The app's UID
/// goes in, so that equal contents of two apps do not look equal and no table of digests fits.
fn references(app: &ValidApp) -> Option<String> {
    let observed = app.observed.references_digest.as_deref();
    let own = database::app_password(app);
    let salt = app.uid.as_deref();
    let parts = salt.into_iter().chain(observed).chain(own).map(str::as_bytes);
    (observed.is_some() || own.is_some()).then(|| digest(parts))
}

fn pod_spec(app: &ValidApp) -> PodSpec {
    let spec = &app.spec;
    let placement = &spec.placement;
    let shutdown = &spec.shutdown;
    PodSpec {
        service_account_name: Some(app.id.name.clone()),
        image_pull_secrets: listed(&spec.image_pull_secrets),
        termination_grace_period_seconds: Some(
            i64::from(shutdown.delay_seconds) + i64::from(shutdown.grace_seconds),
        ),
        volumes: Some(volumes(app)),
        node_selector: given(&placement.node_selector),
        tolerations: listed(&placement.tolerations),
        affinity: placement.affinity.clone(),
        priority_class_name: placement.priority_class_name.clone(),
        topology_spread_constraints: placement.topology_spread.then(|| topology_spread(app)),
        ..pod::bare(pod_security(app), vec![container(app)])
    }
}

fn container(app: &ValidApp) -> Container {
    let spec = &app.spec;
    let mut ports = vec![pod::port(HTTP, spec.port)];
    ports.extend(monitors::own_port(spec).map(|metrics| pod::port(METRICS, metrics)));
    // The operator's come first: the app's own variables may be made of them.
    let mut env: Vec<EnvVar> = database::variable(app)
        .into_iter()
        .chain(cache::variable(app))
        .collect();
    env.extend(spec.env.iter().cloned());
    let health = spec.health.as_ref();
    Container {
        name: app.id.name.clone(),
        image: Some(spec.image.clone()),
        image_pull_policy: Some(spec.image_pull_policy.as_str().to_owned()),
        command: listed(&spec.command),
        args: listed(&spec.args),
        ports: Some(ports),
        env: listed(&env),
        env_from: listed(&spec.env_from),
        volume_mounts: Some(mounts(app)),
        resources: Some(resources::fill(&spec.resources, resources::APP)),
        // Often, so that a quick start is noticed at once; then for as long as a slow one may take.
        startup_probe: Some(Probe {
            period_seconds: Some(STARTUP_PERIOD),
            failure_threshold: Some(startup_failures(
                health.map_or(60, |health| health.startup_seconds),
            )),
            ..check(health.map(|health| health.liveness_path.as_str()))
        }),
        liveness_probe: Some(Probe {
            period_seconds: Some(10),
            ..check(health.map(|health| health.liveness_path.as_str()))
        }),
        readiness_probe: Some(Probe {
            period_seconds: Some(5),
            ..check(health.map(|health| health.readiness_path.as_str()))
        }),
        lifecycle: pre_stop(spec.shutdown.delay_seconds),
        security_context: Some(container_security(app)),
        ..Default::default()
    }
}

const STARTUP_PERIOD: i32 = 2;

fn startup_failures(seconds: i32) -> i32 {
    ((seconds + STARTUP_PERIOD - 1) / STARTUP_PERIOD).max(1)
}

/// A request for a path, or an open port where there is none to ask for.
fn check(path: Option<&str>) -> Probe {
    let port = IntOrString::String(HTTP.to_owned());
    Probe {
        http_get: path.map(|path| HTTPGetAction {
            path: Some(path.to_owned()),
            port: port.clone(),
            ..Default::default()
        }),
        tcp_socket: path.is_none().then(|| TCPSocketAction {
            port: port.clone(),
            ..Default::default()
        }),
        timeout_seconds: Some(5),
        failure_threshold: Some(3),
        ..Default::default()
    }
}

/// The pod goes on serving while load balancers learn that it goes. The kubelet does the waiting, so that the image
/// needs no `sleep`.
fn pre_stop(seconds: i32) -> Option<Lifecycle> {
    (seconds > 0).then(|| Lifecycle {
        pre_stop: Some(LifecycleHandler {
            sleep: Some(SleepAction {
                seconds: seconds.into(),
            }),
            ..Default::default()
        }),
        ..Default::default()
    })
}

fn pod_security(app: &ValidApp) -> PodSecurityContext {
    let given = &app.spec.security_context;
    PodSecurityContext {
        run_as_user: given.run_as_user,
        run_as_group: given.run_as_group,
        run_as_non_root: Some(given.run_as_non_root),
        fs_group: given.fs_group,
        fs_group_change_policy: given.fs_group.map(|_| "OnRootMismatch".to_owned()),
        ..pod::restricted_pod()
    }
}

fn container_security(app: &ValidApp) -> SecurityContext {
    let given = &app.spec.security_context;
    SecurityContext {
        read_only_root_filesystem: Some(given.read_only_root_filesystem),
        capabilities: Some(Capabilities {
            drop: Some(vec!["ALL".to_owned()]),
            add: given
                .add_net_bind_service
                .then(|| vec!["NET_BIND_SERVICE".to_owned()]),
        }),
        ..pod::restricted_container()
    }
}

fn owns_tmp(app: &ValidApp) -> bool {
    let mut mounts = app.spec.volume_mounts.iter();
    !mounts.any(|mount| mount.mount_path.trim_end_matches('/') == TMP)
}

fn volumes(app: &ValidApp) -> Vec<Volume> {
    let tmp = owns_tmp(app).then(|| pod::empty_dir(TMP_VOLUME));
    tmp.into_iter()
        .chain(app.spec.volumes.iter().map(volume))
        .collect()
}

fn volume(given: &AppVolume) -> Volume {
    // Every field by name: a new kind of volume must be thought of here.
    let AppVolume {
        name,
        config_map,
        secret,
        empty_dir,
        persistent_volume_claim,
        projected,
        downward_api,
        csi,
        ephemeral,
    } = given.clone();
    Volume {
        name,
        config_map,
        secret,
        empty_dir,
        persistent_volume_claim,
        projected,
        downward_api,
        csi,
        ephemeral,
        ..Default::default()
    }
}

fn mounts(app: &ValidApp) -> Vec<VolumeMount> {
    let tmp = owns_tmp(app).then(|| pod::mount(TMP_VOLUME, TMP));
    tmp.into_iter()
        .chain(app.spec.volume_mounts.iter().cloned())
        .collect()
}

/// Over zones, then over nodes, where that is possible; each rollout's pods are counted by themselves.
fn topology_spread(app: &ValidApp) -> Vec<TopologySpreadConstraint> {
    ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]
        .map(|key| TopologySpreadConstraint {
            max_skew: 1,
            topology_key: key.to_owned(),
            when_unsatisfiable: "ScheduleAnyway".to_owned(),
            label_selector: Some(app.selector(Component::App)),
            match_label_keys: Some(vec!["pod-template-hash".to_owned()]),
            ..Default::default()
        })
        .into()
}

/// A map, unless there is nothing in it: what is empty is not sent, and stays other managers' own.
pub(super) fn given(map: &BTreeMap<String, String>) -> Option<BTreeMap<String, String>> {
    (!map.is_empty()).then(|| map.clone())
}

fn listed<T: Clone>(list: &[T]) -> Option<Vec<T>> {
    (!list.is_empty()).then(|| list.to_vec())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;
    use crate::{Observed, Settings, validate};

    fn annotation(uid: &str, contents: &str) -> Option<String> {
        let app = json!({
            "apiVersion": "observedapp.dev/v1alpha1", "kind": "ObservedApp",
            "metadata": {"name": "tasks", "namespace": "shop", "uid": uid},
            "spec": {"image": "tasks:1", "envFrom": [{"secretRef": {"name": "keys"}}]},
        });
        let observed = Observed {
            references_digest: Some(contents.to_owned()),
            ..Observed::default()
        };
        references(
            &validate(
                &serde_json::from_value(app).unwrap(),
                observed,
                Settings::default(),
            )
            .unwrap(),
        )
    }

    #[test]
    fn equal_contents_of_two_apps_do_not_look_equal() {
        assert_eq!(
            annotation("1", "a"),
            annotation("1", "a"),
            "the pods of a running app do not roll"
        );
        assert_ne!(annotation("1", "a"), annotation("1", "b"));
        assert_ne!(annotation("1", "a"), annotation("2", "a"));
    }
}
