//! Releases: which fields of the spec shape the app's pods, and what runs while one is tried.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::ControllerRevision;
use observedapp_api::{
    AppVolume, CacheSpec, DatabaseSpec, EnvFromSource, EnvVar, ExternalCache, GuardSpec, HealthSpec,
    ImagePullPolicy, LocalObjectReference, ObservedAppSpec, PlacementSpec, PodTemplateSpec,
    ResourceRequirements, SecretKey, SecuritySpec, ShutdownSpec, VolumeMount, WithoutTrafficPolicy,
};
use observedapp_release::{
    Counted, Guard, Measured, OldPods, Plan, Pod, Question, Record, Running, Situation, WithoutTraffic, plan,
};
use observedapp_slo::PromDuration;
use observedapp_slo::by_pod::{any_by_pod, counters_by_pod};
use serde::{Deserialize, Serialize};

use crate::validate::kind_of_database;
use crate::{ValidApp, build};

/// Written on the app's pods where releases are recorded: the number of theirs.
pub const RELEASE_LABEL: &str = "observedapp.dev/release";
/// What the annotations of a record begin with.
pub const RELEASE_ANNOTATIONS: &str = "observedapp.dev/release-";

/// The fields of the spec that shape the app's pods. What is added to them must have a default, or an upgrade of the
/// operator would be a release of every app.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseFields {
    pub image: String,
    image_pull_policy: ImagePullPolicy,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    image_pull_secrets: Vec<LocalObjectReference>,
    pub(crate) port: i32,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    command: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    args: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    env: Vec<EnvVar>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    env_from: Vec<EnvFromSource>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    volume_mounts: Vec<VolumeMount>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    volumes: Vec<AppVolume>,
    #[serde(default)]
    resources: ResourceRequirements,
    #[serde(default)]
    security_context: SecuritySpec,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    health: Option<HealthSpec>,
    #[serde(default)]
    shutdown: ShutdownSpec,
    #[serde(default)]
    placement: PlacementSpec,
    #[serde(default)]
    pod_template: PodTemplateSpec,
    /// The port of the metrics, where it is not the app's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) metrics_port: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    database: Option<DatabaseFields>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cache: Option<CacheFields>,
}

/// A database, as the pods see it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct DatabaseFields {
    env: String,
    #[serde(flatten)]
    kind: DatabaseKind,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum DatabaseKind {
    Builtin,
    #[serde(rename = "cloudNativePG")]
    CloudNativePg,
    External(SecretKey),
}

/// A cache, as the pods see it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct CacheFields {
    env: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    external: Option<ExternalCache>,
}

impl ReleaseFields {
    pub fn of(spec: &ObservedAppSpec) -> Self {
        let spec = spec.clone();
        Self {
            metrics_port: build::own_metrics_port(&spec),
            image: spec.image,
            image_pull_policy: spec.image_pull_policy,
            image_pull_secrets: spec.image_pull_secrets,
            port: spec.port,
            command: spec.command,
            args: spec.args,
            env: spec.env,
            env_from: spec.env_from,
            volume_mounts: spec.volume_mounts,
            volumes: spec.volumes,
            resources: spec.resources,
            security_context: spec.security_context,
            health: spec.health,
            shutdown: spec.shutdown,
            placement: spec.placement,
            pod_template: spec.pod_template,
            database: spec.database.map(|database| DatabaseFields {
                env: database.env,
                kind: match (database.external, database.cloud_native_pg) {
                    (Some(secret), _) => DatabaseKind::External(secret),
                    (None, Some(_)) => DatabaseKind::CloudNativePg,
                    (None, None) => DatabaseKind::Builtin,
                },
            }),
            cache: spec.cache.map(|cache| CacheFields {
                env: cache.env,
                external: cache.external,
            }),
        }
    }

