//! A single Postgres that the operator runs, by the official image's contract.

use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetSpec};
use k8s_openapi::api::core::v1::{
    ConfigMap, ConfigMapVolumeSource, Container, Lifecycle, LifecycleHandler, PersistentVolumeClaim,
    PersistentVolumeClaimSpec, PersistentVolumeClaimVolumeSource, PodSpec, PodTemplateSpec, Probe, Secret,
    Service, Volume, VolumeResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use observedapp_api::{Amount, BuiltinDatabase};

use super::credentials::{self, APP_USER, EXPORTER_PASSWORD, Passwords, SUPERUSER};
use super::{PORT, metadata, name, tuning};
use crate::build::{monitors, pod};
use crate::names::POSTGRES_VERSION_ANNOTATION;
use crate::{Component, Desired, Kind, SecretLost, ValidApp};

/// The container's name, and its port's.
pub(crate) const POSTGRES: &str = "postgres";
pub(crate) const EXPORTER_PORT: i32 = 9187;
/// Where the claim is mounted: above every version's data, so that there is room for an upgrade beside them.
const MOUNT: &str = "/var/lib/postgresql";
/// A shutdown writes out what is dirty in memory.
const GRACE_SECONDS: i64 = 120;
/// Recovery from a crash may have to read a lot of log.
const STARTUP_SECONDS: i32 = 3600;

pub(super) fn add(app: &ValidApp, database: &BuiltinDatabase, desired: &mut Desired) {
    secrets(app, database, desired);
    desired.objects.extend([
        config_map(app, database).into(),
        claim(app, database).into(),
        service(app).into(),
        stateful_set(app, database).into(),
    ]);
}

/// A Secret that exists is applied, with the password that it has; one that does not is created with a fresh
/// password; and one that is lost while its data exists is left to a person.
fn secrets(app: &ValidApp, database: &BuiltinDatabase, desired: &mut Desired) {
    let policy = database.deletion_policy;
    let observed = &app.observed.database;
    let passwords = Passwords::of(app);
    let host = name(app);
    let mut lost = Vec::new();
    let mut place = |secret: Secret, exists: bool| {
        if exists {
            desired.objects.push(secret.into());
        } else if observed.claim.is_some() {
            lost.push(secret.metadata.name.unwrap_or_default());
        } else {
            desired.generated.push(secret);
        }
    };
    place(
        credentials::for_app(app, &host, passwords.app, policy),
        observed.app_password.is_some(),
    );
    place(
        credentials::for_superuser(app, passwords.superuser, policy),
        observed.superuser_password.is_some(),
    );
    match passwords.app {
        Some(password) => {
            let binding = credentials::for_binding(app, &host, password, policy);
            desired.objects.push(binding.into());
            desired.binding = Some(app.id.binding_secret());
        }
        // It may hold the last copy of the password.
        None if observed.claim.is_some() => {
            desired.untouched.push((Kind::Secret, app.id.binding_secret()));
        }
        None => {}
    }
    if !lost.is_empty() {
        desired
            .untouched
            .extend(lost.iter().map(|secret| (Kind::Secret, secret.clone())));
        desired.database_lost = Some(secret_lost(app, lost));
    }
}

fn secret_lost(app: &ValidApp, secrets: Vec<String>) -> SecretLost {
    let binding = app.id.binding_secret();
    let only_app = secrets == [credentials::app_secret(app)];
    let remedy = if only_app {
        format!("restore it from a backup, or with the password that the Secret {binding} may still hold")
    } else {
        format!(
            "restore from a backup, or delete the claim {} too if its data may go",
            name(app)
        )
    };
    SecretLost {
        claim: name(app),
        secrets,
        remedy,
    }
}

/// What the image runs once, on an empty disk. Passwords come from the environment, so there are none in it.
fn config_map(app: &ValidApp, database: &BuiltinDatabase) -> ConfigMap {
    ConfigMap {
        metadata: app.metadata(name(app), Component::Database),
        data: Some([("app.sql".to_owned(), init_sql(database))].into()),
        ..Default::default()
    }
}

fn init_sql(database: &BuiltinDatabase) -> String {
    // Before there was a role for it, only superusers had connections kept for them.
    let exporter = if tuning::major(database) >= tuning::RESERVES_CONNECTIONS {
        "IN ROLE pg_monitor, pg_use_reserved_connections"
    } else {
        "SUPERUSER"
    };
    format!(
        "\\getenv app_password APP_PASSWORD\n\
         \\getenv exporter_password EXPORTER_PASSWORD\n\
         CREATE ROLE {APP_USER} LOGIN PASSWORD :'app_password';\n\
         CREATE DATABASE {APP_USER} OWNER {APP_USER};\n\
         CREATE ROLE exporter LOGIN PASSWORD :'exporter_password' {exporter};\n"
    )
}

/// An object of its own, so that it can grow and be kept.
fn claim(app: &ValidApp, database: &BuiltinDatabase) -> PersistentVolumeClaim {
    let mut metadata = metadata(app, name(app), database.deletion_policy);
    let version = tuning::major(database).to_string();
    metadata
        .annotations
        .get_or_insert_default()
        .insert(POSTGRES_VERSION_ANNOTATION.to_owned(), version);
    PersistentVolumeClaim {
        metadata,
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec!["ReadWriteOnce".to_owned()]),
            storage_class_name: database.storage.class_name.clone(),
            resources: Some(VolumeResourceRequirements {
                requests: Some([("storage".to_owned(), claim_size(app, database))].into()),
                ..Default::default()
            }),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// A claim never shrinks: one that is larger than the spec says, as a retained one may be, keeps its size.
fn claim_size(app: &ValidApp, database: &BuiltinDatabase) -> Quantity {
    let wanted = &database.storage.size;
    let Some(claim) = &app.observed.database.claim else {
        return wanted.clone();
    };
    let larger = claim
        .size
        .parse::<Amount>()
        .ok()
        .zip(Amount::try_from(wanted).ok())
        .is_some_and(|(held, wanted)| held > wanted);
    if larger {
        Quantity(claim.size.clone())
    } else {
        wanted.clone()
    }
}

fn service(app: &ValidApp) -> Service {
    monitors::exported_service(
        app,
        name(app),
        Component::Database,
        (POSTGRES, PORT),
        EXPORTER_PORT,
    )
}

fn stateful_set(app: &ValidApp, database: &BuiltinDatabase) -> StatefulSet {
    StatefulSet {
        metadata: app.metadata(name(app), Component::Database),
        spec: Some(StatefulSetSpec {
            replicas: Some(1),
            service_name: Some(name(app)),
            selector: app.selector(Component::Database),
            // Else a pod that never got ready would have to be deleted by hand before a corrected one is tried.
            pod_management_policy: Some("Parallel".to_owned()),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(app.labels(Component::Database)),
                    annotations: Some(
                        [(pod::DEFAULT_CONTAINER_ANNOTATION.to_owned(), POSTGRES.to_owned())].into(),
                    ),
                    ..Default::default()
                }),
                spec: Some(pod_spec(app, database)),
            },
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn pod_spec(app: &ValidApp, database: &BuiltinDatabase) -> PodSpec {
    PodSpec {
        termination_grace_period_seconds: Some(GRACE_SECONDS),
        volumes: Some(vec![
            Volume {
                name: "data".to_owned(),
                persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
                    claim_name: name(app),
                    ..Default::default()
                }),
                ..Default::default()
            },
            Volume {
                name: "init".to_owned(),
                config_map: Some(ConfigMapVolumeSource {
                    name: name(app),
                    ..Default::default()
                }),
                ..Default::default()
            },
            pod::empty_dir("run"),
            pod::empty_dir("tmp"),
            // Parallel queries share memory here; the 64 MiB that containers get are soon full.
            pod::memory_dir("shm", pod::mebibytes(tuning::memory(database) / 4)),
        ]),
        ..pod::bare(pod::official_pod(), vec![postgres(app, database), exporter(app)])
    }
}

fn postgres(app: &ValidApp, database: &BuiltinDatabase) -> Container {
    let superuser = credentials::superuser_secret(app);
    let major = tuning::major(database);
    Container {
        name: POSTGRES.to_owned(),
        image: Some(app.postgres_image(database)),
        // As arguments, they lie over the image's own configuration, and a change of one rolls the pod.
        args: Some(
            [POSTGRES.to_owned()]
                .into_iter()
                .chain(tuning::parameters(database).into_iter().flat_map(as_argument))
                .collect(),
        ),
        ports: Some(vec![pod::port(POSTGRES, PORT)]),
        env: Some(vec![
            pod::variable("PGDATA", format!("{MOUNT}/{major}/docker")),
            pod::variable("POSTGRES_USER", SUPERUSER),
            pod::secret_variable("POSTGRES_PASSWORD", &superuser, "password"),
            // The socket lies in this container alone: whoever reaches it may run psql and pg_dump as anybody.
            pod::variable(
                "POSTGRES_INITDB_ARGS",
                "--data-checksums --auth-local=trust --auth-host=scram-sha-256",
            ),
            pod::secret_variable("APP_PASSWORD", credentials::app_secret(app), "password"),
            pod::secret_variable("EXPORTER_PASSWORD", &superuser, EXPORTER_PASSWORD),
        ]),
        volume_mounts: Some(vec![
            pod::mount("data", MOUNT),
            pod::mount("init", "/docker-entrypoint-initdb.d"),
            pod::mount("run", "/var/run/postgresql"),
            pod::mount("tmp", "/tmp"),
            pod::mount("shm", "/dev/shm"),
        ]),
        resources: Some(tuning::resources(database)),
        startup_probe: Some(answers(10, STARTUP_SECONDS / 10)),
        liveness_probe: Some(answers(10, 6)),
        readiness_probe: Some(answers(5, 3)),
        // A fast shutdown ends the sessions; Postgres takes SIGTERM for a smart one, which waits for them.
        lifecycle: Some(Lifecycle {
            pre_stop: Some(LifecycleHandler {
                exec: Some(pod::exec(&["/bin/sh", "-c", "kill -INT 1"])),
                ..Default::default()
            }),
            ..Default::default()
        }),
        security_context: Some(pod::restricted_container()),
        ..Default::default()
    }
}

/// Asked through TCP: while the image sets the database up, only its socket answers.
fn answers(seconds: i32, failures: i32) -> Probe {
    Probe {
        exec: Some(pod::exec(&[
            "pg_isready",
            "--quiet",
            "--host",
            "127.0.0.1",
            "--username",
            APP_USER,
            "--dbname",
            APP_USER,
        ])),
        ..pod::every(seconds, failures)
    }
}

fn as_argument((name, value): (String, String)) -> [String; 2] {
    ["-c".to_owned(), format!("{name}={value}")]
}

/// It reads through TCP what every user may read of the database's statistics, and no data.
fn exporter(app: &ValidApp) -> Container {
    Container {
        name: "exporter".to_owned(),
        image: Some(app.settings.postgres_exporter_image.clone()),
        args: Some(vec![format!("--web.listen-address=:{EXPORTER_PORT}")]),
        ports: Some(vec![pod::port(pod::METRICS, EXPORTER_PORT)]),
        env: Some(vec![
            pod::variable(
                "DATA_SOURCE_URI",
                format!("127.0.0.1:{PORT}/{APP_USER}?sslmode=disable"),
            ),
            pod::variable("DATA_SOURCE_USER", "exporter"),
            pod::secret_variable(
                "DATA_SOURCE_PASS",
                credentials::superuser_secret(app),
                EXPORTER_PASSWORD,
            ),
        ]),
        resources: Some(pod::exporter_resources()),
        security_context: Some(pod::restricted_container()),
        ..Default::default()
    }
}
