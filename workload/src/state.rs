//! What the handlers share.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::watch;

use crate::cache::Cache;
use crate::faults::FaultSwitch;
use crate::store::{Store, StoreError};
use crate::telemetry::Metrics;

/// How far the end has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Serving,
    /// Requests are served, and `/readyz` says no, so that no new ones come.
    Draining,
    /// The port is closed; what runs is finished.
    Closing,
}

/// Cloned for each request: everything in it is behind one `Arc`.
#[derive(Debug, Clone)]
pub struct AppState(Arc<Shared>);

#[derive(Debug)]
pub struct Shared {
    /// Empty until the database has been reached.
    pub store: Arc<OnceLock<Store>>,
    pub cache: Option<Cache>,
    pub metrics: Metrics,
    pub faults: FaultSwitch,
    pub phase: watch::Receiver<Phase>,
    pub body_timeout: Duration,
}

impl AppState {
    pub fn new(shared: Shared) -> Self {
        Self(Arc::new(shared))
    }

    pub fn store(&self) -> Result<&Store, StoreError> {
        self.store.get().ok_or(StoreError::Starting)
    }

    pub fn is_draining(&self) -> bool {
        *self.phase.borrow() != Phase::Serving
    }
}

impl std::ops::Deref for AppState {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}
