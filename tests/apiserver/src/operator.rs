//! Operators that run in the test's process and can be killed.

use std::time::Duration;

use clap::{Args, Command, FromArgMatches};
use observedapp_controller::{LeaseTiming, Operator, RunError, RunOptions, Timing};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{Proxy, TestNamespace};

/// Parses the arguments of `observedapp run`; the metrics port is chosen by the kernel unless they name one.
pub fn options(arguments: &[&str]) -> RunOptions {
    let command = RunOptions::augment_args(Command::new("run").args_override_self(true));
    let arguments = ["run", "--listen=127.0.0.1:0"].iter().chain(arguments);
    let matches = command.get_matches_from(arguments);
    RunOptions::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

/// Short intervals, so that tests need not wait for periodic work.
pub fn short_intervals() -> Timing {
    Timing {
        // Long enough for a busy machine.
        lease: LeaseTiming {
            duration: Duration::from_secs(8),
            deadline: Duration::from_secs(6),
            period: Duration::from_millis(500),
        },
        resync: Duration::from_secs(10),
        discovery: Duration::from_secs(1),
        poll: Duration::from_secs(1),
        soon: Duration::from_secs(1),
        silence: Duration::from_secs(15),
    }
}

/// A running operator.
#[derive(Debug)]
pub struct RunningOperator {
    task: Option<JoinHandle<Result<(), RunError>>>,
    stop: CancellationToken,
}

impl RunningOperator {
    /// Starts an operator for this namespace behind a proxy, which injects no faults until a test asks for some.
    pub async fn behind_proxy(ns: &TestNamespace) -> anyhow::Result<(Proxy, Self)> {
        let proxy = Proxy::start(ns).await?;
        let operator = Self::start(options(&["--namespaces", &ns.name]), proxy.config());
        Ok((proxy, operator))
    }

    pub fn start(options: RunOptions, config: kube::Config) -> Self {
        Self::start_timed(options, config, short_intervals())
    }

    pub fn start_timed(options: RunOptions, config: kube::Config, timing: Timing) -> Self {
        let stop = CancellationToken::new();
        let operator = Operator::new(options, config).timing(timing);
        let task = tokio::spawn(operator.run(stop.clone()));
        Self {
            task: Some(task),
            stop,
        }
    }

    /// Aborts it without a shutdown.
    pub async fn kill(mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
            let _ = task.await;
        }
    }

    /// Shuts it down and waits until it has ended.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        self.stop.cancel();
        if let Some(task) = self.task.take() {
            task.await??;
        }
        Ok(())
    }
}

impl Drop for RunningOperator {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}
