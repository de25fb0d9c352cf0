//! The apps' own pods, as far as they say why they do not run.

use parking_lot::RwLock;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::NamespaceResourceScope;
use kube::core::ObjectMeta;
use observedapp_api::AppRef;
use serde::Deserialize;

/// A pod as far as it matters here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pod {
    pub component: String,
    /// Tells the pods of one revision from those of another.
    pub revision: String,
    pub ready: bool,
    pub stage: Stage,
    pub trouble: Option<Trouble>,
    /// How often its containers were started again.
    pub restarts: i32,
    /// Seconds since the epoch, as RFC 3339: the newest pod speaks for the newest revision.
    pub created: String,
    /// The number of its release, where releases are recorded.
    pub release: Option<u64>,
    pub deleting: bool,
    /// When its own container began to run, unless that was started again.
    pub started: Option<Timestamp>,
}

/// How far the app's own container has come: what the kubelet can complain about depends on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stage {
    /// It has never run: volumes, sandbox and image come first.
    #[default]
    Creating,
    /// It runs, or has run, and its startup probe has not succeeded yet.
    Starting,
    /// Its startup probe has succeeded.
    Started,
}

/// Why a pod does not run, in Kubernetes' own words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trouble {
    pub container: Option<String>,
    pub reason: String,
    pub message: String,
    /// How the container's last run ended, where that is the trouble.
    pub exit_code: Option<i32>,
    /// How long that run took.
    pub ran_for: Option<Duration>,
}

impl Trouble {
    /// Whether the kubelet may have ended the container because a probe failed: it sends SIGTERM, on which an app may
    /// also end by itself, and SIGKILL when the grace period is over.
    pub fn may_be_a_failed_probe(&self) -> bool {
        self.reason != "OOMKilled" && matches!(self.exit_code, Some(0 | 137 | 143))
    }
}

/// The pods of every app.
#[derive(Debug, Default)]
pub struct Pods(RwLock<HashMap<AppRef, BTreeMap<String, Arc<Pod>>>>);

impl Pods {
    pub fn of(&self, app: &AppRef) -> Vec<(String, Arc<Pod>)> {
        self.0
            .read()
            .get(app)
            .into_iter()
            .flatten()
            .map(|(name, pod)| (name.clone(), Arc::clone(pod)))
            .collect()
    }

    /// Takes a pod in; says which app it concerns, if anything about it is new.
    pub fn put(&self, seen: PartialPod) -> Option<AppRef> {
        let (app, name, pod) = seen.split()?;
        let mut all = self.0.write();
        let pods = all.entry(app.clone()).or_default();
        if pods.get(&name).is_some_and(|known| **known == pod) {
            return None;
        }
        pods.insert(name, Arc::new(pod));
        Some(app)
    }

    pub fn remove(&self, seen: PartialPod) -> Option<AppRef> {
        let (app, name, _) = seen.split()?;
        let mut all = self.0.write();
        let pods = all.get_mut(&app)?;
        pods.remove(&name);
        if pods.is_empty() {
            all.remove(&app);
        }
        Some(app)
    }

    /// Replaces all pods of a namespace (or all) by those of a complete list.
    pub fn replace(&self, namespace: Option<&str>, list: Vec<PartialPod>) -> Vec<AppRef> {
        let mut all = self.0.write();
        let mut concerned: Vec<AppRef> = all
            .keys()
            .filter(|app| namespace.is_none_or(|namespace| app.namespace == namespace))
            .cloned()
            .collect();
        for key in &concerned {
            all.remove(key);
        }
        for seen in list {
            if let Some((app, name, pod)) = seen.split() {
                all.entry(app.clone()).or_default().insert(name, Arc::new(pod));
                concerned.push(app);
            }
        }
        concerned
    }
}

/// A pod on its way from the API server.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "Wire")]
pub struct PartialPod {
    metadata: ObjectMeta,
    app: Option<String>,
    pod: Pod,
}

impl PartialPod {
    fn split(self) -> Option<(AppRef, String, Pod)> {
        let namespace = self.metadata.namespace?;
        Some((AppRef::new(namespace, self.app?), self.metadata.name?, self.pod))
    }
}

impl kube::Resource for PartialPod {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        "Pod".into()
    }

    fn group((): &()) -> Cow<'_, str> {
        "".into()
    }

    fn version((): &()) -> Cow<'_, str> {
        "v1".into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        "pods".into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

