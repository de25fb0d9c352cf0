//! How often Prometheus is asked: soon after something was changed, for somebody waits to see what comes of it, and
//! less and less often the longer all is as it was.

use std::time::Duration;

/// A round of questions may take one part in so many of the time.
const SHARE: u32 = 20;

#[derive(Debug)]
pub struct Pace {
    soon: Duration,
    rest: Duration,
    next: Duration,
}

impl Pace {
    pub fn new(soon: Duration, rest: Duration) -> Self {
        Self {
            soon: soon.min(rest),
            rest,
            next: rest,
        }
    }

    /// Something was changed; the last round took so long. Gives how long to wait from now on at most.
    pub fn quicken(&mut self, took: Duration) -> Duration {
        self.next = self.soon.max(took * SHARE).min(self.rest);
        self.next
    }

    /// How long to wait after a round.
    pub fn wait(&mut self) -> Duration {
        let wait = self.next;
        self.next = (wait * 2).min(self.rest);
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    fn waits(pace: &mut Pace) -> [u64; 4] {
        std::array::from_fn(|_| pace.wait().as_secs())
    }

    #[test]
    fn it_asks_soon_after_a_change_and_then_less_and_less_often() {
        let mut pace = Pace::new(Duration::from_secs(5), MINUTE);
        assert_eq!(waits(&mut pace), [60, 60, 60, 60], "nothing has changed");
        pace.quicken(Duration::ZERO);
        assert_eq!(waits(&mut pace), [5, 10, 20, 40]);
    }

    #[test]
    fn a_prometheus_that_answers_slowly_is_not_asked_all_the_time() {
        let mut pace = Pace::new(Duration::from_secs(5), MINUTE);
        pace.quicken(Duration::from_secs(2));
        assert_eq!(waits(&mut pace), [40, 60, 60, 60]);
        pace.quicken(Duration::from_secs(20));
        assert_eq!(waits(&mut pace)[0], 60);
    }
}
