//! Objectives and budgets in exact decimals: a rule that says 0.9990000000000001 is one that nobody trusts.

use std::fmt;
use std::str::FromStr;

/// A share or a threshold in billionths, so that every factor × budget is exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ratio {
    billionths: u64,
}

const ONE: u64 = 1_000_000_000;

impl Ratio {
    pub const ONE: Self = Self { billionths: ONE };

    pub const fn from_billionths(billionths: u64) -> Self {
        Self { billionths }
    }

    pub fn as_f64(self) -> f64 {
        self.billionths as f64 / ONE as f64
    }

    /// This × `tenths` / 10: factors such as 14.4 have one decimal.
    #[must_use]
    pub const fn times_tenths(self, tenths: u64) -> Self {
        Self {
            billionths: self.billionths * tenths / 10,
        }
    }

    /// Halfway between this and one.
    #[must_use]
    pub const fn halfway_to_one(self) -> Self {
        Self {
            billionths: u64::midpoint(self.billionths, ONE),
        }
    }

    /// As percent, exactly: `99.9`.
    pub fn percent(self) -> String {
        decimal(self.billionths, ONE / 100)
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&decimal(self.billionths, ONE))
    }
}

fn decimal(value: u64, one: u64) -> String {
    let (whole, rest) = (value / one, value % one);
    if rest == 0 {
        return whole.to_string();
    }
    let width = one.ilog10() as usize;
    format!("{whole}.{rest:0width$}").trim_end_matches('0').to_owned()
}

/// How much must succeed, in percent, strictly between 0 and 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Objective {
    ratio: Ratio,
}

impl Objective {
    /// What must succeed: 0.999 for 99.9 %.
    pub const fn ratio(self) -> Ratio {
        self.ratio
    }

    /// What may fail: 0.001 for 99.9 %.
    pub const fn budget(self) -> Ratio {
        Ratio {
            billionths: ONE - self.ratio.billionths,
        }
    }
}

/// Prints percent, as the user writes it.
impl fmt::Display for Objective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.ratio.percent())
    }
}

/// Why a text is not an objective.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotAnObjective {
    NotANumber,
    OutOfRange,
    TooPrecise,
}

impl fmt::Display for NotAnObjective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotANumber => "is not a decimal number",
            Self::OutOfRange => "is not above 0 and below 100",
            Self::TooPrecise => "has more than six decimals",
        })
    }
}

impl std::error::Error for NotAnObjective {}

impl FromStr for Objective {
    type Err = NotAnObjective;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const DECIMALS: usize = 6;
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(fraction) {
            return Err(NotAnObjective::NotANumber);
        }
        let fraction = fraction.trim_end_matches('0');
        if fraction.len() > DECIMALS {
            return Err(NotAnObjective::TooPrecise);
        }
        let whole: u64 = whole.parse().map_err(|_| NotAnObjective::OutOfRange)?;
        let millionths: u64 = format!("{fraction:0<DECIMALS$}")
            .parse()
            .map_err(|_| NotAnObjective::NotANumber)?;
        let percent = whole
            .checked_mul(1_000_000)
            .and_then(|w| w.checked_add(millionths));
        // Millionths of a percent are tens of billionths of one.
        match percent.and_then(|p| p.checked_mul(10)) {
            Some(billionths) if billionths > 0 && billionths < ONE => Ok(Self {
                ratio: Ratio { billionths },
            }),
            _ => Err(NotAnObjective::OutOfRange),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn objective(text: &str) -> Objective {
        text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
    }

    #[test]
    fn objectives_and_budgets_are_exact() {
        for (text, ratio, budget, fast) in [
            ("99.9", "0.999", "0.001", "0.0144"),
            ("99.99", "0.9999", "0.0001", "0.00144"),
            ("99.999", "0.99999", "0.00001", "0.000144"),
            ("99", "0.99", "0.01", "0.144"),
            ("50", "0.5", "0.5", "7.2"),
            ("99.500", "0.995", "0.005", "0.072"),
            ("0.000001", "0.00000001", "0.99999999", "14.399999856"),
        ] {
            let o = objective(text);
            assert_eq!(o.ratio().to_string(), ratio);
            assert_eq!(o.budget().to_string(), budget);
            assert_eq!(o.budget().times_tenths(144).to_string(), fast);
        }
        assert_eq!(objective("99.90").to_string(), "99.9");
    }

    #[test]
    fn refuses_what_is_no_objective() {
        for (text, why) in [
            ("", NotAnObjective::NotANumber),
            ("nine", NotAnObjective::NotANumber),
            ("1e1", NotAnObjective::NotANumber),
            ("-5", NotAnObjective::NotANumber),
            ("99.", NotAnObjective::NotANumber),
            ("NaN", NotAnObjective::NotANumber),
            ("0", NotAnObjective::OutOfRange),
            ("0.0", NotAnObjective::OutOfRange),
            ("100", NotAnObjective::OutOfRange),
            ("100.0", NotAnObjective::OutOfRange),
            ("99999999999999999999999", NotAnObjective::OutOfRange),
            ("99.9999999", NotAnObjective::TooPrecise),
        ] {
            assert_eq!(text.parse::<Objective>(), Err(why), "{text}");
        }
    }

    proptest! {
        #[test]
        fn budget_and_objective_make_one(billionths in (1..100_000_000_u64).prop_map(|b| b * 10).prop_filter("below one", |b| *b < ONE)) {
            let text = Ratio { billionths }.percent();
            let o = objective(&text);
            prop_assert_eq!(o.to_string(), text);
            prop_assert_eq!(o.ratio().billionths + o.budget().billionths, ONE);
        }

        #[test]
        fn any_text_is_answered(text in ".{0,30}") {
            let _ = text.parse::<Objective>();
        }
    }
}
