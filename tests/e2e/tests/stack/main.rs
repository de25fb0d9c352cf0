//! Tests that change the stack that all apps share: they run one at a time, and not beside others.

#![allow(clippy::unwrap_used)]

mod chart;
mod confined;
mod prometheus;
mod restart;

use lab::layers::SHARED_NAMESPACE as NAMESPACE;
use tokio::sync::Mutex;

/// Serialises the tests.
static TURN: Mutex<()> = Mutex::const_new(());
