//! `kubectl observed`: what the resources say, for people in front of a terminal.
//!
//! `cluster` and `last_day` fetch; `history`, `report`, `remedy`, `screen` and `table` are pure and turn it into text.

mod api_errors;
mod cluster;
mod complete;
mod history;
mod last_day;
mod remedy;
mod report;
mod screen;
mod table;
mod terminal;

use std::ffi::OsStr;
use std::io::IsTerminal;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Parser, Subcommand, ValueEnum};
use jiff::Timestamp;
use observedapp_api::ObservedApp;

use self::cluster::{Apps, Which};
pub(crate) use self::cluster::{Cluster, ClusterArgs};
use self::history::History;
pub(crate) use self::last_day::Source;
use self::report::Report;
use self::terminal::Terminal;
use crate::output;

/// The name under which kubectl finds its plugin.
const PLUGIN: &str = "kubectl-observed";
/// The name under which kubectl finds what completes its plugin's command line.
const COMPLETION: &str = "kubectl_complete-observed";
/// On a terminal ages and sparklines move on even where nothing else does.
const REDRAW: Duration = Duration::from_secs(15);
/// Where a watched screen begins: top left, with everything after it gone.
const HOME: &str = "\x1b[H\x1b[J";

/// How an app stands, and which of them is the worst off.
#[derive(Debug, Parser)]
#[command(
    name = PLUGIN,
    bin_name = "kubectl observed",
    version,
    propagate_version = true,
    arg_required_else_help = true,
    after_help = "Begin with:
  kubectl observed top -A             which app has the least error budget left?
  kubectl observed status tasks       how does this one stand, and what is to be done?
  kubectl observed history tasks      what ran when, and what did it cost?

Under the name kubectl_complete-observed on your PATH this program completes these commands in kubectl:
  ln -s \"$(command -v kubectl-observed)\" ~/.local/bin/kubectl_complete-observed"
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show one app on one screen: replicas, database, objectives with their budgets, firing alerts, and for every
    /// condition that is not True what to do about it.
    #[command(
        after_help = "All of it comes from the app's status, except the sparklines: how fast each budget burned in the last day, which
Prometheus is asked for, through the API server (that needs the right to list prometheuses.monitoring.coreos.com and to
get services/proxy) or at the address that --prometheus gives.

Examples:
  kubectl observed status tasks                         in the context's namespace
  kubectl observed status tasks -n shop --watch         again after every change
  kubectl observed status tasks -o json | jq -r '.conditions[].remedy // empty'
  kubectl observed status tasks --prometheus http://localhost:9090"
    )]
    Status(StatusArgs),
    /// List all apps, the one with the least error budget left first.
    #[command(
        after_help = "Each line shows the app's objective with the least budget left, as `kubectl get oapp` does.

Examples:
  kubectl observed top                                  in the context's namespace
  kubectl observed top -A --watch                       all namespaces, again after every change
  kubectl observed top -A -o json | jq -r '.[0].name'   who is worst off"
    )]
    Top(TopArgs),
    /// List an app's releases, the newest last: what ran when, the verdict on each, and what it cost of the error budget.
    #[command(
        after_help = "Releases are recorded where spec.rollout.guard is set. Elsewhere the Deployment's ReplicaSets are listed, which needs
the right to list replicasets.apps.

Examples:
  kubectl observed history tasks                        in the context's namespace
  kubectl observed history tasks --watch                again after every change
  kubectl observed history tasks -o json | jq -r '.releases[] | select(.phase == \"RolledBack\").verdict'"
    )]
    History(AppArgs),
}

#[derive(clap::Args, Debug)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    app: AppArgs,
    /// Where Prometheus answers; without it, it is found from the cluster's Prometheus object.
    #[arg(long, env = "PROMETHEUS_URL", value_name = "URL")]
    prometheus: Option<String>,
    /// A bearer token for the address that --prometheus gives.
    #[arg(long, env = "PROMETHEUS_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    token: Option<String>,
}

#[derive(clap::Args, Debug)]
pub(crate) struct AppArgs {
    /// The app's name, also as kubectl prints it: `oapp/tasks`.
    #[arg(value_parser = app_name)]
    name: String,
    #[command(flatten)]
    cluster: ClusterArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(clap::Args, Debug)]
pub(crate) struct TopArgs {
    #[command(flatten)]
    cluster: ClusterArgs,
    /// All namespaces.
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    all_namespaces: bool,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(clap::Args, Clone, Copy, Debug)]
struct OutputArgs {
    /// For people or for programs.
    #[arg(short, long, value_enum, default_value_t = Format::Text, value_name = "FORMAT")]
    output: Format,
    /// Show it again after every change, until interrupted; in JSON, one line each time.
    #[arg(short, long)]
    watch: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Drawn for a terminal; without colours where it is piped, or NO_COLOR is set.
    Text,
    /// All of it, as JSON.
    Json,
}

/// Takes `oapp/tasks`, and every other way in which kubectl names the resource, for `tasks`.
fn app_name(text: &str) -> Result<String, String> {
    let Some((kind, name)) = text.split_once('/') else {
        return Ok(text.to_owned());
    };
    let resource = kind.split('.').next().unwrap_or_default().to_lowercase();
    if ["oapp", "observedapp", "observedapps"].contains(&resource.as_str()) {
        Ok(name.to_owned())
    } else {
        Err(format!(
            "{kind} is another resource: give the name of an ObservedApp"
        ))
    }
}

