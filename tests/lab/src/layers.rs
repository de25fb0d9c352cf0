//! `cargo lab test`: the layers of tests, one after the other.

use std::{
    env, fmt, fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result};
use clap::ValueEnum;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
};

use crate::{addons::AddOn, handy, paths};

/// Where a failing test's API servers leave their logs.
pub const FAILURES: &str = "OBSERVEDAPP_LAB_FAILURES";
const SLOWEST: usize = 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Layer {
    /// All that needs no cluster
    Unit,
    /// The operator against a real API server
    Apiserver,
    /// Everything on a real node
    Node,
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unit => "unit",
            Self::Apiserver => "apiserver",
            Self::Node => "node",
        })
    }
}

/// What the tests that ran came to.
#[derive(Debug, Default)]
pub struct Tally {
    passed: usize,
    failed: Vec<String>,
    durations: Vec<(Duration, String)>,
}

impl Tally {
    pub fn passed(&self) -> usize {
        self.passed
    }

    pub fn failed(&self) -> &[String] {
        &self.failed
    }

    /// Counts one check that is not cargo's, or a layer that could not run.
    pub fn check(&mut self, name: &str, outcome: Result<()>) {
        match outcome {
            Ok(()) => self.passed += 1,
            Err(error) => {
                eprintln!("{name}: {error:#}");
                self.failed.push(name.to_owned());
            }
        }
    }

    /// Reads one line of a test program's output.
    fn read(&mut self, layer: Layer, line: &str) {
        let Some((name, outcome)) = line
            .strip_prefix("test ")
            .and_then(|rest| rest.rsplit_once(" ... "))
        else {
            return;
        };
        let (verdict, time) = outcome.split_once(" <").unwrap_or((outcome, ""));
        let name = format!("{layer}: {name}");
        match verdict.trim() {
            "ok" => self.passed += 1,
            verdict if verdict.starts_with("FAILED") => self.failed.push(name.clone()),
            _ => return,
        }
        if let Some(seconds) = time.strip_suffix("s>").and_then(|seconds| seconds.parse().ok()) {
            self.durations.push((Duration::from_secs_f64(seconds), name));
        }
    }

    /// Ends with the plain line that says what came of it.
    pub fn summary(&self) -> String {
        let mut slowest: Vec<_> = self.durations.iter().collect();
        slowest.sort_by(|a, b| b.cmp(a));
        let mut lines = Vec::new();
        if !slowest.is_empty() {
            lines.push("\nthe slowest tests:".to_owned());
        }
        for (took, name) in slowest.into_iter().take(SLOWEST) {
            lines.push(format!("  {:7.2}s  {name}", took.as_secs_f64()));
        }
        if !self.failed.is_empty() {
            lines.push("\nfailed:".to_owned());
        }
        lines.extend(self.failed.iter().map(|name| format!("  {name}")));
        lines.push(format!("\n{} passed, {} failed", self.passed, self.failed.len()));
        lines.join("\n")
    }
}

/// Runs the tests of one layer. `kubeconfig` is the cluster they are to use, where they use one; whatever the user's
/// own environment names is hidden from them. Gives the folder of what explains the failures, if there were any.
pub async fn run(
    layer: Layer,
    kubeconfig: Option<&Path>,
    add_ons: &[AddOn],
    tally: &mut Tally,
) -> Result<Option<PathBuf>> {
    println!("\n==> {layer} tests");
    let folder = failure_folder(layer)?;
    let before = tally.failed.len();
    // The tests of an add-on are in a module of its name.
    let of_add_ons: Vec<&str> = ["--test", "addons", "--"]
        .into_iter()
        .chain(add_ons.iter().map(|add_on| add_on.name()))
        .collect();
    let runs: &[&[&str]] = match layer {
        // Doc tests come from another program, which does not tell how long each took.
        Layer::Unit => &[&["--lib", "--bins", "--tests", "--examples"], &["--doc"]],
        // By the names of the tests, not by package: a package alone would be built with other features, and with it
        // most of what the layers before have compiled.
        Layer::Apiserver => &[&["--test", "apiserver-*"]],
        Layer::Node if add_ons.is_empty() => &[&["--test", "node*"]],
        Layer::Node => &[&["--test", "node*"], &of_add_ons],
    };
    let mut output = String::new();
    for args in runs {
        let failed = tally.failed.len();
        let succeeded = cargo_test(layer, args, kubeconfig, &folder, tally, &mut output).await?;
        if !succeeded && tally.failed.len() == failed {
            // It did not compile, or a test ended the whole program.
            tally
                .failed
                .push(format!("{layer}: cargo test {}", args.join(" ")));
        }
    }
    if tally.failed.len() == before {
        paths::remove_dir(&folder)?;
        return Ok(None);
    }
    paths::write(&folder.join("output.txt"), output)?;
    println!("what explains the failures: {}", folder.display());
    Ok(Some(folder))
}

