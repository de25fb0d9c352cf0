//! The task service: a to-do list over HTTP that is the model of an observable service.

pub mod api;
pub mod cache;
pub mod config;
pub mod faults;
pub mod observe;
pub mod run;
pub mod server;
pub mod state;
pub mod store;
pub mod telemetry;
