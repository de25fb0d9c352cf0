//! What Prometheus says of one app, and whether that is worth a reconcile.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use observedapp_api::{SloSpec, SloState};

use super::alerts::Alerts;
use super::figures::{self, Figures};

/// How often at most figures alone are reported.
const FIGURES_PERIOD: Duration = Duration::from_secs(15);

/// One app in one round of answers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct View {
    /// By job: how many targets are up, and how many down.
    pub jobs: BTreeMap<String, (u32, u32)>,
    /// The hashes of the rules that are loaded: two while a change is on its way.
    pub hashes: BTreeSet<String>,
    pub slos: BTreeMap<String, Figures>,
    pub alerts: Alerts,
    /// For a job with targets that are down: what is wrong with one of them.
    pub errors: BTreeMap<String, String>,
    /// What is wrong with one of the rules that are loaded.
    pub rule_error: Option<String>,
    /// Objectives that have events and yet cannot be judged, and why where that is known.
    pub unmeasurable: BTreeMap<String, Option<String>>,
    /// When this was last reported.
    pub reported_at: Option<Instant>,
}

impl View {
    /// Whether other jobs are scraped than before, or other rules are loaded.
    pub fn effect_moved(&self, before: &Self) -> bool {
        let health = |view: &Self| -> BTreeMap<String, (bool, bool)> {
            view.jobs
                .iter()
                .map(|(job, (up, down))| (job.clone(), (*up > 0, *down > 0)))
                .collect()
        };
        health(self) != health(before) || self.hashes != before.hashes
    }

    /// The state of an SLO.
    pub fn state(&self, slo: &str) -> SloState {
        let Figures {
            error_ratio,
            budget,
            burn,
            ..
        } = self.slos.get(slo).copied().unwrap_or_default();
        if budget.is_some_and(|left| left <= 0.0) {
            SloState::Violated
        } else if burn.is_some_and(|rate| rate > 1.0) || self.alerts_of(slo) {
            SloState::AtRisk
        } else if error_ratio.is_none() {
            SloState::NoData
        } else {
            SloState::Met
        }
    }

    /// Whether an alert of an objective fires.
    pub fn alerts_of(&self, slo: &str) -> bool {
        self.alerts.keys().any(|alert| alert.slo.as_deref() == Some(slo))
    }

    /// Whether this is worth a write where `reported` was reported last: a change of state is at once, figures only when they
    /// moved by more than the noise of their last digit, and only so often.
    pub fn is_news(&self, reported: &Self, slos: &[SloSpec], now: Instant) -> bool {
        let standing = |view: &Self, slo: &SloSpec| {
            let evaluated = view.slos.get(&slo.name).map(|figures| figures.is_evaluated);
            (view.state(&slo.name), evaluated)
        };
        if self.effect_moved(reported)
            || self.alerts != reported.alerts
            || self.errors != reported.errors
            || self.rule_error != reported.rule_error
            || self.unmeasurable != reported.unmeasurable
            || slos
                .iter()
                .any(|slo| standing(self, slo) != standing(reported, slo))
        {
            return true;
        }
        let rested = reported
            .reported_at
            .is_none_or(|at| now.duration_since(at) >= FIGURES_PERIOD);
        rested
            && slos.iter().any(|slo| {
                let of = |view: &Self| view.slos.get(&slo.name).copied().unwrap_or_default();
                figures::moved(slo, &of(self), &of(reported))
            })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::alerts::{Alert, Firing};
    use super::super::figures::tests::slo;
    use super::*;

    fn burning(slo: &str) -> Alerts {
        let alert = Alert {
            name: "ErrorBudgetBurnFast".to_owned(),
            slo: Some(slo.to_owned()),
            severity: Some("critical".to_owned()),
        };
        [(alert, Firing::default())].into()
    }

    #[test]
    fn the_state_follows_the_budget_then_what_burns_then_what_is_known() {
        let state = |budget, burn, error_ratio| {
            let figures = Figures {
                error_ratio,
                budget,
                burn,
                ..Figures::default()
            };
            View {
                slos: [("a".to_owned(), figures)].into(),
                ..View::default()
            }
            .state("a")
        };
        assert_eq!(state(Some(0.0), Some(0.0), Some(0.1)), SloState::Violated);
        assert_eq!(state(Some(-0.2), Some(9.0), Some(0.1)), SloState::Violated);
        assert_eq!(state(Some(0.9), Some(1.1), Some(0.1)), SloState::AtRisk);
        assert_eq!(state(Some(0.9), Some(1.0), Some(0.1)), SloState::Met);
        assert_eq!(state(Some(0.9), None, Some(0.0)), SloState::Met);
        assert_eq!(state(None, None, None), SloState::NoData, "never called success");
        assert_eq!(View::default().state("a"), SloState::NoData);
    }

    #[test]
    fn nothing_is_met_while_one_of_its_alerts_fires() {
        let figures = Figures {
            error_ratio: Some(0.0),
            budget: Some(1.0),
            ..Figures::default()
        };
        let quiet = View {
            slos: [("a".to_owned(), figures), ("b".to_owned(), figures)].into(),
            reported_at: Some(Instant::now()),
            ..View::default()
        };
        let alerting = View {
            alerts: burning("a"),
            ..quiet.clone()
        };
        assert_eq!(quiet.state("a"), SloState::Met);
        assert_eq!(alerting.state("a"), SloState::AtRisk);
        assert_eq!(alerting.state("b"), SloState::Met, "another objective's alert");
        assert!(
            alerting.is_news(&quiet, &[], Instant::now()),
            "alerts are reported at once"
        );
    }

    #[test]
    fn noise_is_no_news_and_a_change_of_state_is_at_once() {
        let now = Instant::now();
        let slos = [slo(99.9)];
        let view = |budget: f64| View {
            slos: [(
                "a".to_owned(),
                Figures {
                    error_ratio: Some(0.0),
                    budget: Some(budget),
                    is_evaluated: true,
                    ..Figures::default()
                },
            )]
            .into(),
            ..View::default()
        };
        let reported = View {
            reported_at: Some(now),
            ..view(0.5)
        };
        assert!(!view(0.505).is_news(&reported, &slos, now + FIGURES_PERIOD));
        assert!(view(0.4).is_news(&reported, &slos, now + FIGURES_PERIOD));
        assert!(!view(0.4).is_news(&reported, &slos, now));
        assert!(view(-0.1).is_news(&reported, &slos, now));
        let mut overdue = view(0.5);
        overdue.slos.get_mut("a").unwrap().is_evaluated = false;
        assert!(overdue.is_news(&reported, &slos, now));
    }
}
