//! One request to the API server: bounded in time, and with an error that says what was asked.

use std::time::Duration;

use crate::error::Error;

/// How long one request may take: longer than the API server's own limit for a slow webhook.
const LIMIT: Duration = Duration::from_secs(20);

pub async fn with_timeout<T>(
    verb: &'static str,
    kind: &'static str,
    name: &str,
    request: impl Future<Output = kube::Result<T>>,
) -> Result<T, Error> {
    match tokio::time::timeout(LIMIT, request).await {
        Ok(answer) => answer.map_err(|error| Error::api(verb, kind, name, &error)),
        Err(_) => Err(Error::timeout(verb, kind, name)),
    }
}
