//! How often Prometheus is asked: soon after something was changed, for somebody waits to see what comes of it, and
//! less and less often, down to a fixed period, the longer all is as it was.

use std::time::Duration;

/// A poll may take one part in so many of the time.
const SHARE: u32 = 20;
/// However slowly Prometheus answers, it is asked this often.
const LONGEST: Duration = Duration::from_mins(1);

#[derive(Debug)]
pub struct PollInterval {
    soon: Duration,
    rest: Duration,
    next: Duration,
}

impl PollInterval {
    pub fn new(soon: Duration, rest: Duration) -> Self {
        Self {
            soon: soon.min(rest),
            rest,
            next: rest,
        }
    }

    /// Something was changed; the last poll took so long. Gives how long to wait from now on at most.
    pub fn shorten(&mut self, took: Duration) -> Duration {
        self.next = self.soon;
        self.at_least(took)
    }

    /// How long to wait after a poll that took so long.
    pub fn wait(&mut self, took: Duration) -> Duration {
        let wait = self.at_least(took);
        self.next = (self.next * 2).min(self.rest);
        wait
    }

    fn at_least(&self, took: Duration) -> Duration {
        self.next.max((took * SHARE).min(LONGEST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(interval: &mut PollInterval, took: Duration) -> [u64; 4] {
        std::array::from_fn(|_| interval.wait(took).as_secs())
    }

    #[test]
    fn it_asks_soon_after_a_change_and_then_less_and_less_often() {
        let mut interval = PollInterval::new(Duration::from_secs(5), Duration::from_secs(30));
        assert_eq!(
            waits(&mut interval, Duration::ZERO),
            [30, 30, 30, 30],
            "nothing has changed"
        );
        assert_eq!(interval.shorten(Duration::ZERO).as_secs(), 5);
        assert_eq!(waits(&mut interval, Duration::ZERO), [5, 10, 20, 30]);
    }

    #[test]
    fn a_prometheus_that_answers_slowly_is_asked_a_twentieth_of_the_time() {
        let mut interval = PollInterval::new(Duration::from_secs(5), Duration::from_secs(15));
        assert_eq!(interval.shorten(Duration::from_secs(1)).as_secs(), 20);
        assert_eq!(waits(&mut interval, Duration::from_secs(2)), [40; 4]);
        assert_eq!(waits(&mut interval, Duration::from_secs(20)), [60; 4]);
    }
}
