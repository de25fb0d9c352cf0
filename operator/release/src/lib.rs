//! Releases of an app: whether a new one fails more than the one before, and what should run next. All of it is pure:
//! counts, records and the time are given.

pub mod comparison;
mod evidence;
mod identify;
mod plan;
mod pods;
mod record;
mod relative;
mod sentences;
mod situation;
mod step;
#[cfg(test)]
mod tests;
mod trial;

pub use plan::{OldPods, Plan, Question, plan};
pub use record::{Phase, Record};
pub use situation::{Counted, Guard, Measured, Pod, Running, Situation, Standing, WithoutTraffic};
pub use trial::Trial;
