//! Whether a latency threshold can be judged by the buckets that an app exposes.

use crate::duration::PromDuration;
use crate::problem::Refusal;

/// Compares a threshold with the `le` values seen on a classic histogram. Between two buckets nobody
/// can say how many requests were faster, so the two are named to choose from.
pub fn check_buckets<'a>(
    threshold: PromDuration,
    le: impl IntoIterator<Item = &'a str>,
) -> Result<(), Refusal> {
    let wanted = threshold.as_secs_f64();
    let mut bounds: Vec<f64> = le
        .into_iter()
        .filter_map(|le| le.parse().ok())
        .filter(|bound: &f64| !bound.is_nan())
        .collect();
    bounds.sort_by(f64::total_cmp);
    // No bucket at all means a native histogram, or none yet: nothing to compare with.
    if bounds.is_empty() || bounds.iter().any(|bound| (bound - wanted).abs() < 1e-9) {
        return Ok(());
    }
    let below = bounds.iter().rev().find(|bound| **bound < wanted);
    let above = bounds.iter().find(|bound| **bound > wanted && bound.is_finite());
    let (between, choose) = match (below, above) {
        (Some(below), Some(above)) => (
            format!("lies between the buckets {below} s and {above} s"),
            format!("{} or {}", as_duration(*below), as_duration(*above)),
        ),
        (None, Some(above)) => (
            format!("lies below the first bucket, {above} s"),
            as_duration(*above),
        ),
        (Some(below), None) => (
            format!("lies above the last bucket, {below} s"),
            as_duration(*below),
        ),
        (None, None) => (
            "has no bucket but +Inf".to_owned(),
            "a threshold once the app has buckets".to_owned(),
        ),
    };
    Err(Refusal::new(
        format!("the threshold {threshold} {between}"),
        format!("use {choose}, or add a bucket of {wanted} s to the app's histogram"),
    ))
}

/// A bound in the form in which a threshold is written; buckets finer than a millisecond stay seconds.
fn as_duration(seconds: f64) -> String {
    let millis = seconds * 1000.0;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    if millis >= 1.0 && (millis - millis.round()).abs() < 1e-6 {
        PromDuration::from_millis(millis.round() as u64).to_string()
    } else {
        format!("{seconds} s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(threshold: &str, le: &[&str]) -> Result<(), String> {
        let threshold = threshold.parse().expect("a duration");
        check_buckets(threshold, le.iter().copied()).map_err(|refusal| refusal.to_string())
    }

    #[test]
    fn a_bucket_of_any_spelling_will_do() {
        assert_eq!(check("300ms", &["0.1", "0.30", "+Inf"]), Ok(()));
        assert_eq!(check("1s", &["0.5", "1.0", "+Inf"]), Ok(()));
        assert_eq!(check("1s", &["1e+00"]), Ok(()));
        assert_eq!(check("1s", &[]), Ok(()));
    }

    #[test]
    fn otherwise_the_neighbours_are_named() {
        let refusal = check("300ms", &["0.1", "0.25", "0.5", "+Inf"]).expect_err("between two buckets");
        assert!(
            refusal.contains("between the buckets 0.25 s and 0.5 s"),
            "{refusal}"
        );
        assert!(refusal.contains("use 250ms or 500ms"), "{refusal}");
        assert!(
            check("1ms", &["0.1", "+Inf"])
                .expect_err("below")
                .contains("first bucket, 0.1 s")
        );
        assert!(
            check("10s", &["0.1", "5", "+Inf"])
                .expect_err("above")
                .contains("last bucket, 5 s")
        );
        assert!(check("10s", &["+Inf"]).is_err());
    }
}
