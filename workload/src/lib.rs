//! The task service: a to-do list over HTTP that is the model of an observable service.

pub mod api;
mod cache;
pub mod config;
mod faults;
mod observe;
pub mod run;
mod server;
mod store;
pub mod telemetry;
