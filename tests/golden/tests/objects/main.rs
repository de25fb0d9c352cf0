//! From `app.yaml` to objects, and what must hold of all of them.

#![allow(clippy::unwrap_used)]

mod conform;
mod dashboards;
mod drawing;
mod fields;
mod golden;
mod network;
mod pods;
mod probe;
mod random;
mod releases;
