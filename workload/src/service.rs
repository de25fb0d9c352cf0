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
    pub phase: watch::Receiver<Phase>,
    pub body_timeout: Duration,
}

impl Service {
    pub fn store(&self) -> Result<&Store, StoreError> {
        self.store.get().ok_or(StoreError::Starting)
    }

    pub fn is_draining(&self) -> bool {
        *self.phase.borrow() != Phase::Serving
    }
}
