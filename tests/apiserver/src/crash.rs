//! An operator that is killed before or after one of its writes, and started again.

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use anyhow::{Context, Result, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use tokio::sync::Notify;

use crate::{Action, Call, Proxy, RunningOperator, eventually};

/// When the operator is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    Never,
    /// The API server does not get the k-th write.
    Before(usize),
    /// The API server gets the k-th write, and its response is dropped.
    After(usize),
}

/// A crash that is still to come.
#[derive(Clone, Debug)]
pub struct ComingCrash {
    crash: Crash,
    reached: Arc<Notify>,
    /// The number that the proxy gave the write.
    at: Arc<OnceLock<usize>>,
    writes: Arc<AtomicUsize>,
}

impl Crash {
    /// Has the proxy lose the write; only those count that `counts` names.
    pub fn prepare(
        self,
        proxy: &Proxy,
        counts: impl Fn(&Call) -> bool + Send + Sync + 'static,
    ) -> ComingCrash {
        let coming = ComingCrash {
            crash: self,
            reached: Arc::default(),
            at: Arc::default(),
            writes: Arc::default(),
        };
        let hook = coming.clone();
        proxy.on_request(move |call| match call.write.filter(|_| counts(call)) {
            Some(write) => hook.lose(write),
            None => Action::Pass,
        });
        coming
    }
}

impl ComingCrash {
    fn lose(&self, write: usize) -> Action {
        let number = self.writes.fetch_add(1, Ordering::SeqCst) + 1;
        let action = match self.crash {
            Crash::Before(k) if k == number => Action::DropRequest,
            // The response is lost with the operator; the API server has the write.
            Crash::After(k) if k == number => Action::DropResponse,
            _ => return Action::Pass,
        };
        let _ = self.at.set(write);
        self.reached.notify_one();
        action
    }

    /// How many writes there were.
    pub fn writes(&self) -> usize {
        self.writes.load(Ordering::SeqCst)
    }

    /// Kills the operator when the write is reached, and starts another; it returns with an error alone.
    pub async fn kill_and_restart(
        &self,
        proxy: &Proxy,
        first: RunningOperator,
        start: impl Fn() -> RunningOperator,
    ) -> Result<Infallible> {
        self.reached.notified().await;
        if let Crash::After(_) = self.crash {
            let at = self.at.get().copied();
            let write = || proxy.writes().into_iter().find(|call| call.write == at);
            eventually("the API server has the write", async || {
                let answered = write().is_some_and(|call| call.answer.is_some());
                ensure!(answered, "no response yet");
                Ok(())
            })
            .await?;
        }
        first.kill().await;
        let _second = start();
        std::future::pending().await
    }
}

/// Has `run` survive a crash before and after each of so many writes; says how many crashes that were. A crash can cause
/// more writes; only those of the run without a crash are tried.
pub async fn survive_each<T, F>(writes: usize, concurrency: usize, run: impl Fn(Crash) -> F) -> Result<usize>
where
    F: Future<Output = Result<T>>,
{
    let crashes = (1..=writes).flat_map(|k| [Crash::Before(k), Crash::After(k)]);
    let runs = crashes.map(|crash| {
        let run = run(crash);
        async move { run.await.with_context(|| format!("{crash:?}")) }
    });
    stream::iter(runs)
        .buffer_unordered(concurrency)
        .try_fold(0, |count, _| async move { Ok(count + 1) })
        .await
}
