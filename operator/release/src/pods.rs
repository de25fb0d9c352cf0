//! The pods of a release, and those beside them.

use crate::situation::{Pod, Situation, Standing};

/// So many restarts are no accident.
const RESTARTS: i32 = 3;

/// The pods of the release, and all others; those that end do not count.
pub struct Pods<'a> {
    pub new: Vec<&'a Pod>,
    pub old: Vec<&'a Pod>,
}

impl<'a> Pods<'a> {
    pub fn of(situation: &Situation<'a>, number: u64) -> Self {
        let living = situation
            .pods
            .iter()
            .filter(|pod| pod.standing != Standing::Ending);
        let (new, old) = living.partition(|pod| pod.release == Some(number));
        Self { new, old }
    }

    pub fn ready(&self) -> i32 {
        let ready = self.new.iter().filter(|pod| pod.standing == Standing::Ready);
        i32::try_from(ready.count()).unwrap_or(i32::MAX)
    }

    pub fn is_ready(&self) -> bool {
        self.ready() > 0
    }

    /// Whether a new pod ends again and again while all old ones serve.
    pub fn keeps_restarting(&self) -> Option<String> {
        if !self.old.iter().all(|pod| pod.standing == Standing::Ready) {
            return None;
        }
        let pod = self.new.iter().find(|pod| pod.restarts >= RESTARTS)?;
        Some(format!(
            "its pod {} was started again {} times",
            pod.name, pod.restarts
        ))
    }
}
