//! The SLOs as the status reports them, and `SLOsMet`.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use observedapp_api::{ConditionType, FIGURES, Reason, SloSpec, SloState, SloStatus};

use super::condition::ConditionState;
use super::facts::Facts;
use super::monitoring::unanswered;
use crate::prometheus::numbers::{percent_of, span, times, whole_percent};
use crate::prometheus::{Figures, PrometheusFacts, View, seconds_left, window_of};

/// An SLO's status, and whether it is of now.
#[derive(Debug)]
pub struct SloReport {
    pub status: SloStatus,
    pub is_current: bool,
}

pub fn reports(slos: &[SloSpec], view: &View, before: &[SloStatus]) -> Vec<SloReport> {
    slos.iter().map(|slo| report(slo, view, before)).collect()
}

/// Where its rules are not evaluated an SLO's status stays as it was `before`, but for what puts it at risk now.
fn report(slo: &SloSpec, view: &View, before: &[SloStatus]) -> SloReport {
    let base = SloStatus {
        name: slo.name.clone(),
        objective: format!("{}%", slo.objective),
        window: slo.window.clone(),
        ..SloStatus::default()
    };
    let before = before.iter().find(|before| {
        before.name == base.name && before.objective == base.objective && before.window == base.window
    });
    let current = view.slos.get(&slo.name).filter(|figures| figures.is_evaluated);
    let Some(figures) = current else {
        let mut status = before.cloned().unwrap_or(base);
        if status.state != SloState::Violated && view.state(&slo.name) == SloState::AtRisk {
            status.state = SloState::AtRisk;
        }
        return SloReport {
            status,
            is_current: false,
        };
    };
    SloReport {
        status: slo_status(slo, view, figures, base, before),
        is_current: true,
    }
}

/// What these figures say, and since when that is so.
fn slo_status(
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

/// When the budget is spent if it goes on like this; nothing where that is beyond the window.
fn exhausts_in(figures: &Figures, window: f64) -> Option<String> {
    seconds_left(figures, window)
        .filter(|seconds| *seconds > 0.0 && *seconds < window)
        .map(span)
}

/// The SLO with the least budget left, by what is reported of it; one of which nothing is known comes last.
pub fn worst(slos: &[SloStatus]) -> Option<&SloStatus> {
    let budget = |slo: &SloStatus| {
        let shown = slo.budget_remaining.as_deref().unwrap_or_default();
        shown.trim_end_matches('%').parse().unwrap_or(f64::INFINITY)
    };
    slos.iter().min_by(|a, b| budget(a).total_cmp(&budget(b)))
}

/// Whether any of the SLOs has spent its budget, as far as Prometheus says.
pub fn met(reports: &[SloReport], facts: &Facts<'_>, prometheus: &PrometheusFacts) -> Option<ConditionState> {
    let type_ = ConditionType::SLOsMet;
    if facts.spec.slos.is_empty() {
        return None;
    }
    Some(match unanswered(type_, prometheus) {
        Some(state) => ConditionState::unknown(type_, state.reason, state.message),
        None => met_by(reports, &prometheus.view),
    })
}

fn met_by(reports: &[SloReport], view: &View) -> ConditionState {
    let type_ = ConditionType::SLOsMet;
    let list = |which: fn(&SloReport) -> bool| -> Option<String> {
        let names: Vec<&str> = reports
            .iter()
            .filter(|report| which(report))
            .map(|report| report.status.name.as_str())
            .collect();
        (!names.is_empty()).then(|| names.join(", "))
    };
    if let Some(names) = list(|report| report.is_current && report.status.state == SloState::Violated) {
        return ConditionState::no(
            type_,
            Reason::BudgetSpent,
            format!("the error budget of {names} is spent ({FIGURES}): put what mends it before what is new"),
        );
    }
    if let Some((slo, why)) = view.unmeasurable.first_key_value() {
        let why = why.as_deref().unwrap_or(
            "the series of its failed events are absent: check the indicator's metrics and matchers",
        );
        return ConditionState::unknown(
            type_,
            Reason::NotMeasurable,
            format!("the objective {slo} has events and cannot be judged: {why}"),
        );
    }
    if let Some(names) = list(|report| !report.is_current && report.status.sli.is_some()) {
        return ConditionState::unknown(
            type_,
            Reason::NotRecorded,
            format!(
                "Prometheus has recorded nothing of {names} for some minutes, and what is shown is from then: see Monitored, RulesLoaded and Prometheus' log"
            ),
        );
    }
    if reports
        .iter()
        .all(|report| report.status.state == SloState::NoData)
    {
        return ConditionState::unknown(
            type_,
            Reason::NoData,
            "there is no data yet: no traffic, or the rules are young",
        );
    }
    match list(|report| report.status.state == SloState::AtRisk) {
        Some(names) => ConditionState::yes(
            type_,
            Reason::AtRisk,
            format!(
                "no objective has spent its budget; at risk, for it burns faster than is sustainable or has an alert that fires: {names} ({FIGURES})"
            ),
        ),
        None => ConditionState::yes(
            type_,
            Reason::WithinBudget,
            format!("no objective has spent its budget ({FIGURES})"),
        ),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::prometheus::{Alert, Firing, slo};

    fn recorded(at: i64) -> Figures {
        Figures {
            error_ratio: Some(0.000_5),
            budget: Some(0.5),
            burn: Some(0.4),
            coverage: Some(0.12),
            recorded_at: Some(at),
            is_evaluated: true,
        }
    }

    fn view(figures: Figures) -> View {
        View {
            slos: [("a".to_owned(), figures)].into(),
            ..View::default()
        }
    }

    fn status(slo: &SloSpec, view: &View, before: &[SloStatus]) -> SloStatus {
        report(slo, view, before).status
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
        // An alert changes the state.
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
        for view in [View::default(), view(Figures::default())] {
            let after = report(&slo(99.9), &view, &before);
            assert_eq!((&after.status, after.is_current), (&before[0], false));
        }
        let unknown = status(&slo(99.9), &View::default(), &[]);
        assert_eq!((unknown.state, unknown.sli), (SloState::NoData, None));
        let another = status(&slo(99.0), &View::default(), &before);
        assert_eq!(another.state, SloState::NoData, "another promise");
        let no_traffic = Figures {
            coverage: Some(0.12),
            is_evaluated: true,
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
