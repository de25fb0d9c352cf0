//! Kubernetes' quantities as numbers: `100m`, `1.5`, `512Mi`, `1e3`.

use std::fmt;
use std::str::FromStr;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

const BILLION: i128 = 1_000_000_000;

/// A quantity in billionths, the smallest that Kubernetes knows, and rounded up below that, as Kubernetes does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Amount {
    billionths: i128,
}

/// A text that is no quantity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotAQuantity(String);

impl fmt::Display for NotAQuantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no quantity", self.0)
    }
}

impl std::error::Error for NotAQuantity {}

impl Amount {
    /// Whole units (bytes, cores), rounded up; a negative amount is none at all.
    pub fn units(self) -> u64 {
        self.parts_of(BILLION)
    }

    /// Thousandths of a unit, rounded up; a negative amount is none at all.
    pub fn thousandths(self) -> u64 {
        self.parts_of(BILLION / 1000)
    }

    pub fn is_positive(self) -> bool {
        self.billionths > 0
    }

    pub fn is_negative(self) -> bool {
        self.billionths < 0
    }

    fn parts_of(self, billionths: i128) -> u64 {
        let parts = self.billionths.max(0).saturating_add(billionths - 1) / billionths;
        u64::try_from(parts).unwrap_or(u64::MAX)
    }
}

impl FromStr for Amount {
    type Err = NotAQuantity;

    fn from_str(text: &str) -> Result<Self, NotAQuantity> {
        parse(text)
            .map(|billionths| Self { billionths })
            .ok_or_else(|| NotAQuantity(text.to_owned()))
    }
}

impl TryFrom<&Quantity> for Amount {
    type Error = NotAQuantity;

    fn try_from(quantity: &Quantity) -> Result<Self, NotAQuantity> {
        quantity.0.parse()
    }
}

fn parse(text: &str) -> Option<i128> {
    let (sign, unsigned) = match text.as_bytes().first()? {
        b'-' => (-1, &text[1..]),
        b'+' => (1, &text[1..]),
        _ => (1, text),
    };
    let end = unsigned
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(unsigned.len());
    let (number, suffix) = unsigned.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || digits.len() > 30 || fraction.contains('.') {
        return None;
    }
    // digits × base^exponent / 10^fraction, in billionths.
    let mut numerator = digits.parse::<i128>().ok()?.checked_mul(BILLION)?;
    let mut denominator = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let (base, exponent) = scale(suffix)?;
    let power = i128::from(base).checked_pow(exponent.unsigned_abs())?;
    if exponent < 0 {
        denominator = denominator.checked_mul(power)?;
    } else {
        numerator = numerator.checked_mul(power)?;
    }
    Some(sign * (numerator.checked_add(denominator - 1)? / denominator))
}

/// The base and the exponent that a suffix stands for.
fn scale(suffix: &str) -> Option<(i32, i32)> {
    const DECIMAL: [&str; 10] = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"];
    const BINARY: [&str; 6] = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    let index = |names: &[&str]| {
        let at = names.iter().position(|name| *name == suffix)?;
        i32::try_from(at).ok()
    };
    if let Some(at) = index(&DECIMAL) {
        return Some((10, at * 3 - 9));
    }
    if let Some(at) = index(&BINARY) {
        return Some((2, (at + 1) * 10));
    }
    let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
    (-18..=18).contains(&exponent).then_some((10, exponent))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn billionths(text: &str) -> Option<i128> {
        text.parse::<Amount>().ok().map(|amount| amount.billionths)
    }

    #[test]
    fn reads_what_kubernetes_reads() {
        for (text, expected) in [
            ("1", 1_000_000_000),
            ("100m", 100_000_000),
            ("1.5", 1_500_000_000),
            (".5", 500_000_000),
            ("5.", 5_000_000_000),
            ("1n", 1),
            ("0.1n", 1),
            ("64Mi", 64 * 1024 * 1024 * 1_000_000_000),
            ("1.5Gi", 1_610_612_736_000_000_000),
            ("1e3", 1_000_000_000_000),
            ("1E-3", 1_000_000),
            ("1E", 1_000_000_000_000_000_000_000_000_000),
            ("-1", -1_000_000_000),
            ("+2k", 2_000_000_000_000),
        ] {
            assert_eq!(billionths(text), Some(expected), "{text}");
        }
        assert!(billionths("1Ei") > billionths("1E"));
    }

    #[test]
    fn refuses_everything_else() {
        for text in [
            "", "-", ".", "Mi", "1.2.3", "1 Gi", "1gi", "1e", "1e99", "one", "é", "1é",
        ] {
            assert_eq!(billionths(text), None, "{text}");
        }
    }

    #[test]
    fn parts_are_rounded_up_and_never_negative() {
        let parts = |text: &str| {
            let amount = text.parse::<Amount>();
            amount.map(|amount| (amount.units(), amount.thousandths()))
        };
        assert_eq!(parts("1500m"), Ok((2, 1500)));
        assert_eq!(parts("1n"), Ok((1, 1)));
        assert_eq!(parts("-3"), Ok((0, 0)));
        assert_eq!(parts("64Mi"), Ok((67_108_864, 67_108_864_000)));
    }
}