/// How this program was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Called {
    /// By its own name.
    Directly,
    /// As kubectl calls its plugin.
    Plugin,
    /// As kubectl asks its plugin what could come next on the command line.
    Completion,
}

impl Called {
    pub fn by(name: Option<&OsStr>) -> Self {
        let stem = name.map(Path::new).and_then(Path::file_stem);
        match stem.and_then(OsStr::to_str) {
            Some(PLUGIN) => Self::Plugin,
            Some(COMPLETION) => Self::Completion,
            _ => Self::Directly,
        }
    }
}

pub(crate) fn run(command: &Command) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the runtime cannot be started")?;
    runtime.block_on(async {
        match command {
            Command::Status(args) => status(args).await,
            Command::Top(args) => top(args).await,
            Command::History(args) => history(args).await,
        }
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Answers kubectl, which wants to know what could come next.
pub(crate) fn complete() -> anyhow::Result<ExitCode> {
    let words: Vec<String> = std::env::args_os()
        .skip(1)
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the runtime cannot be started")?;
    output::print(&runtime.block_on(complete::answer(&words)))?;
    Ok(ExitCode::SUCCESS)
}

async fn status(args: &StatusArgs) -> anyhow::Result<()> {
    let cluster = Cluster::connect(&args.app.cluster).await?;
    // First, because it fails with the better explanations.
    let apps = cluster.read(&one(&cluster, &args.app.name)).await?;
    let source = Source::find(&cluster, args.prometheus.as_deref(), args.token.clone()).await;
    let print = async |app: &ObservedApp| {
        let report = Report::of(app, &source.last_day(app).await);
        args.app.output.print(&report, |terminal| {
            screen::draw(&report, Timestamp::now(), terminal)
        })
    };
    show(&cluster, &args.app.name, args.app.output, &apps, print).await
}

async fn history(args: &AppArgs) -> anyhow::Result<()> {
    let cluster = Cluster::connect(&args.cluster).await?;
    let apps = cluster.read(&one(&cluster, &args.name)).await?;
    let print = async |app: &ObservedApp| {
        let is_recorded = app
            .status
            .as_ref()
            .is_some_and(|status| !status.releases.is_empty());
        let replica_sets = if is_recorded {
            Vec::new()
        } else {
            cluster.replica_sets(app).await?
        };
        let history = History::of(app, &replica_sets);
        if history.is_empty() {
            eprintln!(
                "nothing of {} has run yet: `kubectl observed status {0}` says why",
                args.name
            );
        }
        args.output.print(&history, |terminal| {
            history::draw(&history, Timestamp::now(), terminal)
        })
    };
    show(&cluster, &args.name, args.output, &apps, print).await
}

fn one(cluster: &Cluster, name: &str) -> Which {
    Which::One {
        namespace: cluster.namespace.clone(),
        name: name.to_owned(),
    }
}

/// Prints one app, and again after every change if that is asked for.
async fn show(
    cluster: &Cluster,
    name: &str,
    output: OutputArgs,
    apps: &Apps,
    mut print: impl AsyncFnMut(&ObservedApp) -> anyhow::Result<ControlFlow<()>>,
) -> anyhow::Result<()> {
    if output.watch {
        let show = async |apps: &Apps| {
            let Some(app) = apps.values().next() else {
                bail!("{name} is deleted");
            };
            print(app).await
        };
        return cluster.follow(&one(cluster, name), redraw(), show).await;
    }
    for app in apps.values() {
        let _ = print(app).await?;
    }
    Ok(())
}

async fn top(args: &TopArgs) -> anyhow::Result<()> {
    let cluster = Cluster::connect(&args.cluster).await?;
    let which = if args.all_namespaces {
        Which::All
    } else {
        Which::In(cluster.namespace.clone())
    };
    let apps = cluster.read(&which).await?;
    let print = |apps: &Apps| {
        let rows = table::rows(apps.values());
        if rows.is_empty() {
            match &which {
                Which::In(namespace) => {
                    eprintln!("there is no ObservedApp in the namespace {namespace}; -A looks in all");
                }
                _ => eprintln!("there is no ObservedApp in any namespace"),
            }
        }
        args.output.print(&rows, |terminal| {
            if rows.is_empty() {
                String::new()
            } else {
                table::draw(&rows, terminal)
            }
        })
    };
    if args.output.watch {
        let show = async |apps: &Apps| print(apps);
        return cluster.follow(&which, redraw(), show).await;
    }
    print(&apps).map(|_| ())
}

impl OutputArgs {
    fn print(
        self,
        value: &impl serde::Serialize,
        draw: impl FnOnce(Terminal) -> String,
    ) -> anyhow::Result<ControlFlow<()>> {
        let text = match self.output {
            Format::Json if self.watch => format!("{}\n", serde_json::to_string(value)?),
            Format::Json => format!("{}\n", serde_json::to_string_pretty(value)?),
            Format::Text => {
                let rendered = draw(Terminal::of_stdout());
                match (self.watch, std::io::stdout().is_terminal()) {
                    (true, true) => format!("{HOME}{rendered}"),
                    // What is piped is kept, one screen after the other.
                    (true, false) => format!("{rendered}---\n"),
                    (false, _) => rendered,
                }
            }
        };
        Ok(output::print_on(&text)?)
    }
}

/// A pipe gets changes only.
fn redraw() -> Option<Duration> {
    std::io::stdout().is_terminal().then_some(REDRAW)
}
