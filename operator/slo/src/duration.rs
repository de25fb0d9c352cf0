//! Durations as Prometheus writes them.

use std::fmt;
use std::str::FromStr;

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// Prometheus' units, in the only order it accepts them.
const UNITS: [(&str, u64); 7] = [
    ("y", 365 * DAY),
    ("w", 7 * DAY),
    ("d", DAY),
    ("h", HOUR),
    ("m", MINUTE),
    ("s", SECOND),
    ("ms", 1),
];

/// A length of time with Prometheus' millisecond resolution: `300ms`, `5m`, `1h24m`, `30d`.
///
/// It prints in days and below only, because people say `7d` and `90d` and not `1w` and `12w6d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PromDuration {
    millis: u64,
}

impl PromDuration {
    pub const fn from_millis(millis: u64) -> Self {
        Self { millis }
    }

    pub const fn from_secs(secs: u64) -> Self {
        Self {
            millis: secs * SECOND,
        }
    }

    pub const fn from_minutes(minutes: u64) -> Self {
        Self {
            millis: minutes * MINUTE,
        }
    }

    pub const fn from_hours(hours: u64) -> Self {
        Self { millis: hours * HOUR }
    }

    pub const fn from_days(days: u64) -> Self {
        Self { millis: days * DAY }
    }

    pub const fn millis(self) -> u64 {
        self.millis
    }

    pub fn as_secs_f64(self) -> f64 {
        self.millis as f64 / SECOND as f64
    }

    /// Seconds as PromQL writes a number, exactly: `0.3`, `300`.
    pub fn seconds(self) -> String {
        let (whole, rest) = (self.millis / SECOND, self.millis % SECOND);
        if rest == 0 {
            whole.to_string()
        } else {
            format!("{whole}.{rest:03}").trim_end_matches('0').to_owned()
        }
    }

    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            millis: self.millis.saturating_add(other.millis),
        }
    }

    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self {
            millis: self.millis.saturating_sub(other.millis),
        }
    }

    /// This × `numerator` / `denominator`, to the nearest second: alert windows need no more.
    #[must_use]
    pub fn scaled(self, numerator: Self, denominator: Self) -> Self {
        let exact =
            u128::from(self.millis) * u128::from(numerator.millis) / u128::from(denominator.millis.max(1));
        let seconds = (exact + u128::from(SECOND) / 2) / u128::from(SECOND);
        Self::from_secs(u64::try_from(seconds).unwrap_or(u64::MAX / SECOND))
    }
}

impl fmt::Display for PromDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.millis == 0 {
            return f.write_str("0s");
        }
        let mut rest = self.millis;
        for (unit, length) in &UNITS[2..] {
            if rest >= *length {
                write!(f, "{}{unit}", rest / length)?;
                rest %= length;
            }
        }
        Ok(())
    }
}

/// Why a text is not a duration; one sentence, with the remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotADuration(String);

impl fmt::Display for NotADuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is not a Prometheus duration such as 300ms, 5m, 1h30m or 30d",
            self.0
        )
    }
}

impl std::error::Error for NotADuration {}

impl FromStr for PromDuration {
    type Err = NotADuration;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = || NotADuration(text.chars().take(40).collect());
        if text == "0" {
            return Ok(Self { millis: 0 });
        }
        let mut rest = text;
        let mut millis = 0_u64;
        let mut units = UNITS.iter();
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(refused)?;
            let (number, tail) = rest.split_at(digits);
            let number: u64 = number.parse().map_err(|_| refused())?;
            let letters = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
            let (unit, tail) = tail.split_at(letters);
            // Each unit once, from the largest to the smallest: the iterator only moves on.
            let (_, length) = units.find(|(name, _)| *name == unit).ok_or_else(refused)?;
            millis = number
                .checked_mul(*length)
                .and_then(|add| millis.checked_add(add))
                .ok_or_else(refused)?;
            rest = tail;
        }
        if text.is_empty() {
            return Err(refused());
        }
        Ok(Self { millis })
    }
}

impl serde::Serialize for PromDuration {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_prometheus_reads() {
        for (text, millis) in [
            ("300ms", 300),
            ("5m", 5 * MINUTE),
            ("1h30m", 90 * MINUTE),
            ("1w", 7 * DAY),
            ("1y2w3d", (365 + 14 + 3) * DAY),
            ("0", 0),
            ("0s", 0),
            ("90m", 90 * MINUTE),
        ] {
            assert_eq!(text.parse(), Ok(PromDuration::from_millis(millis)), "{text}");
        }
        for text in [
            "",
            "5",
            "m",
            "5 m",
            "5M",
            "-5m",
            "1.5h",
            "1m1h",
            "5m5m",
            "99999999999999999999s",
            "9999999999999y",
            "5µs",
        ] {
            assert!(text.parse::<PromDuration>().is_err(), "{text}");
        }
    }

    #[test]
    fn prints_days_and_not_weeks() {
        for text in [
            "300ms", "5m", "1h24m", "7d", "30d", "90d", "16h48m", "5m15s", "0s",
        ] {
            assert_eq!(
                text.parse::<PromDuration>().map(|d| d.to_string()),
                Ok(text.to_owned())
            );
        }
    }

    #[test]
    fn seconds_are_exact() {
        assert_eq!(PromDuration::from_millis(300).seconds(), "0.3");
        assert_eq!(PromDuration::from_millis(1).seconds(), "0.001");
        assert_eq!(PromDuration::from_secs(300).seconds(), "300");
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_back(millis in 0..u64::MAX / 2) {
            let duration = PromDuration::from_millis(millis);
            prop_assert_eq!(duration.to_string().parse(), Ok(duration));
        }

        #[test]
        fn any_text_is_answered(text in ".{0,30}") {
            let _ = text.parse::<PromDuration>();
        }
    }
}
