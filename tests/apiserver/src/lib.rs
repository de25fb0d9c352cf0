//! The controller against a real API server, and what its tests share: one server for a test program, a namespace for
//! each test, a proxy that makes requests fail, and operators that can be killed and started again.

mod answering;
mod cluster;
mod dry_run;
mod operator;
mod proxy;
pub mod rights;
mod snapshot;
mod space;

pub use answering::{answering, answers, pod};
pub use cluster::{block_on, cluster, install, kubeconfig, schemaless, schemaless_as};
pub use dry_run::{Cause, causes};
pub use operator::{Running, hasty, options};
pub use proxy::{Call, Event, EventVerdict, Gate, Proxy, Verdict};
pub use snapshot::{difference, ends_as, objects_of, settled, snapshot};
pub use space::{Space, condition, eventually, eventually_within};
