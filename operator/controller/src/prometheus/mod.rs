//! Proof of effect: what Prometheus says of the apps, asked for all of them together and told only when it moved.

#[cfg(test)]
mod against_prometheus;
mod alerts;
mod answers;
mod client;
mod instances;
mod judge;
mod numbers;
mod objectives;
mod objects;
mod poll;
mod poll_interval;
mod queries;
mod selection;
mod view;

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use observedapp_api::{AlertStatus, ObservedApp, SloStatus};
use observedapp_desired::{ObservedPrometheus, Settings};
use tokio::sync::Notify;

pub use client::Access;
pub use instances::PrometheusSettings;
pub use objects::list;
pub use poll::Poller;
pub use view::View;

use self::instances::PrometheusInstances;
use crate::status::Finding;

/// What is known of the cluster's Prometheus, and what it said last.
#[derive(Debug, Default)]
pub struct Prometheus {
    known: RwLock<Known>,
    poll_requested: Notify,
}

#[derive(Debug, Default)]
struct Known {
    found: PrometheusInstances,
    /// By the URL of each server that is asked.
    servers: HashMap<String, ServerState>,
    views: HashMap<(String, String), View>,
}

/// What is known of one server.
#[derive(Clone, Debug, Default, PartialEq)]
struct ServerState {
    last_poll: PollResult,
    retention: Option<numbers::Retention>,
}

/// How the last round of questions ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PollResult {
    /// Nothing has been asked yet.
    #[default]
    NotPolled,
    /// There is nobody to ask.
    NoPrometheus,
    /// It did not answer.
    Unreachable(String),
    Answered,
}

/// What Prometheus proves of one app.
#[derive(Debug, Default)]
pub struct Proof {
    pub findings: Vec<Finding>,
    pub firing_alerts: Option<i32>,
    pub alerts: Vec<AlertStatus>,
    pub worst_slo: Option<SloStatus>,
    pub slos: Vec<SloStatus>,
}

impl Known {
    /// What is known of the server that is asked for the apps of a namespace.
    fn server(&self, namespace: &str) -> ServerState {
        match self.found.url(namespace) {
            Some(url) => self.servers.get(url).cloned().unwrap_or_default(),
            None => ServerState {
                last_poll: PollResult::NoPrometheus,
                retention: None,
            },
        }
    }
}

impl Prometheus {
    /// Nothing is looked up yet; what the operator was told holds already.
    pub fn new(settings: PrometheusSettings) -> Self {
        Self {
            known: RwLock::new(Known {
                found: PrometheusInstances::nothing(settings),
                ..Known::default()
            }),
            poll_requested: Notify::new(),
        }
    }

    /// What the Prometheus of a namespace's apps asks for.
    pub fn observed(&self, namespace: &str, settings: &Settings) -> ObservedPrometheus {
        self.read(|known| known.found.observed(namespace, settings))
    }

    /// What was last heard of an app; none while nothing was asked, so that what its status says stays. So do those
    /// objectives of the status as it was `before` of which nothing newer is known.
    pub fn proof(
        &self,
        app: &ObservedApp,
        expected: &judge::Expected<'_>,
        before: &[SloStatus],
    ) -> Option<Proof> {
        self.read(|known| judge::judge(known, app, expected, before))
    }

    /// Something was changed that Prometheus will soon have more to say of.
    pub fn request_poll(&self) {
        self.poll_requested.notify_one();
    }

    fn read<T>(&self, look: impl FnOnce(&Known) -> T) -> T {
        look(&self.known.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write<T>(&self, change: impl FnOnce(&mut Known) -> T) -> T {
        change(&mut self.known.write().unwrap_or_else(PoisonError::into_inner))
    }
}

pub use judge::Expected;
