//! Kubernetes' quantities as numbers, as far as admission compares them.

/// A quantity such as `100m`, `1.5` or `512Mi` in billionths, rounded up; nothing where it is none.
pub(crate) fn nanos(text: &str) -> Option<i128> {
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
    if digits.is_empty() || digits.len() > 24 || fraction.contains('.') {
        return None;
    }
    let mut numerator: i128 = digits.parse().ok()?;
    let mut denominator = 10_i128.pow(u32::try_from(fraction.len()).ok()?);
    let (base, exponent) = scale(suffix)?;
    if base == 2 {
        numerator = numerator.checked_mul(1_000_000_000)?;
    }
    let exponent = if base == 2 { exponent } else { exponent + 9 };
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
    use super::nanos;

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
            ("1e3", 1_000_000_000_000),
            ("1E-3", 1_000_000),
            ("-1", -1_000_000_000),
            ("+2k", 2_000_000_000_000),
        ] {
            assert_eq!(nanos(text), Some(expected), "{text}");
        }
        assert!(nanos("1Ei") > nanos("1E"));
        for text in [
            "", "-", ".", "Mi", "1.2.3", "1 Gi", "1gi", "1e", "1e99", "one", "é", "1é",
        ] {
            assert_eq!(nanos(text), None, "{text}");
        }
    }
}
