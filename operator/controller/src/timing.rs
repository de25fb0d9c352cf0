//! How often the operator does what.

use std::time::Duration;

use crate::leader::LeaseTiming;

/// How often things are done; the defaults are right outside of tests.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    pub lease: LeaseTiming,
    /// How often an app is reconciled for which nothing has changed.
    pub resync: Duration,
    /// How often the cluster is asked for its optional APIs.
    pub discovery: Duration,
    /// How often Prometheus is asked while nothing changes.
    pub poll: Duration,
    /// How soon after a change it is asked.
    pub soon: Duration,
    /// How long the API server may send nothing to who waits for it. A watch hears of it every minute, and ends within
    /// five; a server or a connection that hangs would be waited for without an end.
    pub silence: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            lease: LeaseTiming::default(),
            resync: Duration::from_mins(10),
            discovery: Duration::from_secs(30),
            poll: Duration::from_secs(15),
            soon: Duration::from_secs(5),
            silence: Duration::from_mins(5),
        }
    }
}
