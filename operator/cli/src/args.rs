//! What a user types.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use observedapp_controller::RunOptions;
use observedapp_desired::{Kind, Settings};

use crate::app::Preview;

/// One resource for an app, its database, metrics, dashboards and objectives.
#[derive(Debug, Parser)]
#[command(
    name = "observedapp",
    version,
    propagate_version = true,
    arg_required_else_help = true,
    after_help = "Begin with:
  observedapp check app.yaml       is it right?
  observedapp render app.yaml      what would be made of it?
  kubectl apply -f app.yaml        make it, on a cluster where the operator runs
  observedapp status NAME          how does it stand?

Under the name kubectl-observed on your PATH (a link will do) this program is the kubectl plugin:
  ln -s \"$(command -v observedapp)\" ~/.local/bin/kubectl-observed
  kubectl observed status NAME"
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Say what is wrong with apps, without a cluster: all problems at once, each with its line and a remedy.
    #[command(
        after_help = "Each line reads FILE:LINE: FIELD: PROBLEM: REMEDY. The exit code is 1 if there is a problem, or no app.
What only a cluster knows, such as a host that another app holds, the condition Valid says once the app is applied.

Examples:
  observedapp check app.yaml                            one file
  observedapp check deploy/ other.yaml                  every YAML and JSON file below a folder, and one more
  kustomize build . | observedapp check -               what another tool makes; other kinds are skipped
  observedapp check -o json app.yaml | jq '.[].field'   for programs"
    )]
    Check(CheckArgs),
    /// Print every object that the operator would make, without a cluster: for review, policy checks, `kubectl diff`.
    #[command(
        after_help = "A preview, and no second way to install: Secrets that the operator draws are printed without data, owner references
are left out, and the APIs of Prometheus, CloudNativePG and Gateways are taken to be there unless --without says otherwise.

Examples:
  observedapp render app.yaml                           a stream of YAML in the order of its application
  observedapp render app.yaml --only PrometheusRule     only the rules
  observedapp render app.yaml --output-dir out/         one file an object
  observedapp render app.yaml | kubectl diff -f -       what the operator would change on this cluster, where it runs in
                                                        observedapp-system; else say --prober-url"
    )]
    Render(RenderArgs),
    /// Run the operator.
    #[command(
        after_help = "The Helm chart runs this in a cluster. From a shell it uses your kubeconfig's current context:
  observedapp run --log-format text --namespaces shop"
    )]
    Run(Box<RunOptions>),
    /// Print the CustomResourceDefinition.
    #[command(after_help = "Examples:
  observedapp crd | kubectl apply --server-side -f -    install or upgrade the API on a cluster
  observedapp crd | diff - crds/observedapps.yaml       see what a new version changes")]
    Crd,
    /// Replay an app's SLOs over the history that Prometheus keeps: when they would have alerted, and what it cost.
    #[command(after_help = "Examples:
  observedapp backtest app.yaml --prometheus http://localhost:9090
  observedapp backtest app.yaml --prometheus http://localhost:9090 --since 7d --slo latency
  observedapp backtest app.yaml --prometheus http://localhost:9090 -o html > backtest.html")]
    Backtest(crate::backtest::Args),
    /// Turn SLOs of Sloth, Pyrra or OpenSLO into what goes under `slos:`, and say what has no equivalent.
    #[command(after_help = "Examples:
  observedapp import sloth.yaml
  kubectl get servicelevelobjectives my-slo -o yaml | observedapp import -")]
    Import(crate::import::Args),
    #[command(flatten)]
    Plugin(crate::plugin::Command),
    /// Print a script that completes commands and flags in your shell.
    #[command(after_help = "Examples:
  observedapp completion bash > ~/.local/share/bash-completion/completions/observedapp
  observedapp completion zsh > \"${fpath[1]}/_observedapp\"
  observedapp completion fish > ~/.config/fish/completions/observedapp.fish")]
    Completion {
        /// The shell to complete in.
        shell: Shell,
    },
}

