//! `observedapp backtest`: an app's SLOs replayed over the history that Prometheus keeps.

mod html;
mod text;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{anyhow, bail};
use clap::ValueEnum;
use jiff::Timestamp;
use observedapp_desired::{Kind, Settings, ValidApp};
use observedapp_slo::backtest::{Backtest, Sample, queries, replay};
use observedapp_slo::{PromDuration, Slo};
use serde::Serialize;

use crate::app::{self, Preview};
use crate::plugin::{Cluster, ClusterArgs, Source};
use crate::prometheus::{Prometheus, Series, Span};
use crate::{input, output};

/// Prometheus answers at most 11,000 points a query.
const POINTS: i64 = 10_000;

/// Alert windows are minutes long at least, so that samples a minute apart show when an alert would have fired.
const STEP: PromDuration = PromDuration::from_minutes(1);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The app, as it is or as it is meant to be; other kinds beside it are skipped, and - reads standard input.
    file: PathBuf,
    /// Where Prometheus answers; without it, it is found from the cluster's Prometheus object.
    #[arg(long, env = "PROMETHEUS_URL", value_name = "URL")]
    prometheus: Option<String>,
    /// A bearer token for it.
    #[arg(long, env = "PROMETHEUS_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// How far back.
    #[arg(long, default_value = "30d", value_name = "DURATION")]
    since: PromDuration,
    /// Only the SLO of this name.
    #[arg(long, value_name = "NAME")]
    slo: Option<String>,
    /// The app, where the file holds several.
    #[arg(long, value_name = "NAME")]
    app: Option<String>,
    /// The cluster that Prometheus runs in; its namespace is that of an app that names none.
    #[command(flatten)]
    cluster: ClusterArgs,
    #[arg(long, short, value_enum, default_value_t = Format::Text)]
    output: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Text,
    Html,
    Json,
}

/// One SLO and what its history says.
#[derive(Debug, Serialize)]
struct Replayed {
    name: String,
    objective: String,
    window: String,
    #[serde(flatten)]
    result: Backtest,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let sources = input::read(std::slice::from_ref(&args.file))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let cluster = runtime.block_on(Cluster::connect(&args.cluster));
    let preview = Preview {
        settings: Settings::default(),
        // Nothing has been asked of the cluster yet: without a kubeconfig the address of Prometheus will do.
        namespace: match &cluster {
            Ok(cluster) => cluster.namespace.clone(),
            Err(_) => args
                .cluster
                .namespace
                .clone()
                .unwrap_or_else(|| "default".to_owned()),
        },
        optional_kinds: Kind::ALL
            .iter()
            .copied()
            .filter(|kind| kind.is_optional())
            .collect(),
    };
    let apps = app::read(&sources, &preview);
    for diagnostic in &apps.diagnostics {
        eprintln!("{diagnostic}");
    }
    if apps.has_problems() {
        return Ok(ExitCode::FAILURE);
    }
    let slos = slos(args, apps.apps)?;
    let replayed = runtime.block_on(async {
        let prometheus = match (&args.prometheus, &cluster) {
            (Some(url), _) => Prometheus::at(url, args.token.clone())?,
            (None, Ok(cluster)) => Source::find(cluster, None, None)
                .await
                .prometheus()
                .map_err(|why| anyhow!("{why}"))?,
            (None, Err(error)) => {
                bail!("{error:#}; without a cluster say where Prometheus answers with --prometheus URL")
            }
        };
        replay_all(args, &slos, &prometheus).await
    })?;
    let printed = match args.output {
        Format::Text => text::render(&replayed),
        Format::Html => html::render(&replayed),
        Format::Json => format!("{}\n", serde_json::to_string_pretty(&replayed)?),
    };
    output::print(&printed)?;
    Ok(ExitCode::SUCCESS)
}

