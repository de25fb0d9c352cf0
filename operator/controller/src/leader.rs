//! One leader among the replicas, by a Lease.
//!
//! A Lease fences nobody: a leader that was frozen and thaws may believe it still leads. So every write asks
//! [`Leadership::holds`], which counts from *before* the last renewal was sent and gives up earlier than another replica may
//! take over, and what still slips through is idempotent.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{Api, ObjectMeta, PostParams};
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

/// How the Lease is kept.
#[derive(Clone, Copy, Debug)]
pub struct LeaseTiming {
    /// How long others wait after a renewal before they take over.
    pub duration: Duration,
    /// How long after a renewal the holder still writes: well below `duration`.
    pub deadline: Duration,
    /// How often it is renewed, or read.
    pub period: Duration,
}

impl LeaseTiming {
    /// How long one try may take: a single request that hangs must leave time for others before the deadline.
    fn attempt(&self) -> Duration {
        self.deadline / 4
    }
}

impl Default for LeaseTiming {
    fn default() -> Self {
        Self {
            duration: Duration::from_secs(15),
            deadline: Duration::from_secs(10),
            period: Duration::from_secs(2),
        }
    }
}

/// Whether this replica may write now.
#[derive(Debug)]
pub struct Leadership {
    epoch: Instant,
    /// Milliseconds after `epoch` until which writes are allowed; `u64::MAX` without leader election.
    until: AtomicU64,
}

impl Leadership {
    /// Leads always: there is no election.
    pub fn always() -> Self {
        Self {
            epoch: Instant::now(),
            until: AtomicU64::new(u64::MAX),
        }
    }

    /// Does not lead yet.
    pub fn none() -> Self {
        Self {
            epoch: Instant::now(),
            until: AtomicU64::new(0),
        }
    }

    pub fn holds(&self) -> bool {
        let until = self.until.load(Ordering::Acquire);
        until == u64::MAX || u128::from(until) > self.epoch.elapsed().as_millis()
    }

    fn extend(&self, until: Instant) {
        let until =
            u64::try_from(until.saturating_duration_since(self.epoch).as_millis()).unwrap_or(u64::MAX - 1);
        self.until.store(until, Ordering::Release);
    }

    fn end(&self) {
        self.until.store(0, Ordering::Release);
    }
}

/// One replica's part in the election.
#[derive(Debug)]
pub struct Candidate {
    pub api: Api<Lease>,
    pub name: String,
    pub identity: String,
    pub timing: LeaseTiming,
}

/// What was last seen of the Lease, and since when by our own clock: clocks of different machines are never compared.
struct Sighting {
    holder: Option<String>,
    renewed: Option<MicroTime>,
    since: Instant,
}

impl Candidate {
    /// Returns when this replica holds the Lease.
    pub async fn acquire(&self, lead: &Leadership) {
        let mut sighting: Option<Sighting> = None;
        loop {
            match timeout(self.timing.attempt(), self.try_acquire(lead, &mut sighting)).await {
                Ok(Ok(true)) => {
                    info!(lease = self.name, identity = self.identity, "leading");
                    return;
                }
                Ok(Ok(false)) => {}
                Ok(Err(error)) => {
                    warn!(lease = self.name, %error, "the lease cannot be read or taken; tried again");
                }
                Err(_) => {
                    warn!(
                        lease = self.name,
                        "the API server does not answer for the lease; tried again"
                    );
                }
            }
            sleep(self.timing.period).await;
        }
    }

    async fn try_acquire(&self, lead: &Leadership, sighting: &mut Option<Sighting>) -> kube::Result<bool> {
        let now = Instant::now();
        let Some(lease) = self.api.get_opt(&self.name).await? else {
            let lease = Lease {
                metadata: ObjectMeta {
                    name: Some(self.name.clone()),
                    ..ObjectMeta::default()
                },
                spec: Some(self.spec(None)),
            };
            return self.taken(lead, now, self.api.create(&PostParams::default(), &lease).await);
        };
        let spec = lease.spec.clone().unwrap_or_default();
        let holder = spec.holder_identity.clone().filter(|holder| !holder.is_empty());
        let ours = holder.as_deref() == Some(&self.identity);
        let expired = match sighting {
            Some(seen) if seen.holder == holder && seen.renewed == spec.renew_time => {
                let duration = spec
                    .lease_duration_seconds
                    .and_then(|seconds| u64::try_from(seconds).ok())
                    .map_or(self.timing.duration, Duration::from_secs);
                seen.since.elapsed() > duration
            }
            _ => {
                *sighting = Some(Sighting {
                    holder: holder.clone(),
                    renewed: spec.renew_time.clone(),
                    since: now,
                });
                false
            }
        };
        if holder.is_some() && !ours && !expired {
            return Ok(false);
        }
        let lease = Lease {
            metadata: lease.metadata,
            spec: Some(self.spec(Some(&spec))),
        };
        self.taken(
            lead,
            now,
            self.api.replace(&self.name, &PostParams::default(), &lease).await,
        )
    }

