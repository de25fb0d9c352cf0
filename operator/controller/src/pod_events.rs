//! Why a pod does not become ready, where its status does not say: the kubelet writes that into Events. They are not
//! watched, because a cluster has many: those of one pod are listed, while an app waits for it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Event;
use kube::Client;
use kube::api::{Api, ListParams};
use tracing::warn;

use crate::error::Error;
use crate::request::with_timeout;
use crate::watch::{Pod, Stage, Trouble};

/// How long a pod may take before its Events are listed: most are ready by then.
const FIRST: Duration = Duration::from_secs(5);
/// The shortest and the longest time between two lists.
const SHORTEST: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_mins(1);
/// The kubelet repeats an Event by counting it, so that a pod has few.
const LIMIT: u32 = 50;

/// The Events about the pod that an app waits for.
#[derive(Clone, Debug)]
pub struct PodEvents {
    pub pod: String,
    /// How far the pod had come when it was last seen.
    pub stage: Stage,
    /// The newest first.
    pub events: Vec<PodEvent>,
    since: Instant,
    listed: Option<Instant>,
}

/// An Event, as far as it matters here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodEvent {
    pub reason: String,
    pub message: String,
}

impl PodEvents {
    fn new(pod: &str, now: Instant) -> Self {
        Self {
            pod: pod.to_owned(),
            stage: Stage::Creating,
            events: Vec::new(),
            since: now,
            listed: None,
        }
    }

    #[cfg(test)]
    pub fn of(pod: &str, stage: Stage, events: Vec<PodEvent>) -> Self {
        Self {
            stage,
            events,
            ..Self::new(pod, Instant::now())
        }
    }

    /// How long it is until the Events are to be listed: often at first, seldom for a pod that stays as it is.
    pub fn due_in(&self, now: Instant) -> Duration {
        let waited = |since: Instant| now.saturating_duration_since(since);
        match self.listed {
            None => FIRST.saturating_sub(waited(self.since)),
            Some(listed) => {
                let pause = (waited(self.since) / 10).clamp(SHORTEST, LONGEST);
                pause.saturating_sub(waited(listed))
            }
        }
    }
}

/// The Events about the pod that keeps an app from being available, read again when that is due. It is no failure if
/// they cannot be read: the condition then says less.
pub async fn observe(
    client: &Client,
    namespace: &str,
    pods: &[(String, Arc<Pod>)],
    known: Option<PodEvents>,
) -> Option<PodEvents> {
    let (pod, seen) = unexplained(pods)?;
    let now = Instant::now();
    let mut known = known
        .filter(|known| known.pod == *pod)
        .unwrap_or_else(|| PodEvents::new(pod, now));
    known.stage = seen.stage;
    if known.due_in(now).is_zero() {
        match list(client, namespace, pod).await {
            Ok(events) => known.events = events,
            Err(error) if known.listed.is_none() => {
                warn!(namespace, pod, %error, "the pod's Events cannot be read");
            }
            Err(_) => {}
        }
        known.listed = Some(Instant::now());
    }
    Some(known)
}

async fn list(client: &Client, namespace: &str, pod: &str) -> Result<Vec<PodEvent>, Error> {
    let api: Api<Event> = Api::namespaced(client.clone(), namespace);
    let params = ListParams::default()
        .fields(&format!("involvedObject.kind=Pod,involvedObject.name={pod}"))
        .limit(LIMIT);
    let events = with_timeout("list", "Event", pod, api.list(&params)).await?;
    Ok(newest_first(events.items))
}

/// The pod of the newest revision that has been unready for longest and whose own status does not say why.
fn unexplained(pods: &[(String, Arc<Pod>)]) -> Option<(&String, &Pod)> {
    let apps = || pods.iter().filter(|(_, pod)| pod.component == "app");
    let newest = apps().max_by(|(_, a), (_, b)| a.created.cmp(&b.created))?;
    apps()
        .filter(|(_, pod)| {
            let explained = |trouble: &Trouble| !trouble.may_be_a_failed_probe();
            pod.revision == newest.1.revision && !pod.ready && !pod.trouble.as_ref().is_some_and(explained)
        })
        .min_by(|one, other| (&one.1.created, &one.0).cmp(&(&other.1.created, &other.0)))
        .map(|(name, pod)| (name, &**pod))
}