#[derive(Args, Debug)]
pub(crate) struct CheckArgs {
    /// Files, folders, or `-` for standard input.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// For people or for programs.
    #[arg(short, long, value_enum, default_value_t = CheckFormat::Text, value_name = "FORMAT")]
    pub output: CheckFormat,
    /// Print problems only, and no summary.
    #[arg(short, long)]
    pub quiet: bool,
    #[command(flatten)]
    pub preview: PreviewArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CheckFormat {
    /// A line a problem.
    Text,
    /// One JSON list.
    Json,
}

#[derive(Args, Debug)]
pub(crate) struct RenderArgs {
    /// Files, folders, or `-` for standard input.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Write one file an object into this folder, instead of a stream.
    #[arg(long, value_name = "FOLDER")]
    pub output_dir: Option<PathBuf>,
    /// Print only objects of this kind, such as `Deployment`; may be given several times.
    #[arg(long, value_name = "KIND", value_delimiter = ',')]
    pub only: Vec<AnyKind>,
    #[command(flatten)]
    pub preview: PreviewArgs,
}

/// What a cluster and the operator's own settings would say.
#[derive(Args, Debug)]
pub(crate) struct PreviewArgs {
    /// The namespace of apps that name none.
    #[arg(short, long, default_value = "default")]
    pub namespace: String,
    /// Optional kinds whose API the cluster lacks, such as `servicemonitor,probe`.
    #[arg(long, value_name = "KINDS", value_delimiter = ',')]
    pub without: Vec<OptionalKind>,
    /// Labels by which Prometheus selects monitors, probes and rules, such as `release=monitoring`.
    #[arg(long, value_name = "KEY=VALUE", value_delimiter = ',', value_parser = key_value)]
    pub monitor_labels: Vec<(String, String)>,
    /// `host:port` of the blackbox exporter; without it the one of the chart in the namespace observedapp-system.
    #[arg(
        long,
        value_name = "HOST:PORT",
        default_value = "observedapp-prober.observedapp-system.svc:9115"
    )]
    pub prober_url: String,
    /// Where Grafana answers, for the links in alerts.
    #[arg(long, value_name = "URL")]
    pub grafana_url: Option<String>,
    /// The folder that holds the runbook pages, for the links in alerts.
    #[arg(long, value_name = "URL", default_value_t = Settings::default().runbook_url)]
    pub runbook_url: String,
}

impl PreviewArgs {
    pub fn preview(&self) -> Preview {
        let without: BTreeSet<Kind> = self.without.iter().map(|kind| kind.0).collect();
        let labels: BTreeMap<String, String> = self.monitor_labels.iter().cloned().collect();
        Preview {
            settings: Settings {
                monitor_labels: (!labels.is_empty()).then_some(labels),
                prober_url: Some(self.prober_url.clone()),
                grafana_url: self.grafana_url.clone(),
                runbook_url: self.runbook_url.clone(),
                ..Settings::default()
            },
            namespace: self.namespace.clone(),
            optional_kinds: optional_kinds().filter(|kind| !without.contains(kind)).collect(),
        }
    }
}

fn optional_kinds() -> impl Iterator<Item = Kind> + Clone {
    Kind::ALL.iter().copied().filter(|kind| kind.is_optional())
}

/// A kind of object, in any spelling that `kubectl` takes: `Deployment`, `deployment`, `deployments`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AnyKind(pub Kind);

impl FromStr for AnyKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        kind(text, Kind::ALL.iter().copied()).map(Self)
    }
}

/// A kind whose API a cluster may lack.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OptionalKind(pub Kind);

impl FromStr for OptionalKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        kind(text, optional_kinds()).map(Self)
    }
}

fn kind(text: &str, mut kinds: impl Iterator<Item = Kind> + Clone) -> Result<Kind, String> {
    let lower = text.to_lowercase();
    let all = kinds.clone();
    kinds
        .find(|kind| kind.as_str().to_lowercase() == lower || kind.plural() == lower)
        .ok_or_else(|| {
            let names: Vec<&str> = all.map(Kind::as_str).collect();
            format!("there is no such kind here; use one of {}", names.join(", "))
        })
}

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write it as KEY=VALUE".to_owned()),
    }
}
