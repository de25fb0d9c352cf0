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

use anyhow::{Context, bail, ensure};
use clap::Parser;
use parking_lot::Mutex;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::cli::Cli;
use crate::report::Summary;
use crate::tally::Tally;
use crate::users::User;

#[tokio::main]
async fn main() -> ExitCode {
    if let Err(problem) = run(&Cli::parse()).await {
        eprintln!("tasks-load: {problem:#}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// Fails, too, if the load was not served.
async fn run(cli: &Cli) -> anyhow::Result<()> {
    for file in cli.summary.iter().chain(&cli.report) {
        check_writable(file)?;
    }
    allow_many_connections();
    // Two crypto providers may be linked in; TLS must be given one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let tally = Arc::new(Mutex::new(Tally::default()));
    let users: Vec<User> = (0..cli.users)
        .map(|number| User::new(cli, number, &tally))
        .collect::<Result<_, _>>()
        .context("cannot make an HTTP client")?;
    for host in &cli.hosts {
        if let Err(error) = users[0].client.get(format!("{host}/tasks")).send().await {
            bail!(
                "cannot reach {host}: {}. Does the service run there?",
                root_cause(&error)
            );
        }
    }

    let started = Instant::now();
    let watcher = tokio::spawn(watch(Arc::clone(&tally), cli.progress));
    attack(cli, users).await;
    watcher.abort();
    let mut tally = tally.lock();
    tally.second_passed();
    let summary = Summary::new(cli, &tally, started.elapsed());
    if let Some(file) = &cli.summary {
        write(file, &serde_json::to_string_pretty(&summary)?)?;
    }
    if let Some(file) = &cli.report {
        write(file, &summary.to_html())?;
    }
    print!("{}", summary.to_text());
    let (failed, allowed) = (summary.failed_percent, cli.fail_above);
    ensure!(summary.requests > 0, "not one request was made");
    ensure!(
        failed <= allowed,
        "{failed:.3} % of the requests failed; {allowed} % are allowed"
    );
    Ok(())
}

/// Lets the users come one after another and work for the time that was asked for, or until Ctrl-C.
async fn attack(cli: &Cli, users: Vec<User>) {
    let stop = CancellationToken::new();
    let mut working = JoinSet::new();
    let load = async {
        let mut turns = tokio::time::interval(Duration::from_secs(1).div_f64(cli.spawn_rate as f64));
        for user in users {
            turns.tick().await;
            working.spawn(user.work(cli.think_time.clone(), stop.clone()));
        }
        tokio::time::sleep(cli.duration).await;
    };
    tokio::select! {
        () = load => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    stop.cancel();
    working.join_all().await;
}

/// Each user has a connection, and the usual limit of 1024 open files is too low for a thousand.
fn allow_many_connections() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    // If it stays as it is, the requests that fail because of it show that.
    let _ = setrlimit(Resource::Nofile, raised);
}

/// Closes each second of the tally, and prints the progress now and then.
async fn watch(tally: Arc<Mutex<Tally>>, progress: u64) {
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    seconds.tick().await;
    for second in 1_u64.. {
        seconds.tick().await;
        let mut tally = tally.lock();
        tally.second_passed();
        if progress > 0 && second % progress == 0 {
            println!("{}", tally.progress());
        }
    }
}

/// An error before an hour of load is better than one after it.
fn check_writable(file: &Path) -> anyhow::Result<()> {
    if file != "-" {
        let opened = OpenOptions::new().append(true).create(true).open(file);
        opened.with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    if file == "-" {
        println!("{text}");
        return Ok(());
    }
    std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}