fn newest_first(mut events: Vec<Event>) -> Vec<PodEvent> {
    let last_seen = |event: &Event| {
        let series = event
            .series
            .as_ref()
            .and_then(|series| series.last_observed_time.as_ref());
        series
            .or(event.event_time.as_ref())
            .map(|time| time.0)
            .max(event.last_timestamp.as_ref().map(|time| time.0))
    };
    events.sort_by_key(|event| std::cmp::Reverse(last_seen(event)));
    events
        .into_iter()
        .map(|event| PodEvent {
            reason: event.reason.unwrap_or_default(),
            message: event.message.unwrap_or_default(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn pod(name: &str, revision: &str, created: &str) -> (String, Arc<Pod>) {
        let pod = Pod {
            component: "app".to_owned(),
            revision: revision.to_owned(),
            created: created.to_owned(),
            ..Pod::default()
        };
        (name.to_owned(), Arc::new(pod))
    }

    fn name(pods: &[(String, Arc<Pod>)]) -> Option<&str> {
        unexplained(pods).map(|(name, _)| name.as_str())
    }

    #[test]
    fn the_events_of_the_newest_revision_s_unready_pod_are_asked_for() {
        let mut pods = vec![
            pod("old", "a", "2026-11-21T12:00:00Z"),
            pod("second", "b", "2026-11-21T12:01:01Z"),
            pod("first", "b", "2026-11-21T12:01:00Z"),
        ];
        assert_eq!(name(&pods), Some("first"));
        Arc::make_mut(&mut pods[2].1).ready = true;
        assert_eq!(name(&pods), Some("second"));
        Arc::make_mut(&mut pods[1].1).trouble = Some(Trouble {
            reason: "Error".to_owned(),
            exit_code: Some(3),
            ..Trouble::default()
        });
        assert_eq!(name(&pods), None, "it says by itself why it does not run");
        Arc::make_mut(&mut pods[1].1).trouble.as_mut().unwrap().exit_code = Some(137);
        assert_eq!(name(&pods), Some("second"), "who killed it is in the Events");
    }

    #[test]
    fn events_are_listed_soon_then_every_ten_seconds_and_in_the_end_once_a_minute() {
        let now = Instant::now();
        let mut known = PodEvents::new("tasks-1", now);
        assert_eq!(known.due_in(now), FIRST);
        assert_eq!(known.due_in(now + FIRST), Duration::ZERO);
        let listed_after = |seconds: u64, known: &mut PodEvents| {
            let at = now + Duration::from_secs(seconds);
            known.listed = Some(at);
            known.due_in(at).as_secs()
        };
        assert_eq!(listed_after(5, &mut known), 10);
        assert_eq!(listed_after(95, &mut known), 10);
        assert_eq!(listed_after(295, &mut known), 29);
        assert_eq!(listed_after(3600, &mut known), 60);
    }

    #[test]
    fn the_newest_event_comes_first_however_its_time_is_written() {
        let events: Vec<Event> = serde_json::from_value(json!([
            {"metadata": {}, "involvedObject": {}, "reason": "old", "lastTimestamp": "2026-11-21T12:00:00Z"},
            {"metadata": {}, "involvedObject": {}, "reason": "new", "eventTime": "2026-11-21T12:00:01.000000Z",
             "series": {"count": 2, "lastObservedTime": "2026-11-21T12:00:09.000000Z"}},
            {"metadata": {}, "involvedObject": {}, "reason": "middle", "lastTimestamp": "2026-11-21T12:00:05Z"},
        ]))
        .unwrap();
        let reasons: Vec<String> = newest_first(events)
            .into_iter()
            .map(|event| event.reason)
            .collect();
        assert_eq!(reasons, ["new", "middle", "old"]);
    }
}
