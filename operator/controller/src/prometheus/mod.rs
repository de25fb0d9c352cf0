//! Proof of effect: what Prometheus says of the apps, asked for all of them together and told only when it moved.

mod alerts;
mod client;
mod found;
mod judge;
#[cfg(test)]
mod live;
mod numbers;
mod objectives;
mod objects;
mod pace;
mod poll;
mod queries;
mod round;
mod selection;
mod view;

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use observedapp_api::{AlertStatus, ObservedApp, SloStatus};
use observedapp_desired::{ObservedPrometheus, Settings};
use tokio::sync::Notify;

pub use client::Access;
pub use found::PrometheusSettings;
pub use objects::list;
pub use poll::Poller;
pub use view::View;

use self::found::Found;
use crate::status::Finding;

/// What is known of the cluster's Prometheus, and what it said last.
#[derive(Debug, Default)]
pub struct Prometheus {
    known: RwLock<Known>,
    stirred: Notify,
}

#[derive(Debug, Default)]
struct Known {
    found: Found,
    /// By the URL of each server that is asked.
    servers: HashMap<String, ServerState>,
    views: HashMap<(String, String), View>,
}

/// What is known of one server.
#[derive(Clone, Debug, Default, PartialEq)]
struct ServerState {
    said: Said,
    retention: Option<numbers::Retention>,
}

/// How the last round of questions ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Said {
    /// Nothing has been asked yet.
    #[default]
    Nothing,
    /// There is nobody to ask.
    Nobody,
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
                said: Said::Nobody,
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
                found: Found::nothing(settings),
                ..Known::default()
            }),
            stirred: Notify::new(),
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
    pub fn stir(&self) {
        self.stirred.notify_one();
    }

    fn read<T>(&self, look: impl FnOnce(&Known) -> T) -> T {
        look(&self.known.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write<T>(&self, change: impl FnOnce(&mut Known) -> T) -> T {
        change(&mut self.known.write().unwrap_or_else(PoisonError::into_inner))
    }
}

pub use judge::Expected;
