//! The layers of tests, run one after the other.

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

use crate::{addons::AddOn, path_tools, paths};

/// The namespace of the tests that change the shared stack, which also share an app.
pub const SHARED_NAMESPACE: &str = "shared-stack";

/// The environment variable with the folder for the logs of API servers.
pub const FAILURES: &str = "OBSERVEDAPP_LAB_FAILURES";
/// Set for tests if their long forms are to run.
const LONG: &str = "OBSERVEDAPP_LAB_LONG";
const SLOWEST: usize = 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Layer {
    /// All that needs no cluster
    Unit,
    /// The operator against a real API server
    Apiserver,
    /// Everything on a real node
    Node,
    /// The add-ons selected by `--with`
    #[value(skip)]
    AddOns,
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unit => "unit",
            Self::Apiserver => "apiserver",
            Self::Node => "node",
            Self::AddOns => "add-ons",
        })
    }
}

/// The options of a test run.
#[derive(Debug, Clone, Default)]
pub struct RunOptions {
    /// Add-ons to install and test.
    pub add_ons: Vec<AddOn>,
    /// Runs failed tests once more: those that then pass count as passed, and are listed.
    pub retry_failed: bool,
    /// Runs the long forms of tests.
    pub long: bool,
}

/// Whether this test is to run its long form: `cargo lab test --long`.
pub fn is_long() -> bool {
    env::var_os(LONG).is_some()
}

/// The results of a test run.
#[derive(Debug, Default)]
pub struct Tally {
    passed: usize,
    failed: Vec<String>,
    /// Failed, and passed on retry.
    flaky: Vec<String>,
    durations: Vec<(Duration, String)>,
}

impl Tally {
    pub fn passed(&self) -> usize {
        self.passed
    }

    pub fn failed(&self) -> &[String] {
        &self.failed
    }

    /// Adds a check outside of cargo, or a layer that could not run.
    pub fn check(&mut self, name: &str, outcome: Result<()>) {
        match outcome {
            Ok(()) => self.passed += 1,
            Err(error) => {
                eprintln!("{name}: {error:#}");
                self.failed.push(name.to_owned());
            }
        }
    }

    /// Merges a retry of the failed tests; returns whether one of them passed.
    fn merge_retry(&mut self, failed_once: Vec<String>, second: &Self) -> bool {
        let (failed, flaky): (Vec<_>, Vec<_>) = failed_once
            .into_iter()
            .partition(|name| second.passed == 0 || second.failed.contains(name));
        let any = !flaky.is_empty();
        self.passed += flaky.len();
        self.failed.extend(failed);
        self.flaky.extend(flaky);
        any
    }

    /// Parses a line of a test program's output.
    fn read(&mut self, layer: Layer, line: &str) {
        let Some((name, outcome)) = line
            .strip_prefix("test ")
            .and_then(|rest| rest.rsplit_once(" ... "))
        else {
            return;
        };
        let (result, time) = outcome.split_once(" <").unwrap_or((outcome, ""));
        let name = format!("{layer}: {name}");
        match result.trim() {
            "ok" => self.passed += 1,
            result if result.starts_with("FAILED") => self.failed.push(name.clone()),
            _ => return,
        }
        if let Some(seconds) = time.strip_suffix("s>").and_then(|seconds| seconds.parse().ok()) {
            self.durations.push((Duration::from_secs_f64(seconds), name));
        }
    }

    /// The last line has the counts.
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
        for (heading, names) in [
            ("\nfailed, and passed on retry:", &self.flaky),
            ("\nfailed:", &self.failed),
        ] {
            if !names.is_empty() {
                lines.push(heading.to_owned());
            }
            lines.extend(names.iter().map(|name| format!("  {name}")));
        }
        lines.push(format!("\n{} passed, {} failed", self.passed, self.failed.len()));
        lines.join("\n")
    }
}

