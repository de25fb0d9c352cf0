//! What a person can ask for.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::Parser;

/// Load for the task service: users who read, add, update and delete tasks, and check every answer.
#[derive(Debug, Clone, Parser)]
#[command(name = "tasks-load", version, about)]
pub struct Cli {
    /// Where the service is; several are taken in turns, one for each user
    #[arg(long = "host", short = 'H', value_name = "URL", default_value = "http://localhost:5000", value_parser = host)]
    pub hosts: Vec<String>,

    /// Users at once
    #[arg(long, short, default_value_t = 10, value_parser = at_least_one)]
    pub users: usize,

    /// Users that come each second
    #[arg(long, short = 'r', default_value_t = 10, value_parser = at_least_one)]
    pub spawn_rate: usize,

    /// How long, counted from when all users are there: 30s, 5m, 1h
    #[arg(long, short = 't', default_value = "1m", value_parser = whole_seconds)]
    pub duration: Span,

    /// Pause of a user between two requests: 1s-5s, 500ms, or none
    #[arg(long, default_value = "1s-5s")]
    pub think_time: ThinkTime,

    /// A request that takes longer than this has failed
    #[arg(long, default_value = "30s")]
    pub timeout: Span,

    /// Share of failed requests above which the exit code is 1
    #[arg(long, value_name = "PERCENT", default_value = "0%")]
    pub fail_above: Percent,

    /// File for a report to look at, in HTML; `-` for the standard output
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,

    /// File for the figures, in JSON; `-` for the standard output
    #[arg(long, value_name = "FILE")]
    pub summary: Option<PathBuf>,

    /// Seconds between two lines about how it goes; 0 for none
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    pub progress: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span(pub Duration);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThinkTime {
    pub least: Duration,
    pub most: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Percent(pub f64);

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let millis = match unit {
            "ms" => 1,
            "s" | "" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => 0,
        };
        let millis = number
            .parse::<u64>()
            .ok()
            .and_then(|number| number.checked_mul(millis));
        let span = millis.map(Duration::from_millis).filter(|span| !span.is_zero());
        span.map(Self)
            .ok_or_else(|| "write a time such as 500ms, 30s, 5m or 1h".to_owned())
    }
}

impl FromStr for ThinkTime {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if ["none", "0", "0s"].contains(&text) {
            return Ok(Self {
                least: Duration::ZERO,
                most: Duration::ZERO,
            });
        }
        let (least, most) = text.split_once('-').unwrap_or((text, text));
        let (Span(least), Span(most)) = (least.parse()?, most.parse()?);
        if least > most {
            return Err("the least pause is longer than the most".to_owned());
        }
        Ok(Self { least, most })
    }
}

impl FromStr for Percent {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.strip_suffix('%').unwrap_or(text).trim();
        let percent = number
            .parse()
            .ok()
            .filter(|percent| (0.0..=100.0).contains(percent));
        percent
            .map(Self)
            .ok_or_else(|| "write a share such as 0% or 0.5%".to_owned())
    }
}

fn whole_seconds(text: &str) -> Result<Span, String> {
    let span: Span = text.parse()?;
    if span.0.subsec_nanos() == 0 {
        Ok(span)
    } else {
        Err("write whole seconds, 1s or more".to_owned())
    }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|number| *number > 0)
        .ok_or_else(|| "write a number, 1 or more".to_owned())
}

fn host(text: &str) -> Result<String, String> {
    if text.starts_with("http://") || text.starts_with("https://") {
        Ok(text.trim_end_matches('/').to_owned())
    } else {
        Err("write it with http:// or https://".to_owned())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn pauses_are_read_as_people_write_them() {
        let between = |least, most| ThinkTime {
            least: Duration::from_millis(least),
            most: Duration::from_millis(most),
        };
        assert_eq!("1s-5s".parse(), Ok(between(1000, 5000)));
        assert_eq!("1-5s".parse(), Ok(between(1000, 5000)));
        assert_eq!("500ms".parse(), Ok(between(500, 500)));
        assert_eq!("none".parse(), Ok(between(0, 0)));
        for wrong in ["5s-1s", "", "1s-", "fast"] {
            assert!(wrong.parse::<ThinkTime>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn shares_are_percent() {
        assert_eq!("0%".parse(), Ok(Percent(0.0)));
        assert_eq!("0.5".parse(), Ok(Percent(0.5)));
        for wrong in ["-1%", "101%", "none", "NaN"] {
            assert!(wrong.parse::<Percent>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn the_command_line_is_sound() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }
}
