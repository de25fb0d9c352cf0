//! The period an SLO is judged over, and the alert windows that follow from it.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use crate::duration::PromDuration;
use crate::objective::{Objective, Ratio};

/// The period of an SLO, 1d to 90d.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Window {
    length: PromDuration,
}

impl Window {
    pub const DEFAULT: Self = Self {
        length: PromDuration::from_days(30),
    };
    pub const SHORTEST: Self = Self {
        length: PromDuration::from_days(1),
    };
    pub const LONGEST: Self = Self {
        length: PromDuration::from_days(90),
    };

    pub const fn length(self) -> PromDuration {
        self.length
    }

    /// The period that alert windows are scaled by: a month is a month, however long.
    fn alert_period(self) -> PromDuration {
        let month = PromDuration::from_days(28)..=PromDuration::from_days(31);
        if month.contains(&self.length) {
            PromDuration::from_days(30)
        } else {
            self.length
        }
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.length.fmt(f)
    }
}

/// Why a text is not an SLO's window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotAWindow {
    NotADuration,
    OutOfRange,
    NotWholeMinutes,
}

impl fmt::Display for NotAWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotADuration => "is not a duration",
            Self::OutOfRange => "is not between 1d and 90d",
            Self::NotWholeMinutes => "is not a whole number of minutes",
        })
    }
}

impl std::error::Error for NotAWindow {}

impl FromStr for Window {
    type Err = NotAWindow;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let length: PromDuration = text.parse().map_err(|_| NotAWindow::NotADuration)?;
        if length < Self::SHORTEST.length || length > Self::LONGEST.length {
            return Err(NotAWindow::OutOfRange);
        }
        if !length
            .millis()
            .is_multiple_of(PromDuration::from_minutes(1).millis())
        {
            return Err(NotAWindow::NotWholeMinutes);
        }
        Ok(Self { length })
    }
}

/// How soon somebody should act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Speed {
    /// A page.
    Fast,
    /// A ticket.
    Slow,
}

/// A long window that shows that it matters and a short one that shows that it still goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BurnPair {
    pub speed: Speed,
    /// How many times faster than sustainable, in tenths.
    pub factor_tenths: u64,
    pub long: PromDuration,
    pub short: PromDuration,
    /// The error ratio that both windows must exceed.
    pub threshold: Ratio,
    /// factor × budget, where no error ratio can exceed it and a lower threshold took its place.
    pub lowered_from: Option<Ratio>,
}

impl BurnPair {
    pub fn factor(&self) -> String {
        Ratio::from_billionths(self.factor_tenths * 100_000_000).to_string()
    }
}

/// The SRE Workbook's table for 30 days: speed, factor in tenths, long window.
const PAIRS_FOR_30_DAYS: [(Speed, u64, PromDuration); 4] = [
    (Speed::Fast, 144, PromDuration::from_hours(1)),
    (Speed::Fast, 60, PromDuration::from_hours(6)),
    (Speed::Slow, 30, PromDuration::from_days(1)),
    (Speed::Slow, 10, PromDuration::from_days(3)),
];

const SHORTEST_LONG: PromDuration = PromDuration::from_minutes(10);
const SHORTEST_SHORT: PromDuration = PromDuration::from_minutes(5);

/// Four fifths: an outage that behind retries and caches lets some requests through is still one.
const LOWERED: Ratio = Ratio::from_billionths(800_000_000);

/// The alert windows of an SLO. The windows scale with the period and the factors stay: scaled
/// factors would page at less than the sustainable rate.
pub fn burn_pairs(window: Window, objective: Objective) -> [BurnPair; 4] {
    let budget = objective.budget();
    PAIRS_FOR_30_DAYS.map(|(speed, factor_tenths, base)| {
        let long = base
            .scaled(window.alert_period(), PromDuration::from_days(30))
            .max(SHORTEST_LONG);
        let twelfth = long.scaled(PromDuration::from_minutes(1), PromDuration::from_minutes(12));
        let wanted = budget.times_tenths(factor_tenths);
        let reachable = wanted < Ratio::ONE;
        BurnPair {
            speed,
            factor_tenths,
            long,
            short: twelfth.max(SHORTEST_SHORT),
            // Always above the budget itself, whatever the objective, and always below one.
            threshold: if reachable {
                wanted
            } else {
                LOWERED.max(budget.halfway_to_one())
            },
            lowered_from: (!reachable).then_some(wanted),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pairs(window: &str, objective: &str) -> [BurnPair; 4] {
        burn_pairs(
            window.parse().expect("a window"),
            objective.parse().expect("an objective"),
        )
    }

    fn windows(window: &str) -> String {
        pairs(window, "99.9")
            .map(|p| format!("{}/{}", p.long, p.short))
            .join(" ")
    }

    #[test]
    fn windows_scale_with_the_period() {
        for (window, expected) in [
            ("1d", "10m/5m 12m/5m 48m/5m 2h24m/12m"),
            ("7d", "14m/5m 1h24m/7m 5h36m/28m 16h48m/1h24m"),
            ("28d", "1h/5m 6h/30m 1d/2h 3d/6h"),
            ("30d", "1h/5m 6h/30m 1d/2h 3d/6h"),
            ("31d", "1h/5m 6h/30m 1d/2h 3d/6h"),
            ("90d", "3h/15m 18h/1h30m 3d/6h 9d/18h"),
        ] {
            assert_eq!(windows(window), expected, "{window}");
        }
    }

    #[test]
    fn thresholds_are_factor_times_budget_where_a_ratio_can_reach_them() {
        let at = |objective: &str| pairs("30d", objective).map(|p| p.threshold.to_string()).join(" ");
        assert_eq!(at("99.9"), "0.0144 0.006 0.003 0.001");
        assert_eq!(at("99.999"), "0.000144 0.00006 0.00003 0.00001");
        assert_eq!(at("93.1"), "0.9936 0.414 0.207 0.069");
        assert_eq!(at("90"), "0.8 0.6 0.3 0.1");
        assert_eq!(at("50"), "0.8 0.8 0.8 0.5");
        assert_eq!(at("20"), "0.9 0.9 0.9 0.8");
    }

    #[test]
    fn refuses_windows_that_are_none() {
        for (text, why) in [
            ("30", NotAWindow::NotADuration),
            ("23h", NotAWindow::OutOfRange),
            ("91d", NotAWindow::OutOfRange),
            ("1d1s", NotAWindow::NotWholeMinutes),
        ] {
            assert_eq!(text.parse::<Window>(), Err(why), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_pair_can_fire_and_never_below_the_sustainable_rate(
            minutes in 1440..=129_600_u64,
            objective in 1..100_000_000_u64,
        ) {
            let window: Window = PromDuration::from_minutes(minutes).to_string().parse().expect("a window");
            let objective: Objective =
                Ratio::from_billionths(objective * 10).percent().parse().expect("an objective");
            for pair in burn_pairs(window, objective) {
                prop_assert!(pair.threshold < Ratio::ONE);
                prop_assert!(pair.threshold >= objective.budget());
                prop_assert!(pair.short < pair.long);
                prop_assert!(pair.long <= window.length());
            }
        }
    }
}
