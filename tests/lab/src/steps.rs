//! Runs steps in the order of their dependencies, independent ones in parallel.

use std::{
    collections::{BTreeMap, BTreeSet},
    pin::Pin,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow};
use tokio::task::JoinSet;

type Work = Pin<Box<dyn Future<Output = Result<()>> + Send>>;

struct Step {
    needs: &'static [&'static str],
    work: Work,
}

/// A change of a step's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    Started,
    Done(Duration),
    Failed,
}

/// Steps by name. Each is idempotent, so that a run can be resumed however the last one ended.
#[derive(Default)]
pub struct Steps {
    steps: BTreeMap<&'static str, Step>,
}

impl std::fmt::Debug for Steps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.steps.keys()).finish()
    }
}

impl Steps {
    /// Adds a step, which starts when all steps in `needs` are done.
    pub fn add(
        &mut self,
        name: &'static str,
        needs: &'static [&'static str],
        work: impl Future<Output = Result<()>> + Send + 'static,
    ) {
        self.steps.insert(
            name,
            Step {
                needs,
                work: Box::pin(work),
            },
        );
    }

    /// Runs all steps. The first failure cancels the running ones.
    pub async fn run(mut self, mut report: impl FnMut(&'static str, Event)) -> Result<()> {
        let mut done = BTreeSet::new();
        let mut running = JoinSet::new();
        loop {
            let ready: Vec<&'static str> = self
                .steps
                .iter()
                .filter(|(_, step)| step.needs.iter().all(|need| done.contains(need)))
                .map(|(name, _)| *name)
                .collect();
            for name in ready {
                let Some(step) = self.steps.remove(name) else {
                    continue;
                };
                report(name, Event::Started);
                running.spawn(async move {
                    let start = Instant::now();
                    (name, step.work.await, start.elapsed())
                });
            }
            let Some(finished) = running.join_next().await else {
                break;
            };
            let (name, outcome, took) = finished?;
            if let Err(error) = outcome {
                report(name, Event::Failed);
                return Err(error).with_context(|| format!("step `{name}`"));
            }
            report(name, Event::Done(took));
            done.insert(name);
        }
        match self.steps.first_key_value() {
            None => Ok(()),
            Some((name, step)) => Err(anyhow!(
                "step `{name}` needs {:?}, which do not exist",
                step.needs
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::{Arc, Mutex};

    use anyhow::bail;
    use tokio::sync::Barrier;

    use super::*;

    #[tokio::test]
    async fn independent_steps_run_side_by_side_and_the_others_in_order() {
        let order = Arc::new(Mutex::new(Vec::new()));
        // Both must run at the same time.
        let meeting = Arc::new(Barrier::new(2));
        let mut steps = Steps::default();
        for (name, needs) in [("left", &["first"][..]), ("right", &["first"][..])] {
            let meeting = meeting.clone();
            steps.add(name, needs, async move {
                meeting.wait().await;
                Ok(())
            });
        }
        steps.add("first", &[], async { Ok(()) });
        steps.add("last", &["left", "right"], async { Ok(()) });
        steps
            .run(|name, event| {
                if matches!(event, Event::Done(_)) {
                    order.lock().unwrap().push(name);
                }
            })
            .await
            .unwrap();
        let order = order.lock().unwrap();
        assert_eq!((order[0], order[3]), ("first", "last"));
    }

    #[tokio::test]
    async fn a_failure_names_its_step_and_starts_no_other() {
        let mut steps = Steps::default();
        steps.add("bad", &[], async { bail!("the port is taken") });
        steps.add("after", &["bad"], async { panic!("must not start") });
        let error = steps.run(|_, _| ()).await.unwrap_err();
        assert_eq!(format!("{error:#}"), "step `bad`: the port is taken");
    }

    #[tokio::test]
    async fn a_step_that_needs_an_unknown_step_fails() {
        let mut steps = Steps::default();
        steps.add("lonely", &["a typing error"], async { Ok(()) });
        assert!(
            steps
                .run(|_, _| ())
                .await
                .unwrap_err()
                .to_string()
                .contains("lonely")
        );
    }
}
