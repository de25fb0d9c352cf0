//! What changes the stack that all apps share: one test after the other, and beside no others.

#![allow(clippy::unwrap_used)]

mod chart;
mod prometheus;
mod restart;

use tokio::sync::Mutex;

/// Where these tests have their one app.
const NAMESPACE: &str = "shared-stack";

/// Held by the one test that runs.
static TURN: Mutex<()> = Mutex::const_new(());
