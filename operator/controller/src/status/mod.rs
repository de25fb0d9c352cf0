//! From facts to what the resource says of itself. All of it is pure: no cluster, no clock but the one given.

mod availability;
mod change;
mod cloud_native_pg;
mod conditions;
mod merge;
mod pod_faults;
mod probe_faults;
#[cfg(test)]
mod recorded;
mod scaling;
mod services;

pub use availability::is_available;
pub use conditions::{AppFacts, Finding, Progress, findings};
pub use merge::{Transition, carried, merge, noteworthy};
pub use services::url;
