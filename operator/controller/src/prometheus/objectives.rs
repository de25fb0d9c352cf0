//! From what Prometheus said to how an objective stands. Pure.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use observedapp_api::{SloSpec, SloStatus};
use observedapp_slo::PromDuration;

use super::numbers::{percent_of, span, times, whole_percent};
use super::view::{Figures, View};

/// How this objective of an app stands.
pub(super) fn stands(slo: &SloSpec, view: &View) -> SloStatus {
    let base = SloStatus {
        name: slo.name.clone(),
        objective: format!("{}%", slo.objective),
        window: slo.window.clone(),
        ..SloStatus::default()
    };
    let Some(figures) = view.slos.get(&slo.name) else {
        return base;
    };
    let window = slo
        .window
        .parse::<PromDuration>()
        .map_or(0.0, PromDuration::as_secs_f64);
    SloStatus {
        window_coverage: figures.coverage.map(whole_percent),
        sli: figures
            .error_ratio
            .map(|errors| percent_of(1.0 - errors, slo.objective)),
        budget_remaining: figures.error_ratio.and(figures.budget).map(whole_percent),
        burn_rate: figures.burn.map(times),
        exhausts_in: exhausts_in(figures, window),
        state: figures.state(),
        observed_at: view
            .told
            .and_then(|told| Timestamp::from_second(told.second).ok())
            .map(Time),
        ..base
    }
}

/// When the budget is spent if it goes on like this; nothing where that is beyond the window.
fn exhausts_in(figures: &Figures, window: f64) -> Option<String> {
    let (budget, burn) = (figures.budget?, figures.burn?);
    if budget <= 0.0 || burn <= 0.0 {
        return None;
    }
    let seconds = budget * window / burn;
    (seconds < window).then(|| span(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_lasts_as_long_as_it_burns_like_this() {
        let burning = |budget, burn| Figures {
            budget: Some(budget),
            burn: Some(burn),
            ..Figures::default()
        };
        let window = 30.0 * 86_400.0;
        assert_eq!(exhausts_in(&burning(0.5, 1.5), window).as_deref(), Some("10d"));
        assert_eq!(
            exhausts_in(&burning(0.5, 0.25), window),
            None,
            "beyond the window"
        );
        assert_eq!(exhausts_in(&burning(-0.1, 2.0), window), None, "spent already");
        assert_eq!(exhausts_in(&Figures::default(), window), None);
    }
}
