//! The `observedapp` binary: the operator, the tools that need no cluster, and the kubectl plugin.

mod app;
mod args;
mod backtest;
mod check;
mod diagnostic;
mod import;
mod input;
mod object_type;
mod output;
mod plugin;
mod prometheus;
mod render;
mod yaml;

use std::process::ExitCode;

use anyhow::Context;
use clap::error::{ContextKind, ContextValue};
use clap::{CommandFactory, Parser};
use observedapp_controller::RunOptions;

use args::{Cli, Command};
use plugin::Called;

fn main() -> ExitCode {
    let (who, outcome) = match Called::by(std::env::args_os().next().as_deref()) {
        Called::Plugin => ("kubectl observed", run_plugin()),
        Called::Completion => ("kubectl observed", plugin::complete()),
        Called::Directly => ("observedapp", run(Cli::parse().command)),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("{who}: {error:#}");
        ExitCode::FAILURE
    })
}

/// Commands that need no cluster are not kubectl's: one that is typed there gets a sentence that says where it is.
fn run_plugin() -> anyhow::Result<ExitCode> {
    let error = match plugin::Cli::try_parse() {
        Ok(cli) => return plugin::run(&cli.command),
        Err(error) => error,
    };
    if let Some(ContextValue::String(name)) = error.get(ContextKind::InvalidSubcommand)
        && Cli::command().find_subcommand(name).is_some()
    {
        eprintln!("kubectl observed: {name} needs no kubectl: type `observedapp {name}`");
        return Ok(ExitCode::from(2));
    }
    error.exit()
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
    let traces = observedapp_controller::Traces::init().map_err(anyhow::Error::msg)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the runtime cannot be started")?;
    let outcome = runtime.block_on(observedapp_controller::run(options));
    traces.shutdown();
    Ok(outcome?)
}
