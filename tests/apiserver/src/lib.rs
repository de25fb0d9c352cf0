//! Support for tests of the controller against a real API server: one server per test program, a namespace per test, a
//! proxy that injects faults, and operators that can be killed and restarted.

mod cluster;
mod crash;
mod dry_run;
mod namespace;
mod operator;
mod proxy;
mod readiness;
pub mod rights;
pub mod rollout;
mod snapshot;

pub use cluster::{block_on, cluster, install, install_gateway_api, kubeconfig, schemaless, schemaless_as};
pub use crash::{ComingCrash, Crash, survive_each};
pub use dry_run::{Cause, causes};
pub use namespace::{TestNamespace, condition, eventually};
pub use operator::{RunningOperator, options, short_intervals};
pub use proxy::{Action, Call, Event, EventAction, Gate, Proxy};
pub use readiness::{keep_ready, pod, set_ready};
pub use snapshot::{converges_to, difference, objects_of, settled, snapshot};
