//! From what Prometheus said to how an objective stands. Pure.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use observedapp_api::{ConditionType, FIGURES, SloSpec, SloState, SloStatus};
use observedapp_slo::PromDuration;

use super::numbers::{digit_of, percent_of, span, times, unit_of, whole_percent};
use super::view::{Evaluated, Figures, View};
use crate::status::Finding;

/// How an objective stands, and whether that is of now.
#[derive(Debug)]
pub(super) struct Standing {
    pub status: SloStatus,
    pub is_current: bool,
}

/// How this objective of an app stands. Where its rules are not evaluated it stands as it did `before`, but for what
/// puts it at risk now.
pub(super) fn stands(slo: &SloSpec, view: &View, before: &[SloStatus]) -> Standing {
    let base = SloStatus {
        name: slo.name.clone(),
        objective: format!("{}%", slo.objective),
        window: slo.window.clone(),
        ..SloStatus::default()
    };
    let before = before.iter().find(|before| {
        before.name == base.name && before.objective == base.objective && before.window == base.window
    });
    // Rules that have recorded how much of the window is known are not new, though Prometheus may have lost it.
    let recorded = before.filter(|before| before.window_coverage.is_some());
    let current = view
        .slos
        .get(&slo.name)
        .filter(|figures| match figures.evaluated {
            Evaluated::No => false,
            Evaluated::WithoutFailures => recorded.is_none(),
            Evaluated::Yes => true,
        });
    let Some(figures) = current else {
        let mut status = recorded.cloned().unwrap_or(base);
        if status.state != SloState::Violated && view.state(&slo.name) == SloState::AtRisk {
            status.state = SloState::AtRisk;
        }
        return Standing {
            status,
            is_current: false,
        };
    };
    Standing {
        status: shown(slo, view, figures, base, before),
        is_current: true,
    }
}

/// What is shown of these figures, and since when it is true.
fn shown(
    slo: &SloSpec,
    view: &View,
    figures: &Figures,
    base: SloStatus,
    before: Option<&SloStatus>,
) -> SloStatus {
    let now = SloStatus {
        window_coverage: figures.coverage.map(whole_percent),
        sli: figures
            .error_ratio
            .map(|errors| percent_of(1.0 - errors, slo.objective)),
        budget_remaining: figures.error_ratio.and(figures.budget).map(whole_percent),
        burn_rate: figures.burn.map(times),
        exhausts_in: exhausts_in(figures, window_of(slo)),
        state: view.state(&slo.name),
        observed_at: before.and_then(|before| before.observed_at.clone()),
        ..base
    };
    if before == Some(&now) && now.observed_at.is_some() {
        return now;
    }
    SloStatus {
        observed_at: figures
            .recorded_at
            .and_then(|second| Timestamp::from_second(second).ok())
            .map(Time),
        ..now
    }
}

/// The objective with the least budget left, by what is shown of it; one of which nothing is known comes last.
pub(super) fn worst(slos: &[SloStatus]) -> Option<&SloStatus> {
    let budget = |slo: &SloStatus| {
        let shown = slo.budget_remaining.as_deref().unwrap_or_default();
        shown.trim_end_matches('%').parse().unwrap_or(f64::INFINITY)
    };
    slos.iter().min_by(|a, b| budget(a).total_cmp(&budget(b)))
}

/// Whether any of the objectives has spent its budget, as far as Prometheus tells.
pub(super) fn met(standings: &[Standing], view: &View) -> Finding {
    let type_ = ConditionType::SLOsMet;
    let list = |which: fn(&Standing) -> bool| -> Option<String> {
        let names: Vec<&str> = standings
            .iter()
            .filter(|standing| which(standing))
            .map(|standing| standing.status.name.as_str())
            .collect();
        (!names.is_empty()).then(|| names.join(", "))
    };
    let violated = |standing: &Standing| standing.is_current && standing.status.state == SloState::Violated;
    if let Some(names) = list(violated) {
        return Finding::no(
            type_,
            "BudgetSpent",
            format!("the error budget of {names} is spent ({FIGURES}): put what mends it before what is new"),
        );
    }
    if let Some((slo, why)) = view.unmeasurable.first_key_value() {
        let why = why.as_deref().unwrap_or(
            "the series of its failed events are absent: check the indicator's metrics and matchers",
        );
        return Finding::unknown(
            type_,
            "NotMeasurable",
            format!("the objective {slo} has events and cannot be judged: {why}"),
        );
    }
    if let Some(names) = list(|standing| !standing.is_current && standing.status.sli.is_some()) {
        return Finding::unknown(
            type_,
            "NotRecorded",
            format!(
                "Prometheus has recorded nothing of {names} for some minutes, and what is shown is from then: see Monitored, RulesLoaded and Prometheus' log"
            ),
        );
    }
    if standings
        .iter()
        .all(|standing| standing.status.state == SloState::NoData)
    {
        return Finding::unknown(
            type_,
            "NoData",
            "there is no data yet: no traffic, or the rules are young",
        );
    }
    match list(|standing| standing.status.state == SloState::AtRisk) {
        Some(names) => Finding::yes(
            type_,
            "AtRisk",
            format!(
                "no objective has spent its budget; at risk, for it burns faster than is sustainable or has an alert that fires: {names} ({FIGURES})"
            ),
        ),
        None => Finding::yes(
            type_,
            "WithinBudget",
            format!("no objective has spent its budget ({FIGURES})"),
        ),
    }
}