    /// The spec with these fields instead of its own.
    pub fn over(&self, spec: &ObservedAppSpec) -> ObservedAppSpec {
        let fields = self.clone();
        let metrics = spec.metrics.clone().map(|metrics| observedapp_api::MetricsSpec {
            port: fields.metrics_port,
            ..metrics
        });
        ObservedAppSpec {
            image: fields.image,
            image_pull_policy: fields.image_pull_policy,
            image_pull_secrets: fields.image_pull_secrets,
            port: fields.port,
            command: fields.command,
            args: fields.args,
            env: fields.env,
            env_from: fields.env_from,
            volume_mounts: fields.volume_mounts,
            volumes: fields.volumes,
            resources: fields.resources,
            security_context: fields.security_context,
            health: fields.health,
            shutdown: fields.shutdown,
            placement: fields.placement,
            pod_template: fields.pod_template,
            metrics: metrics.or_else(|| {
                self.metrics_port.map(|port| observedapp_api::MetricsSpec {
                    port: Some(port),
                    ..Default::default()
                })
            }),
            database: fields
                .database
                .map(|fields| database(fields, spec.database.as_ref())),
            cache: fields.cache.map(|fields| cache(fields, spec.cache.as_ref())),
            ..spec.clone()
        }
    }
}

/// With what the spec says of the same kind, if it is that.
fn database(fields: DatabaseFields, now: Option<&DatabaseSpec>) -> DatabaseSpec {
    let mut database = DatabaseSpec {
        builtin: None,
        cloud_native_pg: None,
        external: None,
        env: fields.env,
    };
    match fields.kind {
        DatabaseKind::External(secret) => database.external = Some(secret),
        DatabaseKind::Builtin => {
            let builtin = now.and_then(|now| now.builtin.clone());
            database.builtin = Some(builtin.unwrap_or_default());
        }
        DatabaseKind::CloudNativePg => {
            let cluster = now.and_then(|now| now.cloud_native_pg.clone());
            database.cloud_native_pg = Some(cluster.unwrap_or_default());
        }
    }
    database
}

fn cache(fields: CacheFields, now: Option<&CacheSpec>) -> CacheSpec {
    let own = now.and_then(|now| now.builtin.clone());
    CacheSpec {
        builtin: fields.external.is_none().then(|| own.unwrap_or_default()),
        external: fields.external,
        env: fields.env,
    }
}

/// What exists of an app's releases; read only where they are recorded.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ObservedReleases {
    /// Oldest first.
    pub records: Vec<ObservedRelease>,
    /// The highest number that is taken, by a record that cannot be read, too.
    pub highest: u64,
    pub running: Running,
    pub pods: Vec<Pod>,
    pub measured: Measured,
    pub anyway: Option<String>,
    pub now: Timestamp,
}

/// A release that is recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct ObservedRelease {
    pub record: Record,
    pub fields: ReleaseFields,
    /// The version of the record at which this was read.
    pub version: u64,
    /// As [`crate::Observed::references_digest`], of what its own pods read.
    pub references_digest: Option<String>,
}

/// What was decided of an app's releases.
#[derive(Clone, Debug)]
pub struct Releases {
    pub plan: Plan,
    /// The image of each release that is recorded.
    pub images: BTreeMap<u64, String>,
    /// What Prometheus is to be asked while pods are compared.
    pub query: Option<TrialQuery>,
    /// The records that are not yet as they should be: they are written before anything else, so that nothing is decided
    /// twice.
    pub writes: Vec<RecordWrite>,
}

/// What Prometheus is asked again and again while one pod is compared with those before it.
#[derive(Clone, Debug, PartialEq)]
pub struct TrialQuery {
    pub expression: String,
    pub since: Timestamp,
    pub step: Duration,
    /// The ReplicaSets of the new release.
    pub new: BTreeSet<String>,
    /// The share of events that may fail, of each objective.
    pub budgets: BTreeMap<String, f64>,
}

/// A record to write.
#[derive(Clone, Debug)]
pub struct RecordWrite {
    pub object: ControllerRevision,
    /// The version at which it was read; none if it is new.
    pub version: Option<u64>,
}

