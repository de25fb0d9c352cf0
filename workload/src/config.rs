//! What the service can be told, by flag or by environment.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use clap::{ArgAction, Parser, ValueEnum};

use crate::cache::CacheOptions;
use crate::store::DatabaseUrl;

/// Read by OpenTelemetry's own library, and so no flags.
const TRACES: &str = "Traces, as OpenTelemetry's specification has it, by environment:
  OTEL_EXPORTER_OTLP_ENDPOINT     a collector, such as http://localhost:4318; without it no span is exported
  OTEL_EXPORTER_OTLP_CERTIFICATE  the authority of a collector under https, in PEM
  OTEL_SERVICE_NAME               [default: tasks]
  OTEL_TRACES_SAMPLER             and OTEL_TRACES_SAMPLER_ARG [default: parentbased_always_on]";

const DEFAULT_DATABASE: &str = "sqlite://tasks.db";

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
    #[arg(
        long,
        env = "DB_URL",
        hide_env_values = true,
        value_name = "URL",
        hide_short_help = true
    )]
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
    redis_url: Option<String>,

    /// How long the cached list may live at most
    #[arg(long, env = "CACHE_TTL", default_value = "5s", value_parser = duration)]
    cache_ttl: Duration,

    /// Longest time that a request waits for the cache before it goes to the database
    #[arg(long, env = "CACHE_TIMEOUT", default_value = "100ms", value_parser = duration)]
    cache_timeout: Duration,

    /// Form of the log lines
    #[arg(long, env = "LOG_FORMAT", value_enum, default_value_t = LogFormat::Json)]
    pub log_format: LogFormat,

    /// Which lines are logged: a level, or a list such as info,sqlx=debug
    #[arg(long, env = "LOG_LEVEL", default_value = "info")]
    pub log_level: tracing_subscriber::filter::Targets,

    /// on: PUT /faults on the metrics port can make the service fail on purpose
    #[arg(long, env = "FAULTS", value_parser = switch, action = ArgAction::Set, default_value = "off")]
    pub faults: bool,

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

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Json,
    Text,
}

impl Config {
    /// The database that was asked for, or a sentence saying what is wrong with its URL.
    pub fn database(&self) -> Result<DatabaseUrl, String> {
        let given = |(name, url): (&'static str, &Option<String>)| {
            url.clone().filter(|url| !url.is_empty()).map(|url| (name, url))
        };
        let (name, url) = given(("DATABASE_URL", &self.database_url))
            .or_else(|| given(("DB_URL", &self.db_url)))
            .unwrap_or_else(|| ("DATABASE_URL", DEFAULT_DATABASE.to_owned()));
        url.parse().map_err(|problem| format!("{name}: {problem}"))
    }

    /// The cache, if one was asked for, or a sentence saying what is wrong with its URL.
    pub fn cache(&self) -> Result<Option<CacheOptions>, String> {
        let url = self.redis_url.as_deref().filter(|url| !url.is_empty());
        url.map(|url| CacheOptions::new(url, self.cache_ttl, self.cache_timeout))
            .transpose()
    }

    /// Whether the API and /metrics share one port.
    pub fn one_port(&self) -> bool {
        self.port == self.metrics_port && self.port != 0
    }
}

fn switch(text: &str) -> Result<bool, String> {
    match text {
        "on" | "true" | "1" => Ok(true),
        "off" | "false" | "0" | "" => Ok(false),
        _ => Err("write on or off".to_owned()),
    }
}

/// `300ms`, `5s`, `2m`; a bare number is seconds.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let millis_per_unit = match unit {
        "ms" => 1,
        "s" | "" => 1000,
        "m" => 60_000,
        _ => 0,
    };
    number
        .parse::<u64>()
        .ok()
        .filter(|_| millis_per_unit > 0)
        .and_then(|number| number.checked_mul(millis_per_unit))
        .map(Duration::from_millis)
        .ok_or_else(|| "write a duration such as 300ms, 5s or 2m".to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        assert_eq!(duration("300ms"), Ok(Duration::from_millis(300)));
        assert_eq!(duration("5s"), Ok(Duration::from_secs(5)));
        assert_eq!(duration("5"), Ok(Duration::from_secs(5)));
        assert_eq!(duration("2m"), Ok(Duration::from_mins(2)));
        for wrong in [
            "",
            "s",
            "5h",
            "-1s",
            "1.5s",
            "5 s",
            "99999999999999999999s",
            "18446744073709551615m",
        ] {
            assert!(duration(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn the_database_has_two_names_and_a_default() {
        let parse = |arguments: &[&str]| {
            let all = ["tasks"].iter().chain(arguments);
            Config::try_parse_from(all)
                .unwrap()
                .database()
                .unwrap()
                .to_string()
        };
        assert_eq!(
            parse(&["--database-url", "", "--db-url", "sqlite://other.db"]),
            "sqlite://other.db"
        );
        assert_eq!(
            parse(&[
                "--database-url",
                "sqlite::memory:",
                "--db-url",
                "sqlite://other.db"
            ]),
            "sqlite::memory:"
        );
        assert_eq!(
            parse(&["--database-url", "", "--db-url", ""]),
            "sqlite://tasks.db"
        );
    }

    #[test]
    fn a_wrong_url_is_told_with_the_variable_that_holds_it() {
        let config = Config::try_parse_from(["tasks", "--database-url", "mysql://x"]).unwrap();
        let problem = config.database().unwrap_err();
        assert!(problem.starts_with("DATABASE_URL: "), "{problem}");
    }
}