fn slos(args: &Args, mut apps: Vec<ValidApp>) -> anyhow::Result<Vec<Slo>> {
    let name = args.file.display();
    let names: Vec<String> = apps.iter().map(|app| app.id.name.clone()).collect();
    apps.retain(|app| args.app.as_ref().is_none_or(|wanted| *wanted == app.id.name));
    let app = match (apps.pop(), apps.is_empty()) {
        (Some(app), true) => app,
        (Some(_), false) => bail!(
            "{name} holds several apps: choose one of {} with --app",
            names.join(", ")
        ),
        (None, _) => bail!("{name} holds no app of that name: it holds {}", names.join(", ")),
    };
    let mut slos = app.objectives.slos;
    if slos.is_empty() {
        bail!("{name} has no SLO to replay: add one under spec.slos");
    }
    if let Some(wanted) = &args.slo {
        let names: Vec<String> = slos.iter().map(|slo| slo.name.clone()).collect();
        slos.retain(|slo| slo.name == *wanted);
        if slos.is_empty() {
            bail!("{name} has no SLO {wanted:?}: it has {}", names.join(", "));
        }
    }
    Ok(slos)
}

async fn replay_all(args: &Args, slos: &[Slo], prometheus: &Prometheus) -> anyhow::Result<Vec<Replayed>> {
    // Whole minutes, so that the same call within a minute asks for the same samples.
    let end = Timestamp::now().as_second() / 60 * 60;
    let begin = end.saturating_sub_unsigned(args.since.millis() / 1000);
    let mut replayed = Vec::with_capacity(slos.len());
    for (i, slo) in slos.iter().enumerate() {
        eprintln!("asking for {} of {}: {}", i + 1, slos.len(), slo.name);
        let (errors, events) = queries(slo, STEP);
        let samples = samples(prometheus, &errors, &events, begin..end).await?;
        if samples.is_empty() {
            eprintln!(
                "{}: Prometheus knows of no event in the last {}",
                slo.name, args.since
            );
        }
        replayed.push(Replayed {
            name: slo.name.clone(),
            objective: slo.objective.to_string(),
            window: slo.window.to_string(),
            result: replay(slo, &samples, STEP),
        });
    }
    Ok(replayed)
}

/// What happened in each step that has a sample of events, asked for in as many parts as Prometheus lets through.
async fn samples(
    prometheus: &Prometheus,
    errors: &str,
    events: &str,
    seconds: Range<i64>,
) -> anyhow::Result<Vec<Sample>> {
    let step = i64::try_from(STEP.millis() / 1000)?.max(1);
    let mut samples = Vec::new();
    let mut begin = seconds.start + step;
    while begin <= seconds.end {
        let span = Span {
            begin,
            end: seconds.end.min(begin + step * (POINTS - 1)),
            step,
        };
        let failed = only_series(prometheus, errors, span).await?;
        let all = only_series(prometheus, events, span).await?;
        samples.extend(all.into_iter().map(|(at, events)| Sample {
            at,
            errors: failed.get(&at).copied().unwrap_or(0.0),
            events,
        }));
        begin = span.end + step;
    }
    Ok(samples)
}

async fn only_series(prometheus: &Prometheus, query: &str, span: Span) -> anyhow::Result<BTreeMap<i64, f64>> {
    let series = prometheus.range(query, span).await?;
    Ok(series.first().into_iter().flat_map(Series::points).collect())
}

/// `2026-11-21 04:05`, in UTC.
fn moment(seconds: i64) -> String {
    Timestamp::from_second(seconds)
        .map(|at| at.strftime("%Y-%m-%d %H:%M").to_string())
        .unwrap_or_default()
}

/// How long an incident alerted: `23m`, or that it still does.
fn lasted(fired: i64, resolved: Option<i64>) -> String {
    resolved.map_or_else(
        || "still firing".to_owned(),
        |resolved| PromDuration::from_secs(u64::try_from(resolved - fired).unwrap_or(0)).to_string(),
    )
}

fn percent(share: f64) -> String {
    format!("{:.1}%", share * 100.0)
}
