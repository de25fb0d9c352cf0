//! Conditions to await, instead of sleeps.

use std::fmt::Display;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How often a condition is looked at. Short against any timeout, long against the cost of looking.
const PERIOD: Duration = Duration::from_millis(500);

/// Looks again until `attempt` succeeds. When the time is up, says what was awaited and what stood in its way last.
pub async fn eventually<T, E: Display>(
    what: &str,
    timeout: Duration,
    mut attempt: impl AsyncFnMut() -> Result<T, E>,
) -> Result<T> {
    let start = Instant::now();
    loop {
        let obstacle = match tokio::time::timeout(timeout, attempt()).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => format!("{error:#}"),
            Err(_) => "the attempt itself did not end".to_owned(),
        };
        if start.elapsed() >= timeout {
            bail!("{what}: not within {} s; at last: {obstacle}", timeout.as_secs());
        }
        tokio::time::sleep(PERIOD).await;
    }
}
