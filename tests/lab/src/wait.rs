//! Waiting for a condition.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// What a look at the condition showed.
#[derive(Debug)]
pub enum Look {
    Met,
    /// Not yet, and why.
    NotYet(String),
}

/// Looks until the condition is met. An error ends the wait at once; past `limit` the last reason is told.
pub async fn until<F, Fut>(what: &str, limit: Duration, mut look: F) -> Result<()>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<Look>>,
{
    let start = Instant::now();
    let mut pause = Duration::from_millis(20);
    loop {
        let reason = match look().await? {
            Look::Met => return Ok(()),
            Look::NotYet(reason) => reason,
        };
        if start.elapsed() > limit {
            bail!("{what}: not within {} s; {reason}", limit.as_secs());
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(500));
    }
}
