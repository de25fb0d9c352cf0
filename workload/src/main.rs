use std::process::ExitCode;

use clap::Parser;
use tasks::config::Config;
use tasks::run::run;
use tasks::telemetry::{LogSink, init_logs};

/// A request allocates some dozens of times, and the C library's allocator is a good part of what it then costs.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let config = Config::parse();
    match start(&config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tasks: {error}");
            ExitCode::FAILURE
        }
    }
}

fn start(config: &Config) -> Result<(), Box<dyn std::error::Error>> {
    let logs = LogSink::stdout()?;
    init_logs(config.log_format, config.log_level.clone(), logs.clone())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(run(config, logs.clone()));
    logs.flush();
    Ok(result?)
}
