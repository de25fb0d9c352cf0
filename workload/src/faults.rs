//! Failure on purpose, to watch an error budget burn.

use std::time::Duration;

use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Longest delay that can be asked for.
const MAX_LATENCY_MS: u64 = 60_000;

/// How the API is to fail; all zero is not at all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, Args)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Faults {
    /// Share of requests that are answered 500, 0 to 1; at the start, and only with FAULTS=on
    #[arg(long = "fault-error-ratio", env = "FAULT_ERROR_RATIO", default_value_t)]
    error_ratio: f64,
    /// Delay of every request in milliseconds; at the start, and only with FAULTS=on
    #[arg(long = "fault-latency-ms", env = "FAULT_LATENCY_MS", default_value_t)]
    latency_ms: u64,
}

impl Faults {
    pub(crate) fn parse(body: &[u8]) -> Result<Self, String> {
        // An object it must be: a list would be taken as the fields in their order.
        let faults: Self = serde_json::from_slice::<Map<String, Value>>(body)
            .and_then(|fields| serde_json::from_value(fields.into()))
            .map_err(|error| error.to_string())?;
        faults.checked()
    }

    pub(crate) fn checked(self) -> Result<Self, String> {
        if !(0.0..=1.0).contains(&self.error_ratio) {
            return Err("error_ratio must lie between 0 and 1".to_owned());
        }
        if self.latency_ms > MAX_LATENCY_MS {
            return Err(format!("latency_ms must be at most {MAX_LATENCY_MS}"));
        }
        Ok(self)
    }

    /// Delays the caller, then says whether its request is to fail.
    pub(crate) async fn delay_and_decide(self) -> bool {
        if self.latency_ms > 0 {
            tokio::time::sleep(Duration::from_millis(self.latency_ms)).await;
        }
        self.error_ratio > 0.0 && rand::random::<f64>() < self.error_ratio
    }
}
