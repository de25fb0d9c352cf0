//! How long one pod is tried, and in which spans it is compared.

use std::time::Duration;

use crate::situation::Guard;
use crate::step::CREATION;

/// As many spans as the time of a trial is cut into.
const SPANS: u32 = 60;
const SHORTEST_SPAN: Duration = Duration::from_secs(5);

/// The settings of a Deployment that stops after one new pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trial {
    /// The Deployment goes on by itself after this, if nobody is there to judge.
    pub min_ready: Duration,
    pub progress_deadline: Duration,
}

impl Trial {
    pub(crate) fn of(guard: &Guard, served: Duration) -> Self {
        let mut min_ready = guard.bake_time + Duration::from_mins(1);
        // A trial that is prolonged must not end by itself.
        while min_ready < served + Duration::from_mins(1) {
            min_ready *= 2;
        }
        Self {
            min_ready,
            progress_deadline: min_ready + guard.startup + CREATION,
        }
    }
}

/// How long one span of a comparison is: pods are scraped one after the other, and a shorter one would tell them apart by
/// that.
pub fn span(guard: &Guard) -> Duration {
    (guard.bake_time / SPANS).max(guard.scrape).max(SHORTEST_SPAN)
}