async fn cargo_test(
    layer: Layer,
    args: &[&str],
    kubeconfig: Option<&Path>,
    folder: &Path,
    tally: &mut Tally,
    output: &mut String,
) -> Result<bool> {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .current_dir(paths::workspace_dir())
        .env(FAILURES, folder)
        .env_remove("KUBECONFIG")
        .stdin(Stdio::null());
    if let Some(kubeconfig) = kubeconfig {
        // The walkthrough types `kubectl`: it is to be the pinned one, whatever else the machine has.
        handy::offer().await?;
        let path = env::var_os("PATH").unwrap_or_default();
        let path = env::join_paths(std::iter::once(handy::dir()).chain(env::split_paths(&path)))?;
        cargo.env("KUBECONFIG", kubeconfig).env("PATH", path);
    }
    let timed = !args.contains(&"--doc");
    if timed {
        // The stable test harness tells durations only when asked this way. The variable is set for the test
        // programs alone: for the compiler it would mean other flags, hence compiling everything anew.
        cargo.args([
            "--config",
            "target.'cfg(unix)'.runner = ['env', 'RUSTC_BOOTSTRAP=1']",
        ]);
    }
    cargo.args(["test", "--no-fail-fast"]).args(args);
    if !args.contains(&"--") {
        cargo.arg("--");
    }
    if timed {
        cargo.args(["-Zunstable-options", "--report-time"]);
    }
    match layer {
        Layer::Unit => {}
        // They wait for an API server more than they work.
        Layer::Apiserver => {
            cargo.arg("--test-threads=8");
        }
        // They share one node of two cores, and wait for Prometheus and Alertmanager more than they work.
        Layer::Node => {
            cargo.arg("--test-threads=4");
        }
    }
    let mut child = cargo
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("cannot run `cargo test`")?;
    let stdout = child.stdout.take().context("cargo has no output")?;
    let mut lines = BufReader::new(stdout).lines();
    while let Some(line) = lines.next_line().await? {
        println!("{line}");
        tally.read(layer, &line);
        output.push_str(&line);
        output.push('\n');
    }
    Ok(child.wait().await?.success())
}

/// A folder for what explains this run's failures.
fn failure_folder(layer: Layer) -> Result<PathBuf> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let folder = paths::state_dir().join("failures").join(format!("{now}-{layer}"));
    fs::create_dir_all(&folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_output_of_a_test_program_is_counted_and_timed() {
        let mut tally = Tally::default();
        for line in [
            "running 3 tests",
            "test quick ... ok <0.001s>",
            "test slow::one - should panic ... ok <2.500s>",
            "test broken ... FAILED <0.100s>",
            "test left_out ... ignored",
            "test result: FAILED. 2 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 2.60s",
        ] {
            tally.read(Layer::Unit, line);
        }
        let summary = tally.summary();
        assert!(summary.ends_with("\n2 passed, 1 failed"), "{summary}");
        assert!(summary.contains("2.50s  unit: slow::one"), "{summary}");
        assert_eq!(tally.failed(), ["unit: broken"]);
    }

    #[test]
    fn only_the_ten_slowest_are_named() {
        let mut tally = Tally::default();
        for n in 0..30 {
            tally.read(Layer::Unit, &format!("test t{n:02} ... ok <{n}.000s>"));
        }
        let summary = tally.summary();
        assert!(summary.contains("t20") && !summary.contains("t19"), "{summary}");
    }
}
