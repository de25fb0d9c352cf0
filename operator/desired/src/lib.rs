//! From an `ObservedApp` to every object it should have.
//!
//! ```text
//! ObservedApp + Observed + Settings ──validate──▶ ValidApp ──desired──▶ Desired { objects, generated }
//!                                     │
//!                                     └─▶ Problems (all of them at once)
//! ```
//!
//! No I/O, no clock, no randomness: what must be read from the cluster is an input ([`Observed`]), what the operator was
//! started with is another ([`Settings`]), so that the same inputs give the same bytes.

mod app;
mod build;
pub mod cloud_native_pg;
mod digest;
pub mod gateway;
pub mod monitoring;
mod names;
mod object;
mod objectives;
mod observed;
mod problem;
mod references;
mod releases;
mod resources;
mod settings;
mod validate;

pub use app::*;
pub use build::{desired, fleet_dashboard, origin, rules};
pub use digest::digest;
pub use names::*;
pub use object::*;
pub use objectives::Objectives;
pub use observed::*;
pub use problem::*;
pub use references::{Reference, references};
pub use releases::*;
pub use resources::app_memory_limit;
pub use settings::*;
pub use validate::{problem_of, validate};
