//! Load for the task service, after Locust's model: users who come one after another, think, and do
//! one of several things; every answer's content is checked, not only its code.

mod cli;
mod report;
mod tally;
mod users;

use std::fs::OpenOptions;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser;
use goose::GooseAttack;
use goose::client::GooseClientBuilder;
use goose::config::GooseConfiguration;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::cli::Cli;
use crate::report::Summary;
use crate::tally::Tally;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    match Box::pin(run(&cli)).await {
        Ok(summary) => judge(&cli, &summary),
        Err(problem) => {
            eprintln!("tasks-load: {problem}");
            ExitCode::FAILURE
        }
    }
}

/// What a script wants to know: was the load served?
fn judge(cli: &Cli, summary: &Summary) -> ExitCode {
    print!("{}", summary.to_text());
    let allowed = cli.fail_above.0;
    if summary.requests == 0 {
        eprintln!("tasks-load: not one request was made");
        ExitCode::FAILURE
    } else if summary.failed_percent > allowed {
        eprintln!(
            "tasks-load: {:.3} % of the requests failed; {allowed} % are allowed",
            summary.failed_percent
        );
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

async fn run(cli: &Cli) -> Result<Summary, String> {
    for file in cli.summary.iter().chain(&cli.report) {
        check_writable(file)?;
    }
    allow_many_connections();
    let clients = users::clients(cli).map_err(|error| format!("cannot make an HTTP client: {error}"))?;
    for host in &cli.hosts {
        clients[0]
            .get(format!("{host}/tasks"))
            .send()
            .await
            .map_err(|error| {
                format!(
                    "cannot reach {host}: {}. Does the service run there?",
                    root_cause(&error)
                )
            })?;
    }

    let tally = Arc::new(Tally::default());
    let scenario = users::scenario(cli, clients, &tally).map_err(|error| error.to_string())?;
    let mut configuration = GooseConfiguration::default();
    configuration.host = cli.hosts.first().cloned();
    configuration.users = Some(cli.users);
    configuration.increase_rate = Some(cli.spawn_rate.to_string());
    configuration.run_time = Some(format!("{}s", cli.duration.0.as_secs()));
    // The tally does what goose's own metrics would do, for every second and in one file.
    configuration.no_metrics = true;
    configuration.no_print_metrics = true;
    configuration.no_telnet = true;
    configuration.quiet = 2;
    // Nobody uses goose's clients, so it makes one and not one for each user.
    // It must not look for certificates either: an image without any has none to give.
    let client = GooseClientBuilder::new()
        .accept_invalid_certs(true)
        .without_cookies();
    let attack = GooseAttack::initialize_with_config(configuration)
        .and_then(|attack| attack.set_client_builder_without_cookies(client))
        .map_err(|error| error.to_string())?
        .register_scenario(scenario);

    let started = Instant::now();
    let watcher = tokio::spawn(watch(Arc::clone(&tally), cli.clone()));
    let ended = Box::pin(attack.execute()).await;
    watcher.abort();
    ended.map_err(|error| error.to_string())?;

    tally.second_passed();
    let summary = Summary::new(cli, &tally, started.elapsed());
    if let Some(file) = &cli.summary {
        let json = serde_json::to_string_pretty(&summary).map_err(|error| error.to_string())?;
        write(file, &json)?;
    }
    if let Some(file) = &cli.report {
        write(file, &summary.to_html())?;
    }
    Ok(summary)
}

/// Each user has a connection, and the usual limit of 1024 open files is too low for a thousand.
fn allow_many_connections() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    // If it stays as it is, that is told by the requests that fail of it.
    let _ = setrlimit(Resource::Nofile, raised);
}

/// Closes each second of the tally, and tells now and then how it goes.
async fn watch(tally: Arc<Tally>, cli: Cli) {
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    seconds.tick().await;
    for second in 1_u64.. {
        seconds.tick().await;
        tally.second_passed();
        if cli.progress > 0 && second % cli.progress == 0 {
            println!("{}", tally.progress(second));
        }
    }
}

/// Better told before an hour of load than after it.
fn check_writable(file: &Path) -> Result<(), String> {
    if file == Path::new("-") {
        return Ok(());
    }
    let opened = OpenOptions::new().append(true).create(true).open(file);
    opened.map(drop).map_err(|error| cannot_write(file, &error))
}

fn write(file: &Path, text: &str) -> Result<(), String> {
    if file == Path::new("-") {
        println!("{text}");
        return Ok(());
    }
    std::fs::write(file, text).map_err(|error| cannot_write(file, &error))
}

fn cannot_write(file: &Path, error: &std::io::Error) -> String {
    format!("cannot write {}: {error}", file.display())
}

fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}
