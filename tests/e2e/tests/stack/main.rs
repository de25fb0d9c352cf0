//! What changes the stack that all apps share: one test after the other, and beside no others.

#![allow(clippy::unwrap_used)]

mod chart;
mod prometheus;
mod restart;

use lab::layers::SHARED_NAMESPACE as NAMESPACE;
use tokio::sync::Mutex;

/// Held by the one test that runs.
static TURN: Mutex<()> = Mutex::const_new(());
