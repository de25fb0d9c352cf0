//! The `observedapp` binary: the operator, the tools that need no cluster, and the kubectl plugin.

mod app;
mod args;
mod backtest;
mod check;
mod import;
mod input;
mod output;
mod plugin;
mod prometheus;
mod render;
mod yaml;

use std::process::ExitCode;

use anyhow::Context;
use clap::{CommandFactory, Parser};
use observedapp_controller::RunOptions;

use args::{Cli, Command};

fn main() -> ExitCode {
    let (who, outcome) = if plugin::is_meant(std::env::args_os().next().as_deref()) {
        let command = plugin::Cli::parse().command;
        ("kubectl observed", plugin::run(&command))
    } else {
        ("observedapp", run(Cli::parse().command))
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("{who}: {error:#}");
        ExitCode::FAILURE
    })
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Backtest(args) => return backtest::run(&args),
        Command::Check(args) => return check::run(&args),
        Command::Import(args) => return import::run(&args),
        Command::Plugin(command) => return plugin::run(&command),
        Command::Render(args) => return render::run(&args),
        Command::Run(options) => operate(*options)?,
        Command::Crd => output::print(&output::yaml(&observedapp_api::crd())?)?,
        Command::Completion { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "observedapp", &mut script);
            output::print(&String::from_utf8(script)?)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn operate(options: RunOptions) -> anyhow::Result<()> {
    observedapp_controller::init_logging(options.log_format);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the runtime cannot be started")?;
    runtime.block_on(observedapp_controller::run(options))?;
    Ok(())
}
