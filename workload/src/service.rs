//! What the parts of the running service share.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::watch;
use traces::Traces;

use crate::cache::Cache;
use crate::drain::Phase;
use crate::faults::FaultSwitch;
use crate::store::{Store, StoreError};
use crate::telemetry::Metrics;

#[derive(Debug)]
pub struct Service {
    /// Empty until the database has been reached.
    pub store: Arc<OnceLock<Store>>,
    pub cache: Option<Cache>,
    pub metrics: Metrics,
    pub traces: Traces,
    pub faults: FaultSwitch,
    /// As it was at the start, when nobody had seen a change.
    pub phase: watch::Receiver<Phase>,
    pub body_timeout: Duration,
}

impl Service {
    pub fn store(&self) -> Result<&Store, StoreError> {
        self.store.get().ok_or(StoreError::Starting)
    }

    pub fn is_draining(&self) -> bool {
        // `Serving` is the first of the phases, and is not come back to: no lock is needed to know.
        self.phase.has_changed().unwrap_or(true)
    }
}