impl ValidApp {
    /// Decides how the release that the spec asks for goes on; nothing where releases are not recorded.
    pub(crate) fn releases(&self) -> Option<Releases> {
        let guard = guard(self)?;
        let unknown = ObservedReleases::default();
        let observed = self.observed.releases.as_ref().unwrap_or(&unknown);
        let mut measured = observed.measured.clone();
        if !any_by_pod(&self.objectives.slos) {
            // There is nothing to ask.
            measured.counted = Counted::Known(Vec::new());
        }
        let fields = ReleaseFields::of(&self.spec);
        let records: Vec<Record> = observed.records.iter().map(|one| one.record.clone()).collect();
        let same = observed.records.iter().filter(|one| one.fields == fields);
        let wanted: BTreeSet<u64> = same.map(|one| one.record.number).collect();
        let plan = plan(&Situation {
            guard: &guard,
            records: &records,
            wanted: &wanted,
            highest: observed.highest,
            running: observed.running,
            pods: &observed.pods,
            replicas: wanted_pods(self),
            measured: &measured,
            anyway: observed.anyway.as_deref(),
            now: observed.now,
        });
        let of = |number: u64| observed.records.iter().find(|one| one.record.number == number);
        let fields_of = |number: u64| of(number).map_or(&fields, |known| &known.fields);
        let writes = plan
            .records
            .iter()
            .filter(|record| of(record.number).is_none_or(|known| known.record != **record))
            .map(|record| RecordWrite {
                object: build::record(self, record, fields_of(record.number)),
                version: of(record.number).map(|known| known.version),
            })
            .collect();
        let images = plan
            .records
            .iter()
            .map(|record| (record.number, fields_of(record.number).image.clone()));
        let query = plan
            .question
            .as_ref()
            .and_then(|question| self.trial_query(question));
        Some(Releases {
            query,
            images: images.collect(),
            writes,
            plan,
        })
    }

    fn trial_query(&self, question: &Question) -> Option<TrialQuery> {
        // Kubernetes' names need no escaping in a regex: a dot stands for itself, too.
        let of_set = |set: &String| format!("{set}-[a-z0-9]{{5}}");
        let mut pods: Vec<String> = question.new.iter().map(of_set).collect();
        match &question.old {
            OldPods::ReplicaSets(sets) => pods.extend(sets.iter().map(of_set)),
            OldPods::Names(names) => pods.extend(names.iter().cloned()),
        }
        let slos = &self.objectives.slos;
        Some(TrialQuery {
            expression: counters_by_pod(slos, &pods)?,
            since: question.since,
            step: question.step,
            new: question.new.clone(),
            budgets: slos
                .iter()
                .map(|slo| (slo.name.clone(), slo.objective.budget().as_f64()))
                .collect(),
        })
    }

    /// The app with the pods of a release that is not the spec's.
    pub(crate) fn running(&self, number: u64) -> Option<Self> {
        let releases = self.observed.releases.as_ref()?;
        let release = releases.records.iter().find(|one| one.record.number == number)?;
        let mut app = self.clone();
        app.spec = release.fields.over(&self.spec);
        app.database = app.spec.database.as_ref().and_then(kind_of_database);
        app.observed
            .references_digest
            .clone_from(&release.references_digest);
        Some(app)
    }
}

fn guard(app: &ValidApp) -> Option<Guard> {
    let rollout = &app.spec.rollout;
    let GuardSpec {
        bake_time,
        min_requests,
        without_traffic,
        watch_time,
        hold_when_budget_below,
    } = rollout.guard.as_ref()?;
    let duration = |duration: PromDuration| Duration::from_secs_f64(duration.as_secs_f64());
    let parsed = |text: &str| text.parse().map_or(Duration::ZERO, duration);
    let scrape = app
        .objectives
        .slos
        .iter()
        .map(|slo| slo.indicator.interval())
        .max();
    let health = app.spec.health.clone().unwrap_or_default();
    Some(Guard {
        bake_time: parsed(bake_time),
        min_requests: f64::from(*min_requests),
        without_traffic: match without_traffic {
            WithoutTrafficPolicy::Proceed => WithoutTraffic::Proceed,
            WithoutTrafficPolicy::Hold => WithoutTraffic::Hold,
            WithoutTrafficPolicy::RollBack => WithoutTraffic::RollBack,
        },
        watch_time: parsed(watch_time),
        hold_below: hold_when_budget_below.map(|percent| f64::from(percent) / 100.0),
        scrape: scrape.map_or(Duration::ZERO, duration),
        startup: Duration::from_secs(u64::try_from(health.startup_seconds).unwrap_or_default()),
        can_try: wanted_pods(app) >= 2,
    })
}

/// How many pods the Deployment is to have, whoever decides that.
fn wanted_pods(app: &ValidApp) -> i32 {
    let observed = app.observed.replicas;
    observed.map_or(app.spec.replicas, |replicas| replicas.count)
}
