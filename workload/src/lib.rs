//! The task service: a to-do list over HTTP that is the model of an observable service.

pub mod api;
pub mod cache;
pub mod config;
pub mod drain;
pub mod faults;
pub mod observe;
pub mod operations;
pub mod page;
pub mod run;
pub mod server;
pub mod service;
pub mod store;
pub mod telemetry;
pub mod to_the_end;
mod together;
