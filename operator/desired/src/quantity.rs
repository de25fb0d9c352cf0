//! Kubernetes' quantities as numbers: `100m`, `1.5`, `512Mi`, `1e3`.

use std::str::FromStr;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

/// A quantity in thousandths, exact for everything that a pod can ask for and rounded up below that, as Kubernetes
/// does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Amount {
    thousandths: i128,
}

/// A text that is no quantity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no quantity")]
pub struct NotAQuantity(String);

impl Amount {
    pub fn from_bytes(bytes: u64) -> Self {
        Self {
            thousandths: i128::from(bytes) * 1000,
        }
    }

    /// Whole units (bytes, cores), rounded up; a negative amount is none at all.
    pub fn units(self) -> u64 {
        u64::try_from((self.thousandths + 999).div_euclid(1000).max(0)).unwrap_or(u64::MAX)
    }

    /// Thousandths of a unit; a negative amount is none at all.
    pub fn thousandths(self) -> u64 {
        u64::try_from(self.thousandths.max(0)).unwrap_or(u64::MAX)
    }
}

impl FromStr for Amount {
    type Err = NotAQuantity;

    fn from_str(text: &str) -> Result<Self, NotAQuantity> {
        parse(text)
            .map(|thousandths| Self { thousandths })
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
    let (negative, unsigned) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
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
    let digits: i128 = digits.parse().ok()?;
    let (base, exponent) = scale(suffix)?;
    let exponent = exponent + if base == 2 { 0 } else { 3 };
    // value = digits × base^exponent / 10^fraction, in thousandths.
    let mut numerator = digits;
    let mut denominator = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    if base == 2 {
        numerator = numerator.checked_mul(1000)?;
    }
    let power = i128::from(base).checked_pow(exponent.unsigned_abs())?;
    if exponent >= 0 {
        numerator = numerator.checked_mul(power)?;
    } else {
        denominator = denominator.checked_mul(power)?;
    }
    let rounded_up = numerator.checked_add(denominator - 1)? / denominator;
    Some(if negative { -rounded_up } else { rounded_up })
}

/// The base and exponent that a suffix stands for.
fn scale(suffix: &str) -> Option<(i32, i32)> {
    Some(match suffix {
        "n" => (10, -9),
        "u" => (10, -6),
        "m" => (10, -3),
        "" => (10, 0),
        "k" => (10, 3),
        "M" => (10, 6),
        "G" => (10, 9),
        "T" => (10, 12),
        "P" => (10, 15),
        "E" => (10, 18),
        "Ki" => (2, 10),
        "Mi" => (2, 20),
        "Gi" => (2, 30),
        "Ti" => (2, 40),
        "Pi" => (2, 50),
        "Ei" => (2, 60),
        _ => {
            let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
            (-18..=18).contains(&exponent).then_some((10, exponent))?
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_kubernetes_reads() {
        for (text, thousandths) in [
            ("1", 1000),
            ("100m", 100),
            ("1.5", 1500),
            (".5", 500),
            ("5.", 5000),
            ("0.1m", 1),
            ("1n", 1),
            ("64Mi", 64 * 1024 * 1024 * 1000),
            ("1.5Gi", 1_610_612_736_000),
            ("1e3", 1_000_000),
            ("1E3", 1_000_000),
            ("1E", 1_000_000_000_000_000_000_000),
            ("-1", -1000),
            ("+2k", 2_000_000),
        ] {
            assert_eq!(text.parse(), Ok(Amount { thousandths }), "{text}");
        }
    }

    #[test]
    fn refuses_everything_else() {
        for text in [
            "", "-", "Mi", "1.2.3", "1 Gi", "1gi", "1e", "1e99", "one", "é", "1é",
        ] {
            assert!(text.parse::<Amount>().is_err(), "{text}");
        }
    }
}
