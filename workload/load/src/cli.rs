//! The command line.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use jiff::SignedDuration;

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
    pub duration: Duration,

    /// Pause of a user between two requests: 1s-5s, 500ms, or none
    #[arg(long, default_value = "1s-5s", value_parser = think_time)]
    pub think_time: RangeInclusive<Duration>,

    /// A request that takes longer than this has failed
    #[arg(long, default_value = "30s", value_parser = duration)]
    pub timeout: Duration,

    /// Share of failed requests above which the exit code is 1
    #[arg(long, value_name = "PERCENT", default_value = "0%", value_parser = percent)]
    pub fail_above: f64,

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

/// A pause is chosen at random between two bounds.
fn think_time(text: &str) -> Result<RangeInclusive<Duration>, String> {
    if ["none", "0", "0s"].contains(&text) {
        return Ok(Duration::ZERO..=Duration::ZERO);
    }
    let (least, most) = text.split_once('-').unwrap_or((text, text));
    let (least, most) = (duration(least)?, duration(most)?);
    if least > most {
        return Err("the least pause is longer than the most".to_owned());
    }
    Ok(least..=most)
}

/// A time longer than none; without a unit it is in seconds.
fn duration(text: &str) -> Result<Duration, String> {
    let bare = text.bytes().all(|byte| byte.is_ascii_digit());
    let text = if bare { format!("{text}s") } else { text.to_owned() };
    let duration = text.parse::<SignedDuration>().ok();
    duration
        .filter(SignedDuration::is_positive)
        .and_then(|duration| duration.try_into().ok())
        .ok_or_else(|| "write a time such as 500ms, 30s, 5m or 1h".to_owned())
}

fn whole_seconds(text: &str) -> Result<Duration, String> {
    let duration = duration(text)?;
    if duration.subsec_nanos() == 0 {
        Ok(duration)
    } else {
        Err("write whole seconds, 1s or more".to_owned())
    }
}

fn percent(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').unwrap_or(text).trim();
    number
        .parse()
        .ok()
        .filter(|percent| (0.0..=100.0).contains(percent))
        .ok_or_else(|| "write a share such as 0% or 0.5%".to_owned())
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
        let between = |least, most| Ok(Duration::from_millis(least)..=Duration::from_millis(most));
        assert_eq!(think_time("1s-5s"), between(1000, 5000));
        assert_eq!(think_time("1-5s"), between(1000, 5000));
        assert_eq!(think_time("500ms"), between(500, 500));
        assert_eq!(think_time("none"), between(0, 0));
        for wrong in ["5s-1s", "", "1s-", "fast"] {
            assert!(think_time(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn shares_are_percent() {
        assert_eq!(percent("0%"), Ok(0.0));
        assert_eq!(percent("0.5"), Ok(0.5));
        for wrong in ["-1%", "101%", "none", "NaN"] {
            assert!(percent(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn the_command_line_is_sound() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }
}
