//! The pods of a release, and those beside them.

use std::collections::BTreeSet;

use crate::plan::OldPods;
use crate::situation::{Pod, Situation, Standing};

/// As many old pods as are compared with.
const OLD_PODS: usize = 50;
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

    pub fn replica_sets_of_new(&self) -> BTreeSet<String> {
        replica_sets(&self.new)
    }

    pub fn to_compare_with(&self) -> OldPods {
        if self.old.len() <= OLD_PODS {
            return OldPods::ReplicaSets(replica_sets(&self.old));
        }
        let names: BTreeSet<String> = self.old.iter().map(|pod| pod.name.clone()).collect();
        OldPods::Names(names.into_iter().take(OLD_PODS).collect())
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

/// A pod is named for its ReplicaSet, with five characters of its own.
fn replica_sets(pods: &[&Pod]) -> BTreeSet<String> {
    let names = pods.iter().filter_map(|pod| pod.name.rsplit_once('-'));
    names.map(|(replica_set, _)| replica_set.to_owned()).collect()
}
