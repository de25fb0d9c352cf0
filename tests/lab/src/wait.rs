//! Waits for a condition.

use std::{
    fmt::Display,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

/// Repeats an attempt until its inner result is a value. An outer error ends the wait; once the time is up, the error has
/// the last inner one.
pub async fn until<T, F>(what: &str, limit: Duration, mut attempt: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<Result<T, String>>>,
{
    let start = Instant::now();
    loop {
        let last = match tokio::time::timeout(limit, attempt()).await {
            Err(_) => "the attempt did not end".to_owned(),
            Ok(outcome) => match outcome.with_context(|| what.to_owned())? {
                Ok(value) => return Ok(value),
                Err(last) => last,
            },
        };
        if start.elapsed() >= limit {
            bail!("{what}: not within {} s; last: {last}", limit.as_secs());
        }
        // Less often the longer it takes: attempts cost the API server time.
        let pause = (start.elapsed() / 40).clamp(Duration::from_millis(50), Duration::from_secs(3));
        tokio::time::sleep(pause).await;
    }
}

/// As [`until`], where every error is tried again.
pub async fn eventually<T, E, F>(what: &str, limit: Duration, mut attempt: impl FnMut() -> F) -> Result<T>
where
    E: Display,
    F: Future<Output = Result<T, E>>,
{
    until(what, limit, || {
        let attempt = attempt();
        async { Ok(attempt.await.map_err(|error| format!("{error:#}"))) }
    })
    .await
}
