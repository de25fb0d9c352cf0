//! The controller against a real API server, and what its tests share: one server for a test program, a namespace for
//! each test, a proxy that makes requests fail, and operators that can be killed and started again.

mod cluster;
mod dry_run;
mod namespace;
mod operator;
mod proxy;
mod readiness;
pub mod rights;
mod snapshot;

pub use cluster::{block_on, cluster, install, kubeconfig, schemaless, schemaless_as};
pub use dry_run::{Cause, causes};
pub use namespace::{TestNamespace, condition, eventually, eventually_within};
pub use operator::{RunningOperator, options, short_intervals};
pub use proxy::{Action, Call, Event, EventAction, Gate, Proxy};
pub use readiness::{keep_ready, pod, set_ready};
pub use snapshot::{converges_to, difference, objects_of, settled, snapshot};
