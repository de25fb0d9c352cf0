//! The `ObservedApp` resource: what a user can say, and what the operator says back.
//!
//! The types carry their own documentation, defaults and admission rules; [`crd()`] turns them into
//! the `CustomResourceDefinition` that the API server enforces. Nothing here talks to a cluster.

mod admission;
mod app;
mod cache;
mod condition;
mod database;
mod exposure;
mod identity;
mod observability;
mod path;
pub mod patterns;
mod quantity;
mod reason;
mod rules;
mod scalar;
mod schema;
mod spec;
mod status;

pub use admission::{Refusal, fill_in_defaults, refusals, unknown_fields};
pub use app::*;
pub use cache::*;
pub use condition::ConditionType;
pub use database::*;
pub use exposure::*;
pub use identity::AppRef;
pub use observability::*;
pub use quantity::{Amount, NotAQuantity};
pub use reason::{Reason, Remedy};
pub use rules::{AdmissionRule, Holds, RULES};
pub use scalar::*;
pub use schema::{crd, schema};
pub use spec::*;
pub use status::*;

/// The API group of every type here.
pub const GROUP: &str = "observedapp.dev";
/// The field manager under which the operator applies its objects.
pub const FIELD_MANAGER: &str = "observedapp";
/// The annotation by which a person lets a release go on that waits or was taken back; its value says why.
pub const RELEASE_ANYWAY: &str = "observedapp.dev/release-anyway";
