//! Figures as people read them.

use observedapp_slo::PromDuration;

/// How long samples are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retention {
    pub said: String,
    /// Absent where only a size, or nothing, bounds it.
    pub time: Option<PromDuration>,
}

impl Retention {
    /// Reads `15d`, `15d or 10GiB`, `0s`.
    pub fn read(said: &str) -> Option<Self> {
        let said = said.trim();
        if said.is_empty() {
            return None;
        }
        let time = said
            .split(" or ")
            .filter_map(|part| part.trim().parse::<PromDuration>().ok())
            .find(|time| time.millis() > 0);
        Some(Self {
            said: said.to_owned(),
            time,
        })
    }
}

/// `99.95%`: as many decimals as distinguish the objective from what it nearly is, rounded down, so that what is not met
/// never reads as if it were.
pub fn percent_of(ratio: f64, objective: f64) -> String {
    let decimals = decimals_of(objective);
    let factor = 10_f64.powi(decimals);
    let percent = (ratio.clamp(0.0, 1.0) * 100.0 * factor + 1e-6).floor() / factor;
    format!("{percent:.*}%", usize::try_from(decimals).unwrap_or(2))
}

/// What the last digit of [`percent_of`] counts, as a ratio.
pub fn digit_of(objective: f64) -> f64 {
    10_f64.powi(-decimals_of(objective)) / 100.0
}

/// One more than the objective has, at least two.
fn decimals_of(objective: f64) -> i32 {
    let text = format!("{objective}");
    let given = text.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    i32::try_from(given + 1).unwrap_or(2).clamp(2, 6)
}

/// `61%`; a negative budget is overspent.
pub fn whole_percent(ratio: f64) -> String {
    let percent = (ratio * 100.0).floor();
    format!("{:.0}%", if percent == 0.0 { 0.0 } else { percent })
}

/// `1.4x`.
pub fn times(rate: f64) -> String {
    if rate >= 100.0 {
        format!("{rate:.0}x")
    } else {
        format!("{rate:.1}x")
    }
}

/// `5h`, `3d`, `20m`: one unit, rounded down.
pub fn span(seconds: f64) -> String {
    let (unit, letter) = unit_of(seconds);
    format!("{:.0}{letter}", (seconds / unit).floor())
}

/// In what [`span`] counts so many seconds: how many of them are one, and its letter.
pub fn unit_of(seconds: f64) -> (f64, char) {
    if seconds >= 172_800.0 {
        (86_400.0, 'd')
    } else if seconds >= 7_200.0 {
        (3_600.0, 'h')
    } else {
        (60.0, 'm')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_objective_that_is_missed_never_reads_as_met() {
        assert_eq!(percent_of(0.998_999_9, 99.9), "99.89%");
        assert_eq!(percent_of(0.999, 99.9), "99.90%");
        assert_eq!(percent_of(1.0, 99.0), "100.00%");
        assert_eq!(percent_of(0.999_949, 99.99), "99.994%");
    }

    #[test]
    fn budgets_rates_and_spans_are_short() {
        assert_eq!(whole_percent(0.619), "61%");
        assert_eq!(whole_percent(-0.2), "-20%");
        assert_eq!(times(1.44), "1.4x");
        assert_eq!(span(18_500.0), "5h");
        assert_eq!(span(90.0), "1m");
    }

    #[test]
    fn retention_is_read_in_all_its_forms() {
        let days = |said: &str| {
            Retention::read(said)
                .and_then(|retention| retention.time)
                .map(PromDuration::millis)
        };
        assert_eq!(days("15d"), Some(15 * 86_400_000));
        assert_eq!(days("15d or 10GiB"), Some(15 * 86_400_000));
        assert_eq!(days("10GiB"), None);
        assert_eq!(Retention::read(""), None);
    }
}