#[derive(Deserialize)]
struct Wire {
    #[serde(default)]
    metadata: WireMeta,
    #[serde(default)]
    status: WireStatus,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireMeta {
    name: Option<String>,
    namespace: Option<String>,
    resource_version: Option<String>,
    creation_timestamp: String,
    deletion_timestamp: Option<String>,
    labels: WireLabels,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireLabels {
    #[serde(rename = "app.kubernetes.io/instance")]
    instance: Option<String>,
    #[serde(rename = "app.kubernetes.io/component")]
    component: String,
    #[serde(rename = "observedapp.dev/release")]
    release: Option<String>,
    #[serde(rename = "pod-template-hash")]
    template: Option<String>,
    #[serde(rename = "controller-revision-hash")]
    revision: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireStatus {
    reason: String,
    message: String,
    phase: String,
    conditions: Vec<super::child_state::Fact>,
    init_container_statuses: Vec<WireContainer>,
    container_statuses: Vec<WireContainer>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireContainer {
    name: String,
    ready: bool,
    started: bool,
    restart_count: i32,
    state: WireState,
    last_state: WireState,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireState {
    running: Option<WireRun>,
    waiting: Option<WireReason>,
    terminated: Option<WireReason>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireRun {
    started_at: Option<Timestamp>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireReason {
    reason: String,
    message: String,
    exit_code: i32,
    started_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
}

impl WireReason {
    fn ran_for(&self) -> Option<Duration> {
        let ran = self.finished_at?.duration_since(self.started_at?);
        ran.try_into().ok()
    }
}

impl From<Wire> for PartialPod {
    fn from(wire: Wire) -> Self {
        let Wire { metadata, status } = wire;
        let condition = |type_: &str| {
            status
                .conditions
                .iter()
                .find(|condition| condition.type_ == type_)
        };
        let ready = metadata.deletion_timestamp.is_none()
            && condition("Ready").is_some_and(|condition| condition.status == "True");
        let app = metadata.labels.instance.as_deref().unwrap_or_default();
        let stage = stage(&status, app);
        let started = (status.container_statuses.iter())
            .find(|container| container.name == app && container.restart_count == 0)
            .and_then(|container| container.state.running.as_ref()?.started_at);
        let trouble = if ready || metadata.deletion_timestamp.is_some() {
            None
        } else {
            trouble(&status, app)
        };
        let restarts = status
            .init_container_statuses
            .iter()
            .chain(&status.container_statuses)
            .map(|container| container.restart_count)
            .fold(0, i32::saturating_add);
        Self {
            pod: Pod {
                component: metadata.labels.component,
                revision: metadata
                    .labels
                    .template
                    .or(metadata.labels.revision)
                    .unwrap_or_default(),
                ready,
                stage,
                trouble,
                restarts,
                created: metadata.creation_timestamp,
                release: metadata.labels.release.and_then(|number| number.parse().ok()),
                deleting: metadata.deletion_timestamp.is_some(),
                started,
            },
            app: metadata.labels.instance,
            metadata: ObjectMeta {
                name: metadata.name,
                namespace: metadata.namespace,
                resource_version: metadata.resource_version,
                ..ObjectMeta::default()
            },
        }
    }
}

/// The stage of the container that bears the app's name; of a pod that has none, as the builtin database's, of its first.
fn stage(status: &WireStatus, app: &str) -> Stage {
    let containers = &status.container_statuses;
    let Some(container) = containers
        .iter()
        .find(|container| container.name == app)
        .or(containers.first())
    else {
        return Stage::Creating;
    };
    let has_run = container.state.running.is_some()
        || container.state.terminated.is_some()
        || container.last_state.terminated.is_some();
    match has_run {
        false => Stage::Creating,
        true if container.started && container.state.running.is_some() => Stage::Started,
        true => Stage::Starting,
    }
}

/// What keeps a pod from running: a container that waits says it best, then one that ended, then the scheduler.
fn trouble(status: &WireStatus, app: &str) -> Option<Trouble> {
    let init = status.init_container_statuses.iter().map(|one| (one, false));
    let main = status.container_statuses.iter().map(|one| (one, true));
    let containers: Vec<_> = init.chain(main).collect();
    let of = |container: &WireContainer, reason: &WireReason, exit_code: Option<i32>| Trouble {
        container: Some(container.name.clone()),
        reason: reason.reason.clone(),
        message: reason.message.clone(),
        exit_code,
        ran_for: reason.ran_for(),
    };
    let ended = |container: &WireContainer, serves: bool| {
        // Once the startup probe has succeeded, how an earlier run ended explains nothing any more.
        let recovered = container.name == app && container.started && container.state.running.is_some();
        let last = container.state.terminated.as_ref().or(container
            .last_state
            .terminated
            .as_ref()
            .filter(|_| !recovered))?;
        // What is to serve must not end at all; what prepares must.
        (serves || last.exit_code != 0 || last.reason == "OOMKilled")
            .then(|| of(container, last, Some(last.exit_code)))
    };
    let starting = ["", "ContainerCreating", "PodInitializing"];
    for (container, serves) in &containers {
        if let Some(waiting) = &container.state.waiting
            && !starting.contains(&waiting.reason.as_str())
        {
            // That it crashes is said by Kubernetes, and how, only by the end before.
            return match ended(container, *serves) {
                Some(trouble) if waiting.reason == "CrashLoopBackOff" => Some(trouble),
                _ => Some(of(container, waiting, None)),
            };
        }
    }
    let mut unready = containers.iter().filter(|(container, _)| !container.ready);
    if let Some(trouble) = unready.find_map(|(container, serves)| ended(container, *serves)) {
        return Some(trouble);
    }
    if let Some(condition) = status
        .conditions
        .iter()
        .find(|condition| condition.type_ == "PodScheduled" && condition.status == "False")
    {
        return Some(Trouble {
            reason: condition.reason.clone(),
            message: condition.message.clone(),
            ..Trouble::default()
        });
    }
    (status.phase == "Failed").then(|| Trouble {
        reason: status.reason.clone(),
        message: status.message.clone(),
        ..Trouble::default()
    })
}

#[cfg(test)]
mod tests;
