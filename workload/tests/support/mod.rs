//! What the tests share: the service as a real process, and real servers for it to talk to.
#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    missing_debug_implementations,
    clippy::unwrap_used
)]

pub mod servers;
pub mod service;
pub mod wire;

pub use servers::{Postgres, Redis};
pub use service::Service;