/// Whether a figure, as it is shown, moved by more than the noise of its last digit.
pub(super) fn moved(slo: &SloSpec, now: &Figures, then: &Figures) -> bool {
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

fn window_of(slo: &SloSpec) -> f64 {
    slo.window
        .parse::<PromDuration>()
        .map_or(0.0, PromDuration::as_secs_f64)
}

/// When the budget is spent if it goes on like this; nothing where that is beyond the window.
fn exhausts_in(figures: &Figures, window: f64) -> Option<String> {
    seconds_left(figures, window)
        .filter(|seconds| *seconds > 0.0 && *seconds < window)
        .map(span)
}

fn seconds_left(figures: &Figures, window: f64) -> Option<f64> {
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
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::super::alerts::{Alert, Firing};
    use super::*;

    fn slo(objective: f64) -> SloSpec {
        serde_json::from_value(
            json!({"name": "a", "objective": objective, "indicator": {"availability": {}}}),
        )
        .unwrap()
    }

    fn recorded(at: i64) -> Figures {
        Figures {
            error_ratio: Some(0.000_5),
            budget: Some(0.5),
            burn: Some(0.4),
            coverage: Some(0.12),
            recorded_at: Some(at),
            evaluated: Evaluated::Yes,
        }
    }

    fn view(figures: Figures) -> View {
        View {
            slos: [("a".to_owned(), figures)].into(),
            ..View::default()
        }
    }

    fn status(slo: &SloSpec, view: &View, before: &[SloStatus]) -> SloStatus {
        stands(slo, view, before).status
    }

    fn second(status: &SloStatus) -> i64 {
        status.observed_at.as_ref().unwrap().0.as_second()
    }

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

    #[test]
    fn a_value_that_stays_keeps_the_time_at_which_it_was_first_true() {
        let first = status(&slo(99.9), &view(recorded(1000)), &[]);
        assert_eq!(second(&first), 1000);
        let before = [first];
        let same = status(&slo(99.9), &view(recorded(1060)), &before);
        assert_eq!(second(&same), 1000);
        let spent = Figures {
            budget: Some(0.4),
            ..recorded(1060)
        };
        assert_eq!(second(&status(&slo(99.9), &view(spent), &before)), 1060);
        // An alert changes how it stands.
        let burns = Alert {
            name: "ErrorBudgetBurnFast".to_owned(),
            slo: Some("a".to_owned()),
            severity: None,
        };
        let alerting = View {
            alerts: [(burns, Firing::default())].into(),
            ..view(recorded(1060))
        };
        let alerting = status(&slo(99.9), &alerting, &before);
        assert_eq!((alerting.state, second(&alerting)), (SloState::AtRisk, 1060));
    }

    #[test]
    fn an_objective_whose_rules_do_not_run_stands_as_before_and_never_better() {
        let spent = Figures {
            budget: Some(-0.2),
            ..recorded(1000)
        };
        let before = [status(&slo(99.9), &view(spent), &[])];
        assert_eq!(before[0].state, SloState::Violated);
        // After an outage of Prometheus, before its rules had their turn or where it forgot them; and while they fail.
        let untouched = Figures {
            budget: Some(1.0),
            error_ratio: Some(0.0),
            evaluated: Evaluated::WithoutFailures,
            ..Figures::default()
        };
        for view in [View::default(), view(Figures::default()), view(untouched)] {
            let after = stands(&slo(99.9), &view, &before);
            assert_eq!((&after.status, after.is_current), (&before[0], false));
        }
        let unknown = status(&slo(99.9), &View::default(), &[]);
        assert_eq!((unknown.state, unknown.sli), (SloState::NoData, None));
        let another = status(&slo(99.0), &View::default(), &before);
        assert_eq!(another.state, SloState::NoData, "another promise");
        let no_traffic = Figures {
            coverage: Some(0.12),
            evaluated: Evaluated::Yes,
            ..Figures::default()
        };
        let idle = status(&slo(99.9), &view(no_traffic), &before);
        assert_eq!((idle.state, idle.sli), (SloState::NoData, None));
    }

    #[test]
    fn what_burns_now_is_at_risk_though_its_figures_are_of_earlier() {
        let before = [status(&slo(99.9), &view(recorded(1000)), &[])];
        assert_eq!(before[0].state, SloState::Met);
        let burning = Figures {
            burn: Some(9.0),
            ..Figures::default()
        };
        let after = status(&slo(99.9), &view(burning), &before);
        assert_eq!(after.state, SloState::AtRisk);
    }

    #[test]
    fn a_young_objective_goes_on_being_young() {
        let untouched = view(Figures {
            error_ratio: Some(0.0),
            budget: Some(1.0),
            burn: Some(0.0),
            evaluated: Evaluated::WithoutFailures,
            ..Figures::default()
        });
        let before = [status(&slo(99.9), &untouched, &[])];
        assert_eq!(before[0].state, SloState::Met);
        assert!(stands(&slo(99.9), &untouched, &before).is_current);
    }

    #[test]
    fn what_moved_by_less_than_the_last_digit_s_noise_has_not_moved() {
        let then = recorded(0);
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

    #[test]
    fn the_worst_objective_has_the_least_budget_of_those_that_are_known() {
        let slo = |name: &str, budget: Option<&str>| SloStatus {
            name: name.to_owned(),
            budget_remaining: budget.map(str::to_owned),
            ..SloStatus::default()
        };
        let slos = [
            slo("unknown", None),
            slo("half", Some("50%")),
            slo("spent", Some("-20%")),
            slo("some", Some("9%")),
        ];
        assert_eq!(worst(&slos).map(|slo| slo.name.as_str()), Some("spent"));
        assert_eq!(worst(&slos[..1]).map(|slo| slo.name.as_str()), Some("unknown"));
    }
}
