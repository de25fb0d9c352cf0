use std::error::Error;
use std::process::ExitCode;

use clap::Parser;
use tasks::config::Config;
use tasks::run::run;
use tasks::telemetry::Telemetry;

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

fn start(config: &Config) -> Result<(), Box<dyn Error>> {
    // Before the runtime: the exporter of spans has a thread and a blocking HTTP client of its own.
    let telemetry = Telemetry::init(config)?;
    let runtime = tokio::runtime::Runtime::new()?;
    let result = runtime.block_on(run(config, telemetry.dropped_lines()));
    telemetry.shutdown();
    Ok(result?)
}
