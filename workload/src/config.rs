//! The service's settings, by flag or by environment.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::builder::BoolishValueParser;
use clap::{ArgAction, Parser};
use jiff::SignedDuration;

use crate::faults::Faults;
use crate::store::DatabaseUrl;

/// Read by OpenTelemetry's own library, and so no flags.
const TRACES: &str = "Traces, as OpenTelemetry's specification has it, by environment:
  OTEL_EXPORTER_OTLP_ENDPOINT     a collector, such as http://localhost:4318; without it no span is exported
  OTEL_EXPORTER_OTLP_CERTIFICATE  the authority of a collector under https, in PEM
  OTEL_SERVICE_NAME               [default: tasks]
  OTEL_TRACES_SAMPLER             and OTEL_TRACES_SAMPLER_ARG [default: parentbased_always_on]";

/// The task service: a to-do list over HTTP that can be observed.
#[derive(Debug, Clone, Parser)]
#[command(name = "tasks", version, about, after_help = TRACES)]
pub struct Config {
    /// Port of the API (0: any free one; the log says which)
    #[arg(long, env = "PORT", default_value_t = 5000)]
    pub port: u16,

    /// Port of /metrics; the same as PORT puts it beside the API
    #[arg(long, env = "METRICS_PORT", default_value_t = 8000)]
    pub metrics_port: u16,

    /// Address to listen on; :: is every address, IPv4 and IPv6
    #[arg(long, env = "LISTEN_ADDRESS", default_value_t = IpAddr::V6(Ipv6Addr::UNSPECIFIED))]
    pub listen_address: IpAddr,

    /// postgres://user:password@host/database, sqlite://file or sqlite::memory: [default: sqlite://tasks.db]
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    database_url: Option<String>,

    /// The older name of DATABASE_URL, which wins over it
    #[arg(long, env = "DB_URL", hide_env_values = true, value_name = "URL")]
    db_url: Option<String>,

    /// Connections to the database that one process holds at most
    #[arg(long, env = "DB_POOL_SIZE", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub db_pool_size: u16,

    /// Longest time that a request waits for the database before it is answered 503
    #[arg(long, env = "DB_TIMEOUT", default_value = "5s", value_parser = duration)]
    pub db_timeout: Duration,

    /// Attempts to reach the database at the start before the program exits with 1
    #[arg(long, env = "DB_CONNECT_ATTEMPTS", default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..))]
    pub db_connect_attempts: u32,

    /// Pause between these attempts
    #[arg(long, env = "DB_CONNECT_DELAY", default_value = "5s", value_parser = duration)]
    pub db_connect_delay: Duration,

    /// redis://[user:password@]host[:port]: a cache of the list, which the service works without when it is down
    #[arg(long, env = "REDIS_URL", hide_env_values = true, value_name = "URL")]
    pub redis_url: Option<String>,

    /// How long the cached list may live at most
    #[arg(long, env = "CACHE_TTL", default_value = "5s", value_parser = duration)]
    pub cache_ttl: Duration,

    /// Longest time that a request waits for the cache before it goes to the database
    #[arg(long, env = "CACHE_TIMEOUT", default_value = "100ms", value_parser = duration)]
    pub cache_timeout: Duration,

    /// Which lines are logged: a level, or a list such as info,sqlx=debug
    #[arg(long, env = "LOG_LEVEL", default_value = "info")]
    pub log_level: tracing_subscriber::filter::Targets,

    /// on: the service fails on purpose, as the two settings below and PUT /faults on the metrics port ask
    #[arg(long, env = "FAULTS", value_parser = BoolishValueParser::new(), action = ArgAction::Set, default_value = "off")]
    pub faults: bool,

    #[command(flatten)]
    faults_at_start: Faults,

    /// After SIGTERM, how long new connections are still served while /readyz says 503
    #[arg(long, env = "DRAIN_DELAY", default_value = "3s", value_parser = duration)]
    pub drain_delay: Duration,

    /// Then, how long running requests may take to finish
    #[arg(long, env = "DRAIN_TIMEOUT", default_value = "20s", value_parser = duration)]
    pub drain_timeout: Duration,

    /// A connection whose next request's head has not arrived within this time is closed
    #[arg(long, env = "HEADER_TIMEOUT", default_value = "30s", value_parser = duration)]
    pub header_timeout: Duration,

    /// A body that has not arrived within this time is answered 408
    #[arg(long, env = "BODY_TIMEOUT", default_value = "10s", value_parser = duration)]
    pub body_timeout: Duration,

    /// A client that takes nothing of its answer for this long is disconnected
    #[arg(long, env = "WRITE_TIMEOUT", default_value = "30s", value_parser = duration)]
    pub write_timeout: Duration,

    /// Connections served at once; further ones wait
    #[arg(long, env = "MAX_CONNECTIONS", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub max_connections: u32,
}

impl Config {
    /// How the service fails on purpose until it is asked otherwise: not at all unless that is allowed.
    pub(crate) fn faults_at_start(&self) -> anyhow::Result<Faults> {
        if !self.faults {
            return Ok(Faults::default());
        }
        let checked = self.faults_at_start.checked();
        checked.map_err(|problem| anyhow!("FAULT_ERROR_RATIO, FAULT_LATENCY_MS: {problem}"))
    }

    /// The database that was asked for, or a sentence saying what is wrong with its URL.
    pub(crate) fn database(&self) -> anyhow::Result<DatabaseUrl> {
        let (name, url) = [("DATABASE_URL", &self.database_url), ("DB_URL", &self.db_url)]
            .into_iter()
            .filter_map(|(name, url)| Some((name, url.as_deref()?)))
            .find(|(_, url)| !url.is_empty())
            .unwrap_or(("DATABASE_URL", "sqlite://tasks.db"));
        DatabaseUrl::parse(url).context(name)
    }
}

/// `300ms`, `5s`, `2m`; a bare number is seconds.
fn duration(text: &str) -> Result<Duration, String> {
    let bare = text.parse::<u64>().map(|seconds| format!("{seconds}s"));
    let duration: Option<SignedDuration> = bare.as_deref().unwrap_or(text).parse().ok();
    duration
        .and_then(|duration| duration.try_into().ok())
        .ok_or_else(|| "write a duration such as 300ms, 5s or 2m".to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        for (text, millis) in [("300ms", 300), ("5s", 5000), ("5", 5000), ("2m", 120_000)] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)));
        }
        for wrong in ["", "s", "-1s", "99999999999999999999s", "18446744073709551615m"] {
            assert!(duration(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn the_database_has_two_names_and_a_default() {
        for (database_url, db_url, used) in [
            ("", "sqlite://other.db", "sqlite://other.db"),
            ("sqlite::memory:", "sqlite://other.db", "sqlite::memory:"),
            ("", "", "sqlite://tasks.db"),
        ] {
            let arguments = ["tasks", "--database-url", database_url, "--db-url", db_url];
            let config = Config::try_parse_from(arguments).unwrap();
            assert_eq!(config.database().unwrap().to_string(), used);
        }
        let config = Config::try_parse_from(["tasks", "--database-url", "mysql://x"]).unwrap();
        let problem = format!("{:#}", config.database().err().unwrap());
        assert!(problem.starts_with("DATABASE_URL: "), "{problem}");
    }
}
