//! Failure on purpose, to watch an error budget burn.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Longest delay that can be asked for.
const MAX_LATENCY_MS: u64 = 60_000;

/// How the API is to fail; all zero is not at all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Faults {
    /// Share of requests that are answered 500, 0 to 1.
    error_ratio: f64,
    /// Delay of every request.
    latency_ms: u64,
}

/// The faults in force: of two atomic values, so that a request that looks at them locks nothing. One that looks while
/// they change may see one of them new and the other old.
#[derive(Debug, Default)]
pub struct FaultSwitch {
    error_ratio_bits: AtomicU64,
    latency_ms: AtomicU64,
}

impl Faults {
    pub fn parse(body: &[u8]) -> Result<Self, String> {
        // An object it must be: a list would be taken as the fields in their order.
        let faults: Self = serde_json::from_slice::<serde_json::Map<_, _>>(body)
            .and_then(|fields| serde_json::from_value(fields.into()))
            .map_err(|error| error.to_string())?;
        if !(0.0..=1.0).contains(&faults.error_ratio) {
            return Err("error_ratio must lie between 0 and 1".to_owned());
        }
        if faults.latency_ms > MAX_LATENCY_MS {
            return Err(format!("latency_ms must be at most {MAX_LATENCY_MS}"));
        }
        Ok(faults)
    }

    /// Delays the caller, then says whether its request is to fail.
    pub async fn delay_and_decide(self) -> bool {
        if self.latency_ms > 0 {
            tokio::time::sleep(Duration::from_millis(self.latency_ms)).await;
        }
        self.error_ratio > 0.0 && rand::random::<f64>() < self.error_ratio
    }
}

impl FaultSwitch {
    pub fn get(&self) -> Faults {
        Faults {
            error_ratio: f64::from_bits(self.error_ratio_bits.load(Ordering::Relaxed)),
            latency_ms: self.latency_ms.load(Ordering::Relaxed),
        }
    }

    pub fn set(&self, faults: Faults) {
        self.error_ratio_bits
            .store(faults.error_ratio.to_bits(), Ordering::Relaxed);
        self.latency_ms.store(faults.latency_ms, Ordering::Relaxed);
        tracing::warn!(
            error_ratio = faults.error_ratio,
            latency_ms = faults.latency_ms,
            "faults set"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_faults_that_can_be_are_taken() {
        let both = Faults {
            error_ratio: 0.2,
            latency_ms: 300,
        };
        assert_eq!(
            Faults::parse(br#"{"error_ratio":0.2,"latency_ms":300}"#),
            Ok(both)
        );
        assert_eq!(Faults::parse(b"{}"), Ok(Faults::default()));
        for wrong in [
            r#"{"error_ratio":1.1}"#,
            r#"{"error_ratio":-0.1}"#,
            r#"{"latency_ms":-1}"#,
            r#"{"latency_ms":60001}"#,
            r#"{"errors":1}"#,
            "[]",
            "",
        ] {
            assert!(Faults::parse(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