    /// A conflict means that another was faster.
    fn taken(&self, lead: &Leadership, sent: Instant, answer: kube::Result<Lease>) -> kube::Result<bool> {
        match answer {
            Ok(_) => {
                lead.extend(sent + self.timing.deadline);
                Ok(true)
            }
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Renews the Lease; returns when it is lost.
    pub async fn keep(&self, lead: &Leadership) {
        let mut last_error = String::new();
        while lead.holds() {
            sleep(self.timing.period).await;
            let sent = Instant::now();
            match timeout(self.timing.attempt(), self.renew()).await {
                Ok(Ok(true)) => lead.extend(sent + self.timing.deadline),
                Ok(Ok(false)) => {
                    "another replica holds it".clone_into(&mut last_error);
                    break;
                }
                Ok(Err(error)) => {
                    last_error = error.to_string();
                    warn!(lease = self.name, %error, "the lease could not be renewed; tried again");
                }
                Err(_) => "the API server does not answer".clone_into(&mut last_error),
            }
        }
        lead.end();
        warn!(
            lease = self.name,
            reason = last_error,
            "the lease is lost: nothing is written any more"
        );
    }

    async fn renew(&self) -> kube::Result<bool> {
        let lease = self.api.get(&self.name).await?;
        let spec = lease.spec.clone().unwrap_or_default();
        if spec.holder_identity.as_deref() != Some(&self.identity) {
            return Ok(false);
        }
        let lease = Lease {
            metadata: lease.metadata,
            spec: Some(self.spec(Some(&spec))),
        };
        match self.api.replace(&self.name, &PostParams::default(), &lease).await {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Gives the Lease up, so that another replica need not wait for it to run out.
    pub async fn release(&self, lead: &Leadership) {
        let held = lead.holds();
        lead.end();
        if !held {
            return;
        }
        let released = async {
            let mut lease = self.api.get(&self.name).await?;
            let spec = lease.spec.get_or_insert_default();
            if spec.holder_identity.as_deref() == Some(&self.identity) {
                spec.holder_identity = None;
                self.api
                    .replace(&self.name, &PostParams::default(), &lease)
                    .await?;
            }
            Ok::<_, kube::Error>(())
        };
        match timeout(self.timing.period, released).await {
            Ok(Ok(())) => info!(lease = self.name, "the lease is given up"),
            Ok(Err(error)) => {
                warn!(lease = self.name, %error, "the lease could not be given up; it runs out by itself");
            }
            Err(_) => warn!(
                lease = self.name,
                "the lease could not be given up in time; it runs out by itself"
            ),
        }
    }

    fn spec(&self, before: Option<&LeaseSpec>) -> LeaseSpec {
        let now = MicroTime(jiff::Timestamp::now());
        let ours = before.is_some_and(|spec| spec.holder_identity.as_deref() == Some(&self.identity));
        let transitions = before.and_then(|spec| spec.lease_transitions).unwrap_or(0);
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: Some(
                i32::try_from(self.timing.duration.as_secs().max(1)).unwrap_or(i32::MAX),
            ),
            acquire_time: if ours {
                before.and_then(|spec| spec.acquire_time.clone())
            } else {
                Some(now.clone())
            },
            renew_time: Some(now),
            lease_transitions: Some(if ours {
                transitions
            } else {
                transitions.saturating_add(1)
            }),
            ..LeaseSpec::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lead_ends_by_itself() {
        let lead = Leadership::none();
        assert!(!lead.holds());
        lead.extend(Instant::now() + Duration::from_mins(1));
        assert!(lead.holds());
        lead.extend(Instant::now());
        assert!(!lead.holds());
        assert!(Leadership::always().holds());
    }
}
