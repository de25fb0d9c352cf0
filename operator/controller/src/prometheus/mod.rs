//! What Prometheus says of the apps, asked for all of them together, and what the cluster's Prometheus objects select.

#[cfg(test)]
mod against_prometheus;
mod alerts;
mod answers;
mod client;
mod details;
mod figures;
mod instances;
pub mod numbers;
mod objects;
mod poll;
mod poll_interval;
mod queries;
mod samples;
mod selection;
mod trials;
mod view;

use std::collections::HashMap;
use std::sync::Arc;

use observedapp_api::AppRef;
use observedapp_desired::{ObservedPrometheus, Settings, TrialQuery};
use observedapp_release::Counted;
use parking_lot::RwLock;
use tokio::sync::Notify;

#[cfg(test)]
pub use alerts::{Alert, Firing};
pub use alerts::{Alerts, count, listed};
pub use client::Access;
#[cfg(test)]
pub use figures::tests::slo;
pub use figures::{Figures, seconds_left, window_of};
pub use instances::{PrometheusInstances, PrometheusSettings};
pub use objects::{Instance, list};
pub use poll::Poller;
pub use selection::{Namespaces, Selection, Unusable};
pub use view::View;

use self::numbers::Retention;
use self::trials::Trials;

/// What is known of the cluster's Prometheus, and what it answered last.
#[derive(Debug)]
pub struct Prometheus {
    known: RwLock<Known>,
    poll_requested: Notify,
    trials: Trials,
}

#[derive(Debug, Default)]
struct Known {
    instances: Arc<PrometheusInstances>,
    /// By the URL of each server that is asked.
    servers: HashMap<String, ServerState>,
    views: HashMap<AppRef, Arc<View>>,
}

/// What is known of one server.
#[derive(Clone, Debug, Default, PartialEq)]
struct ServerState {
    poll: PollResult,
    retention: Option<Retention>,
}

/// How the last poll ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PollResult {
    #[default]
    NotPolled,
    /// There is no Prometheus to ask.
    NoPrometheus,
    Unreachable(String),
    Answered,
}

/// What Prometheus, and its objects, say that bears on one app.
#[derive(Clone, Debug, Default)]
pub struct PrometheusFacts {
    pub poll: PollResult,
    pub retention: Option<Retention>,
    pub view: Arc<View>,
    pub instances: Arc<PrometheusInstances>,
}

impl PrometheusFacts {
    /// The alerts that fire; nothing while it is not known whether any do.
    pub fn firing(&self) -> Option<&Alerts> {
        let is_known = self.poll == PollResult::Answered && !self.view.hashes.is_empty();
        is_known.then_some(&self.view.alerts)
    }
}

impl Known {
    fn facts(&self, app: &AppRef) -> PrometheusFacts {
        let server = match self.instances.url(&app.namespace) {
            Some(url) => self.servers.get(url).cloned().unwrap_or_default(),
            None => ServerState {
                poll: PollResult::NoPrometheus,
                retention: None,
            },
        };
        PrometheusFacts {
            poll: server.poll,
            retention: server.retention,
            view: self.views.get(app).cloned().unwrap_or_default(),
            instances: Arc::clone(&self.instances),
        }
    }
}

impl Prometheus {
    /// No Prometheus object is known yet; the operator's own settings hold already.
    pub fn new(settings: PrometheusSettings) -> Self {
        Self {
            known: RwLock::new(Known {
                instances: Arc::new(PrometheusInstances::nothing(settings)),
                ..Known::default()
            }),
            poll_requested: Notify::new(),
            trials: Trials::default(),
        }
    }

    /// What the Prometheus of a namespace's apps asks for.
    pub fn observed(&self, namespace: &str, settings: &Settings) -> ObservedPrometheus {
        self.known.read().instances.observed(namespace, settings)
    }

    /// What was last heard of an app; none until the first poll.
    pub fn facts(&self, app: &AppRef) -> Option<PrometheusFacts> {
        Some(self.known.read().facts(app)).filter(|facts| facts.poll != PollResult::NotPolled)
    }

    /// From now on the pods of a release that is tried are compared with the others, or none are.
    pub fn set_trial(&self, app: &AppRef, query: Option<TrialQuery>) {
        if self.trials.set(app, query) {
            self.request_poll();
        }
    }

    /// What the pods of a release that is tried have counted, and the others.
    pub fn trial_counted(&self, app: &AppRef) -> Counted {
        self.trials.counted(app)
    }

    /// Something was changed on which Prometheus will soon say more.
    pub fn request_poll(&self) {
        self.poll_requested.notify_one();
    }
}
