//! A Redis for the app: a cache, so nothing of it is kept.

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy};
use k8s_openapi::api::core::v1::{
    Container, EnvVar, PodSpec, PodTemplateSpec, Probe, ResourceRequirements, Service,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use observedapp_api::{Amount, BuiltinCache};

use super::{monitors, pod};
use crate::{Component, Object, ValidApp};

/// The container's name, and its port's.
pub(crate) const REDIS: &str = "redis";
pub(super) const PORT: i32 = 6379;
pub(super) const EXPORTER_PORT: i32 = 9121;

pub(super) fn objects(app: &ValidApp) -> Vec<Object> {
    let Some(cache) = app.builtin_cache() else {
        return Vec::new();
    };
    vec![service(app).into(), deployment(app, cache).into()]
}

/// The app's variable with the URL.
pub(super) fn variable(app: &ValidApp) -> Option<EnvVar> {
    let cache = app.spec.cache.as_ref()?;
    Some(match &cache.external {
        Some(secret) => pod::secret_variable(&cache.env, &secret.secret_name, &secret.key),
        None => pod::variable(
            &cache.env,
            format!("redis://{}.{}:{PORT}/0", name(app), app.id.namespace),
        ),
    })
}

fn name(app: &ValidApp) -> String {
    app.id.cache()
}

fn service(app: &ValidApp) -> Service {
    monitors::exported_service(app, name(app), Component::Cache, (REDIS, PORT), EXPORTER_PORT)
}

fn deployment(app: &ValidApp, cache: &BuiltinCache) -> Deployment {
    Deployment {
        metadata: app.metadata(name(app), Component::Cache),
        spec: Some(DeploymentSpec {
            replicas: Some(1),
            selector: app.selector(Component::Cache),
            // Two at a time would answer one request each: what is deleted in one would live on in the other.
            strategy: Some(DeploymentStrategy {
                type_: Some("Recreate".to_owned()),
                ..Default::default()
            }),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(app.labels(Component::Cache)),
                    annotations: Some(
                        [(pod::DEFAULT_CONTAINER_ANNOTATION.to_owned(), REDIS.to_owned())].into(),
                    ),
                    ..Default::default()
                }),
                spec: Some(PodSpec {
                    volumes: Some(vec![pod::empty_dir("data"), pod::empty_dir("tmp")]),
                    ..pod::bare(pod::official_pod(), vec![redis(app, cache), exporter(app)])
                }),
            },
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn redis(app: &ValidApp, cache: &BuiltinCache) -> Container {
    let memory = Amount::try_from(&cache.memory).map_or(0, Amount::units);
    Container {
        name: REDIS.to_owned(),
        image: Some(app.redis_image(cache)),
        args: Some(
            [
                "redis-server",
                "--maxmemory",
                &memory.to_string(),
                "--maxmemory-policy",
                "allkeys-lru",
                "--save",
                "",
                "--appendonly",
                "no",
                // Who may connect is the NetworkPolicy's to say.
                "--protected-mode",
                "no",
            ]
            .map(str::to_owned)
            .into(),
        ),
        ports: Some(vec![pod::port(REDIS, PORT)]),
        volume_mounts: Some(vec![pod::mount("data", "/data"), pod::mount("tmp", "/tmp")]),
        resources: Some(resources(memory)),
        startup_probe: Some(answers(2, 30)),
        liveness_probe: Some(answers(10, 3)),
        readiness_probe: Some(answers(5, 3)),
        security_context: Some(pod::restricted_container()),
        ..Default::default()
    }
}

/// `maxmemory` counts the data alone: the process, its fragmentation and its clients' buffers come on top.
fn resources(memory: u64) -> ResourceRequirements {
    let own = 32 << 20;
    let with = |more: u64, own: u64| pod::mebibytes(memory.saturating_add(more).saturating_add(own));
    let request = with(memory / 4, own);
    let limit = with(memory / 2, 2 * own);
    ResourceRequirements {
        requests: Some(pod::quantities(&[("cpu", "50m"), ("memory", &request.0)])),
        limits: Some(pod::quantities(&[("memory", &limit.0)])),
        ..Default::default()
    }
}

fn answers(seconds: i32, failures: i32) -> Probe {
    Probe {
        exec: Some(pod::exec(&["redis-cli", "-e", "ping"])),
        ..pod::every(seconds, failures)
    }
}

fn exporter(app: &ValidApp) -> Container {
    Container {
        name: "exporter".to_owned(),
        image: Some(app.settings.redis_exporter_image.clone()),
        ports: Some(vec![pod::port(pod::METRICS, EXPORTER_PORT)]),
        env: Some(vec![pod::variable(
            "REDIS_ADDR",
            format!("redis://127.0.0.1:{PORT}"),
        )]),
        resources: Some(pod::exporter_resources()),
        security_context: Some(pod::restricted_container()),
        ..Default::default()
    }
}
