//! The figures of one SLO, and whether they moved.

use observedapp_api::SloSpec;
use observedapp_slo::PromDuration;

use super::numbers::{digit_of, unit_of};

/// The figures of one SLO.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Figures {
    pub error_ratio: Option<f64>,
    pub budget: Option<f64>,
    pub burn: Option<f64>,
    pub coverage: Option<f64>,
    /// When the newest of these was recorded, in seconds since the epoch.
    pub recorded_at: Option<i64>,
    /// Whether the rules that record them are evaluated when they are due.
    pub is_evaluated: bool,
}

/// Whether a figure, as it is shown, moved by more than the noise of its last digit.
pub fn moved(slo: &SloSpec, now: &Figures, then: &Figures) -> bool {
    let moved = |of: fn(&Figures) -> Option<f64>, digit: f64| match (of(now), of(then)) {
        (Some(now), Some(then)) => (now - then).abs() > digit * 0.75,
        (now, then) => now.is_some() != then.is_some(),
    };
    let window = window_of(slo);
    let lasts = |figures: &Figures| seconds_left(figures, window).map(|seconds| seconds.min(window));
    let ends_elsewhen = lasts(now)
        .zip(lasts(then))
        .is_some_and(|(now, then)| (now - then).abs() > unit_of(then).0 * 0.75);
    moved(|figures| figures.error_ratio, digit_of(slo.objective))
        || moved(|figures| figures.budget, 1e-2)
        || moved(|figures| figures.burn, 1e-1)
        || moved(|figures| figures.coverage, 1e-2)
        || ends_elsewhen
}

/// In seconds.
pub fn window_of(slo: &SloSpec) -> f64 {
    slo.window
        .parse::<PromDuration>()
        .map_or(0.0, PromDuration::as_secs_f64)
}

/// After how many seconds the budget is spent if it goes on like this.
pub fn seconds_left(figures: &Figures, window: f64) -> Option<f64> {
    let (budget, burn) = (figures.budget?, figures.burn?);
    Some(if budget <= 0.0 {
        0.0
    } else if burn <= 0.0 {
        f64::INFINITY
    } else {
        budget * window / burn
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub mod tests {
    use serde_json::json;

    use super::*;

    /// An SLO named `a`.
    pub fn slo(objective: f64) -> SloSpec {
        serde_json::from_value(
            json!({"name": "a", "objective": objective, "indicator": {"availability": {}}}),
        )
        .unwrap()
    }

    #[test]
    fn what_moved_by_less_than_the_last_digit_s_noise_has_not_moved() {
        let then = Figures {
            error_ratio: Some(0.000_5),
            budget: Some(0.5),
            burn: Some(0.4),
            coverage: Some(0.12),
            ..Figures::default()
        };
        let errors = |ratio| Figures {
            error_ratio: Some(ratio),
            ..then
        };
        assert!(!moved(&slo(99.9), &errors(0.000_56), &then));
        assert!(moved(&slo(99.9), &errors(0.000_6), &then));
        assert!(moved(&slo(99.99), &errors(0.000_56), &then), "three decimals");
        let burns = |burn, budget| Figures {
            burn: Some(burn),
            budget: Some(budget),
            ..then
        };
        assert!(!moved(&slo(99.9), &burns(0.45, 0.505), &then));
        assert!(moved(&slo(99.9), &burns(0.5, 0.5), &then));
        // Nineteen days left, and eighteen.
        assert!(moved(&slo(99.9), &burns(1.43, 0.9), &burns(1.5, 0.9)));
        let unknown = Figures { burn: None, ..then };
        assert!(moved(&slo(99.9), &unknown, &then));
    }
}