/// Runs the tests of one layer, against `kubeconfig` if they use a cluster; the user's own KUBECONFIG is not passed on.
/// Returns the folder with logs if a test failed.
pub async fn run(
    layer: Layer,
    kubeconfig: Option<&Path>,
    options: &RunOptions,
    tally: &mut Tally,
) -> Result<Option<PathBuf>> {
    println!("\n==> {layer} tests");
    let folder = failure_folder(layer)?;
    let before = tally.failed.len();
    // The tests of an add-on are in the module of its name.
    let of_add_ons: Vec<&str> = ["--test", "addons", "--"]
        .into_iter()
        .chain(options.add_ons.iter().map(|add_on| add_on.name()))
        .collect();
    let runs: &[&[&str]] = match layer {
        // Doc tests do not report durations.
        Layer::Unit => &[&["--lib", "--bins", "--tests", "--examples"], &["--doc"]],
        // By test names, not by package: with `-p`, other features are resolved, and most dependencies are rebuilt.
        Layer::Apiserver => &[&["--test", "apiserver-*"]],
        Layer::Node => &[&["--test", "node*"]],
        Layer::AddOns => &[&of_add_ons],
    };
    let mut output = String::new();
    let mut flaky = false;
    for args in runs {
        let failed = tally.failed.len();
        let succeeded = cargo_test(layer, args, kubeconfig, options, &folder, tally, &mut output).await?;
        if !succeeded && tally.failed.len() == failed {
            // It did not compile, or a test ended the process.
            tally
                .failed
                .push(format!("{layer}: cargo test {}", args.join(" ")));
        } else if options.retry_failed && tally.failed.len() > failed {
            let failed_once = tally.failed.split_off(failed);
            let mut second = Tally::default();
            let args = retry_args(layer, args, &failed_once);
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            println!("\n==> once more: {}", failed_once.join(", "));
            cargo_test(
                layer,
                &args,
                kubeconfig,
                options,
                &folder,
                &mut second,
                &mut output,
            )
            .await?;
            flaky |= tally.merge_retry(failed_once, &second);
        }
    }
    if tally.failed.len() == before && !flaky {
        paths::remove_dir(&folder)?;
        return Ok(None);
    }
    paths::write(&folder.join("output.txt"), output)?;
    println!("logs of the failed tests: {}", folder.display());
    Ok(Some(folder))
}

/// The arguments to run only these tests again.
fn retry_args(layer: Layer, args: &[&str], names: &[String]) -> Vec<String> {
    let selected = args.iter().take_while(|arg| **arg != "--");
    let prefix = format!("{layer}: ");
    selected
        .map(|arg| (*arg).to_owned())
        .chain(["--".to_owned(), "--exact".to_owned()])
        .chain(
            names
                .iter()
                .map(|name| name.strip_prefix(&prefix).unwrap_or(name).to_owned()),
        )
        .collect()
}

async fn cargo_test(
    layer: Layer,
    args: &[&str],
    kubeconfig: Option<&Path>,
    options: &RunOptions,
    folder: &Path,
    tally: &mut Tally,
    output: &mut String,
) -> Result<bool> {
    let mut cargo = Command::from(lab_tools::cargo());
    cargo
        .current_dir(paths::workspace_dir())
        .env(FAILURES, folder)
        .env_remove("KUBECONFIG")
        .stdin(Stdio::null());
    if let Some(kubeconfig) = kubeconfig {
        // The walkthrough runs `kubectl`, which must be the pinned one.
        path_tools::offer().await?;
        let path = env::var_os("PATH").unwrap_or_default();
        let path = env::join_paths(std::iter::once(path_tools::dir()).chain(env::split_paths(&path)))?;
        cargo.env("KUBECONFIG", kubeconfig).env("PATH", path);
    }
    if options.long {
        cargo.env(LONG, "1");
    }
    let timed = !args.contains(&"--doc");
    if timed {
        // The stable test harness reports durations only with this variable. It is set for test programs alone: set for
        // the compiler, it would cause a full rebuild.
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
        // They mostly wait for an API server, Prometheus and Alertmanager.
        Layer::Apiserver | Layer::Node | Layer::AddOns => {
            cargo.arg("--test-threads=8");
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

/// Creates the folder for the logs of failed tests.
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
    fn a_test_that_passes_only_on_retry_is_listed() {
        let mut tally = Tally::default();
        tally.read(Layer::Node, "test steady ... ok <1.000s>");
        let failed_once = vec!["node: shaky".to_owned(), "node: broken".to_owned()];
        assert_eq!(
            retry_args(Layer::Node, &["--test", "node*"], &failed_once),
            ["--test", "node*", "--", "--exact", "shaky", "broken"]
        );
        let mut second = Tally::default();
        second.read(Layer::Node, "test shaky ... ok <1.000s>");
        second.read(Layer::Node, "test broken ... FAILED <1.000s>");
        assert!(tally.merge_retry(failed_once, &second));
        let summary = tally.summary();
        assert!(summary.contains("passed on retry:\n  node: shaky"), "{summary}");
        assert!(
            summary.ends_with("failed:\n  node: broken\n\n2 passed, 1 failed"),
            "{summary}"
        );
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
