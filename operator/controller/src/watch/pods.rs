//! The apps' own pods, as far as they say why they do not run.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use k8s_openapi::NamespaceResourceScope;
use kube::core::ObjectMeta;
use serde::Deserialize;

/// A pod as far as it matters here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pod {
    pub component: String,
    /// Tells the pods of one revision from those of another.
    pub revision: String,
    pub ready: bool,
    pub trouble: Option<Trouble>,
    /// How often its containers were started again.
    pub restarts: i32,
    /// Seconds since the epoch, as RFC 3339: the newest pod speaks for the newest revision.
    pub created: String,
}

/// Why a pod does not run, in Kubernetes' own words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trouble {
    pub container: Option<String>,
    pub reason: String,
    pub message: String,
    pub restarts: i32,
}

/// The pods of every app.
#[derive(Debug, Default)]
pub struct Pods(RwLock<HashMap<AppKey, BTreeMap<String, Arc<Pod>>>>);

/// Namespace and name of an app.
pub type AppKey = (String, String);

impl Pods {
    pub fn of(&self, namespace: &str, app: &str) -> Vec<(String, Arc<Pod>)> {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&(namespace.to_owned(), app.to_owned()))
            .into_iter()
            .flatten()
            .map(|(name, pod)| (name.clone(), Arc::clone(pod)))
            .collect()
    }

    /// Takes a pod in; says which app it concerns, if anything about it is new.
    pub fn put(&self, seen: PodSeen) -> Option<AppKey> {
        let (app, name, pod) = seen.split()?;
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let pods = all.entry(app.clone()).or_default();
        if pods.get(&name).is_some_and(|known| **known == pod) {
            return None;
        }
        pods.insert(name, Arc::new(pod));
        Some(app)
    }

    pub fn remove(&self, seen: PodSeen) -> Option<AppKey> {
        let (app, name, _) = seen.split()?;
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let pods = all.get_mut(&app)?;
        pods.remove(&name);
        if pods.is_empty() {
            all.remove(&app);
        }
        Some(app)
    }

    /// Replaces all pods of a namespace (or all) by those of a complete list.
    pub fn replace(&self, namespace: Option<&str>, list: Vec<PodSeen>) -> Vec<AppKey> {
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let mut concerned: Vec<AppKey> = all
            .keys()
            .filter(|(of, _)| namespace.is_none_or(|namespace| of == namespace))
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
pub struct PodSeen {
    metadata: ObjectMeta,
    app: Option<String>,
    pod: Pod,
}

impl PodSeen {
    fn split(self) -> Option<(AppKey, String, Pod)> {
        let namespace = self.metadata.namespace?;
        Some(((namespace, self.app?), self.metadata.name?, self.pod))
    }
}

impl kube::Resource for PodSeen {
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
    conditions: Vec<super::live::Fact>,
    init_container_statuses: Vec<WireContainer>,
    container_statuses: Vec<WireContainer>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireContainer {
    name: String,
    restart_count: i32,
    ready: bool,
    state: WireState,
    last_state: WireState,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireState {
    waiting: Option<WireReason>,
    terminated: Option<WireReason>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireReason {
    reason: String,
    message: String,
    exit_code: i32,
}

impl From<Wire> for PodSeen {
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
        let trouble = if ready || metadata.deletion_timestamp.is_some() {
            None
        } else {
            trouble(&status)
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
                trouble,
                restarts,
                created: metadata.creation_timestamp,
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

/// What keeps a pod from running: a container that waits says it best, then one that ended, then the scheduler.
fn trouble(status: &WireStatus) -> Option<Trouble> {
    let containers = || {
        status
            .init_container_statuses
            .iter()
            .chain(&status.container_statuses)
    };
    let of = |container: &WireContainer, reason: &str, message: &str| Trouble {
        container: Some(container.name.clone()),
        reason: reason.to_owned(),
        message: message.to_owned(),
        restarts: container.restart_count,
    };
    let ended = |container: &WireContainer| {
        let last = container
            .state
            .terminated
            .as_ref()
            .or(container.last_state.terminated.as_ref())?;
        (last.reason == "OOMKilled" || last.exit_code != 0).then(|| {
            let reason = if last.reason == "OOMKilled" {
                "OOMKilled"
            } else {
                "CrashLoopBackOff"
            };
            let said = last.message.trim();
            let message = if said.is_empty() {
                format!("it ended with exit code {}", last.exit_code)
            } else {
                format!("it ended with exit code {}: {said}", last.exit_code)
            };
            of(container, reason, &message)
        })
    };
    let starting = ["", "ContainerCreating", "PodInitializing"];
    for container in containers() {
        if let Some(waiting) = &container.state.waiting
            && !starting.contains(&waiting.reason.as_str())
        {
            // That it crashes is said by Kubernetes, and how, only by the end before.
            return match ended(container) {
                Some(trouble) if waiting.reason == "CrashLoopBackOff" => Some(trouble),
                _ => Some(of(container, &waiting.reason, &waiting.message)),
            };
        }
    }
    if let Some(trouble) = containers().filter(|container| !container.ready).find_map(ended) {
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
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Value, json};

    use super::*;

    fn seen(status: Value) -> PodSeen {
        serde_json::from_value(json!({
            "metadata": {
                "name": "tasks-1", "namespace": "shop", "resourceVersion": "1",
                "labels": {"app.kubernetes.io/instance": "tasks", "app.kubernetes.io/component": "app", "pod-template-hash": "abc"},
            },
            "status": status,
        }))
        .unwrap()
    }

    #[test]
    fn a_waiting_container_says_why() {
        let pod = seen(json!({"phase": "Pending", "containerStatuses": [
            {"name": "tasks", "ready": false, "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}},
        ]}));
        let trouble = pod.pod.trouble.unwrap();
        assert_eq!(
            (trouble.reason.as_str(), trouble.message.as_str()),
            ("ImagePullBackOff", "no such image")
        );
    }

    #[test]
    fn a_crash_loop_says_how_the_last_run_ended() {
        let pod = seen(json!({"phase": "Running", "containerStatuses": [{
            "name": "tasks", "ready": false, "restartCount": 4,
            "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s"}},
            "lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137}},
        }]}));
        assert_eq!(pod.pod.restarts, 4);
        let trouble = pod.pod.trouble.unwrap();
        assert_eq!((trouble.reason.as_str(), trouble.restarts), ("OOMKilled", 4));
    }

    #[test]
    fn a_pod_that_is_starting_is_in_no_trouble() {
        let pod = seen(json!({"phase": "Pending", "containerStatuses": [
            {"name": "tasks", "ready": false, "state": {"waiting": {"reason": "ContainerCreating"}}},
        ]}));
        assert_eq!(pod.pod.trouble, None);
    }

    #[test]
    fn pods_are_kept_by_app() {
        let pods = Pods::default();
        let app = ("shop".to_owned(), "tasks".to_owned());
        assert_eq!(pods.put(seen(json!({}))), Some(app.clone()));
        assert_eq!(pods.put(seen(json!({}))), None);
        assert_eq!(pods.of("shop", "tasks").len(), 1);
        assert_eq!(pods.replace(None, Vec::new()), vec![app]);
        assert!(pods.of("shop", "tasks").is_empty());
    }
}
