use std::process::ExitCode;

use clap::Parser;
use tasks::config::Config;
use tasks::run::run;
use tasks::telemetry::Telemetry;

fn main() -> ExitCode {
    if let Err(error) = start(&Config::parse()) {
        eprintln!("tasks: {error:#}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn start(config: &Config) -> anyhow::Result<()> {
    // Two crypto providers may be linked in; TLS must be given one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // Before the runtime: the exporter of spans has a thread and a blocking HTTP client of its own.
    let telemetry = Telemetry::init(config)?;
    let result = tokio::runtime::Runtime::new()?.block_on(run(config, telemetry.dropped_lines.clone()));
    telemetry.shutdown();
    result
}
