//! The operator as a process, with its own memory and CPU time, and its metrics.

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use apiserver_tests::{TestNamespace, kubeconfig, options};
use lab::ports;

/// If set, this program is the operator that is measured, with these arguments.
const OPERATOR: &str = "BENCH_OPERATOR";
const POLL_PERIOD: Duration = Duration::from_millis(50);

pub fn is_operator() -> bool {
    std::env::var_os(OPERATOR).is_some()
}

/// Runs the operator as `observedapp run` does, against the cluster of the environment.
pub fn operate() -> Result<()> {
    let arguments = std::env::var(OPERATOR)?;
    let arguments: Vec<&str> = arguments.split_whitespace().collect();
    tokio::runtime::Runtime::new()?.block_on(observedapp_controller::run(options(&arguments)))?;
    Ok(())
}

pub struct Process {
    child: Child,
    url: String,
}

impl Process {
    /// Watches all namespaces; its Lease is in this one.
    pub async fn start(ns: &TestNamespace, identity: &str, prometheus: &str) -> Result<Self> {
        let [port] = ports::free()?;
        let arguments = format!(
            "--leader-elect --leader-elect-namespace={} --identity={identity} --prometheus-url={prometheus} --listen=127.0.0.1:{port}",
            ns.name,
        );
        let child = Command::new(std::env::current_exe()?)
            .env(OPERATOR, arguments)
            .env("KUBECONFIG", kubeconfig().await?)
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self {
            child,
            url: format!("http://127.0.0.1:{port}/metrics"),
        })
    }

    /// Sends SIGTERM, as Kubernetes does: the operator releases its Lease.
    pub fn terminate(mut self) -> Result<()> {
        let pid = self.child.id().to_string();
        ensure!(Command::new("kill").args(["-TERM", &pid]).status()?.success());
        self.child.wait()?;
        Ok(())
    }

    /// A memory figure of `/proc/PID/status`, in MiB.
    pub fn memory(&self, what: &str) -> Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find(|line| line.starts_with(what));
        let kib: f64 = line
            .and_then(|line| line.split_whitespace().nth(1))
            .with_context(|| format!("no {what}"))?
            .parse()?;
        Ok(kib / 1024.0)
    }

    /// Seconds of CPU time so far.
    pub fn cpu(&self) -> Result<f64> {
        cpu(self.child.id())
    }

    pub async fn requests(&self) -> Result<Requests> {
        Ok(Requests::read(&self.metrics().await?))
    }

    async fn metrics(&self) -> Result<String> {
        Ok(reqwest::get(&self.url).await?.text().await?)
    }

    async fn wait(&self, holds: impl Fn(&str) -> bool) -> Result<()> {
        while !self.metrics().await.is_ok_and(|metrics| holds(&metrics)) {
            tokio::time::sleep(POLL_PERIOD).await;
        }
        Ok(())
    }

    pub async fn leads(&self) -> Result<()> {
        self.wait(|metrics| metrics.contains("observedapp_leader 1"))
            .await
    }

    pub async fn has_reconciled(&self, apps: usize) -> Result<()> {
        self.wait(|metrics| Requests::read(metrics).reconciles >= apps)
            .await
    }

    /// Waits until there was no request and no reconcile for longer than the backoff of a retry.
    pub async fn is_idle(&self) -> Result<()> {
        let mut last = self.requests().await?;
        loop {
            tokio::time::sleep(Duration::from_secs(10)).await;
            let now = self.requests().await?;
            if now.since(&last).is_nothing() {
                return Ok(());
            }
            last = now;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reconciles and requests so far, by verb; without watches, discovery and the Lease.
#[derive(Debug, Default)]
pub struct Requests {
    pub reconciles: usize,
    by_verb: BTreeMap<String, usize>,
}

impl Requests {
    fn read(metrics: &str) -> Self {
        let mut requests = Self::default();
        for line in metrics.lines() {
            let Some((series, count)) = line.rsplit_once(' ') else {
                continue;
            };
            let count: usize = count.parse().unwrap_or_default();
            let label = |name: &str| {
                series
                    .split_once(&format!("{name}=\""))
                    .and_then(|(_, rest)| rest.split('"').next())
            };
            if series.starts_with("observedapp_reconciles_total") {
                requests.reconciles += count;
            }
            if let (true, Some(verb), Some(kind)) = (
                series.starts_with("observedapp_api_requests_total"),
                label("verb"),
                label("kind"),
            ) && !["watch", "list"].contains(&verb)
                && !["discovery", "leases", "other"].contains(&kind)
            {
                *requests.by_verb.entry(verb.to_owned()).or_default() += count;
            }
        }
        requests
    }

    pub fn since(&self, before: &Self) -> Self {
        let earlier = |verb: &String| before.by_verb.get(verb).copied().unwrap_or_default();
        Self {
            reconciles: self.reconciles - before.reconciles,
            by_verb: self
                .by_verb
                .iter()
                .map(|(verb, count)| (verb.clone(), count - earlier(verb)))
                .collect(),
        }
    }

    pub fn reads(&self) -> usize {
        self.by_verb.get("get").copied().unwrap_or_default()
    }

    pub fn writes(&self) -> usize {
        self.by_verb.values().sum::<usize>() - self.reads()
    }

    fn is_nothing(&self) -> bool {
        self.reconciles + self.reads() + self.writes() == 0
    }

    /// The counts divided by the number of apps.
    pub fn per(&self, apps: usize) -> String {
        let each = |count: usize| count as f64 / apps as f64;
        let verbs = self
            .by_verb
            .iter()
            .map(|(verb, count)| format!("{:.1} {verb}", each(*count)));
        let all: Vec<String> = std::iter::once(format!("{:.1} reconciles", each(self.reconciles)))
            .chain(verbs)
            .collect();
        format!("each app {}", all.join(", "))
    }
}

/// CPU time of the API server and the other children, this program and the operator.
pub struct Servers(BTreeMap<String, f64>);

impl Servers {
    /// CPU time so far of this program and of each child, by name.
    pub fn now() -> Result<Self> {
        let own = std::process::id();
        let own_name = std::fs::read_to_string("/proc/self/comm")?;
        let mut all = BTreeMap::from([("this client".to_owned(), cpu(own)?)]);
        for pid in children(own)? {
            let Ok(name) = std::fs::read_to_string(format!("/proc/{pid}/comm")) else {
                continue; // it has ended
            };
            if name == own_name {
                continue; // this program as the operator or as a floor
            }
            all.insert(name.trim().to_owned(), cpu(pid)?);
        }
        Ok(Self(all))
    }

    /// Seconds of CPU since then, of these and of the operator.
    pub fn since(&self, operator: Option<&Process>) -> Result<String> {
        let now = Self::now()?;
        let operator = operator.map(Process::cpu).transpose()?;
        let servers = self.0.iter().filter_map(|(name, before)| {
            let taken = now.0.get(name)? - before;
            Some(format!("{taken:.1} {name}"))
        });
        let all: Vec<String> = servers
            .chain(operator.map(|taken| format!("{taken:.1} operator")))
            .collect();
        Ok(format!("seconds of CPU: {}", all.join(", ")))
    }
}

/// The direct children of a process.
pub fn children(pid: u32) -> Result<Vec<u32>> {
    let mut all = Vec::new();
    for thread in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let children = std::fs::read_to_string(thread?.path().join("children")).unwrap_or_default();
        for child in children.split_whitespace() {
            all.push(child.parse()?);
        }
    }
    Ok(all)
}

fn cpu(pid: u32) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let ticks = |field: usize| -> Result<f64> { Ok(fields.get(field).context("too few fields")?.parse()?) };
    Ok((ticks(11)? + ticks(12)?) / 100.0)
}
