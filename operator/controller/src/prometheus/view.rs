//! What Prometheus said of one app, and whether it is worth telling.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

use observedapp_api::SloState;
use observedapp_slo::names;

use super::client::Sample;

/// How often at most figures alone are told.
const FIGURES_PERIOD: Duration = Duration::from_mins(1);

/// One app in one round of answers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct View {
    /// By job: how many targets are up, and how many down.
    pub jobs: BTreeMap<String, (u32, u32)>,
    /// The hashes of the rules that are loaded: two while a change is on its way.
    pub hashes: BTreeSet<String>,
    pub slos: BTreeMap<String, Figures>,
    pub alerts: BTreeSet<Alert>,
    /// For a job with targets that are down: what is wrong with one of them.
    pub errors: BTreeMap<String, String>,
    /// What is wrong with one of the rules that are loaded.
    pub rule_error: Option<String>,
    /// Objectives that have events and yet cannot be judged, and why where that is known.
    pub unjudged: BTreeMap<String, Option<String>>,
    pub told: Option<Told>,
}

/// When the figures were last told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    pub at: Instant,
    /// Seconds since the epoch.
    pub second: i64,
}

/// How one objective stands.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Figures {
    pub error_ratio: Option<f64>,
    pub budget: Option<f64>,
    pub burn: Option<f64>,
    pub coverage: Option<f64>,
}

/// An alert that fires.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Alert {
    pub name: String,
    pub slo: Option<String>,
    pub severity: Option<String>,
    /// Seconds since the epoch.
    pub since: Option<i64>,
}

/// Every app in one round of answers.
#[derive(Debug, Default)]
pub struct Round {
    pub views: HashMap<(String, String), View>,
    /// By namespace and job.
    pub jobs: HashMap<(String, String), (u32, u32)>,
    /// The groups with rules that failed lately, as Prometheus names them: `FILE;GROUP`.
    failing: Vec<String>,
}

impl Round {
    pub fn failing(&mut self, samples: &[Sample]) {
        self.failing
            .extend(samples.iter().map(|sample| sample.label("rule_group").to_owned()));
    }

    /// Whether a rule of this app failed lately. prometheus-operator names a file after the namespace, the name and the
    /// UID of the object that its rules come from.
    pub fn fails(&self, namespace: &str, app: &str) -> bool {
        let file = format!("/{namespace}-{app}-");
        self.failing.iter().any(|group| group.contains(&file))
    }

    pub fn targets(&mut self, samples: &[Sample], up: bool) {
        for sample in samples {
            let key = (
                sample.label("namespace").to_owned(),
                sample.label("job").to_owned(),
            );
            let entry = self.jobs.entry(key).or_default();
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let count = sample.value().clamp(0.0, 1e6) as u32;
            if up {
                entry.0 += count;
            } else {
                entry.1 += count;
            }
        }
    }

    fn view(&mut self, sample: &Sample) -> &mut View {
        let key = (
            sample.label("namespace").to_owned(),
            sample.label("app").to_owned(),
        );
        self.views.entry(key).or_default()
    }

    pub fn rules(&mut self, samples: &[Sample]) {
        for sample in samples {
            let hash = sample.label("hash").to_owned();
            self.view(sample).hashes.insert(hash);
        }
    }

    pub fn unjudged(&mut self, samples: &[Sample]) {
        for sample in samples {
            let slo = sample.label("slo").to_owned();
            self.view(sample).unjudged.insert(slo, None);
        }
    }

    pub fn slos(&mut self, samples: &[Sample]) {
        for sample in samples {
            let value = Some(sample.value()).filter(|value| value.is_finite());
            let slo = sample.label("slo").to_owned();
            let figures = self.view(sample).slos.entry(slo).or_default();
            match sample.label("__name__") {
                names::ERROR_RATIO_PERIOD => figures.error_ratio = value,
                names::BUDGET_REMAINING => figures.budget = value,
                names::BURN_RATE => figures.burn = value,
                names::WINDOW_COVERAGE => figures.coverage = value,
                _ => {}
            }
        }
    }

    /// Objectives without one failed event, whose long rules have not had their turn: what those will say is known.
    pub fn young(&mut self, samples: &[Sample]) {
        for sample in samples {
            let slo = sample.label("slo").to_owned();
            let figures = self.view(sample).slos.entry(slo).or_default();
            figures.error_ratio.get_or_insert(0.0);
            figures.budget.get_or_insert(1.0);
            figures.burn.get_or_insert(0.0);
        }
    }

    /// The series of alerts that fire, and since when each has been active.
    pub fn alerts(&mut self, samples: &[Sample]) {
        type Identity = (String, String, String, String, String);
        let identity = |sample: &Sample| -> Identity {
            (
                sample.label("namespace").to_owned(),
                sample.label("app").to_owned(),
                sample.label("alertname").to_owned(),
                sample.label("slo").to_owned(),
                sample.label("severity").to_owned(),
            )
        };
        #[allow(clippy::cast_possible_truncation)]
        let since: HashMap<Identity, i64> = samples
            .iter()
            .filter(|sample| sample.label("__name__") == "ALERTS_FOR_STATE")
            .map(|sample| (identity(sample), sample.value() as i64))
            .collect();
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        for sample in samples
            .iter()
            .filter(|sample| sample.label("alertstate") == "firing")
        {
            let alert = Alert {
                name: sample.label("alertname").to_owned(),
                slo: given(sample.label("slo")),
                severity: given(sample.label("severity")),
                since: since.get(&identity(sample)).copied(),
            };
            self.view(sample).alerts.insert(alert);
        }
    }

    /// One app's part in it.
    pub fn take(&mut self, namespace: &str, app: &str) -> View {
        let mut view = self
            .views
            .remove(&(namespace.to_owned(), app.to_owned()))
            .unwrap_or_default();
        for job in [
            app.to_owned(),
            format!("{app}-db"),
            format!("{app}-cache"),
            format!("{app}-probe"),
        ] {
            if let Some(counts) = self.jobs.get(&(namespace.to_owned(), job.clone())) {
                view.jobs.insert(job, *counts);
            }
        }
        view
    }
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

    /// Whether this is worth a write where `told` was told last: a change of state is at once, figures only when they
    /// moved by more than the noise of their last digit, and at most once a minute.
    pub fn is_news(&self, told: &Self, now: Instant) -> bool {
        let states = |view: &Self| -> BTreeMap<String, SloState> {
            view.slos
                .iter()
                .map(|(name, figures)| (name.clone(), figures.state()))
                .collect()
        };
        if self.effect_moved(told)
            || self.alerts != told.alerts
            || self.errors != told.errors
            || self.rule_error != told.rule_error
            || self.unjudged != told.unjudged
            || states(self) != states(told)
        {
            return true;
        }
        let rested = told
            .told
            .is_none_or(|told| now.duration_since(told.at) >= FIGURES_PERIOD);
        rested
            && self.slos.iter().any(|(name, figures)| {
                told.slos
                    .get(name)
                    .is_none_or(|before| figures.moved_from(before))
            })
    }
}

impl Figures {
    /// In one word, whose change is told at once.
    pub fn state(&self) -> SloState {
        match (self.error_ratio, self.budget, self.burn) {
            (None, ..) => SloState::NoData,
            (_, Some(budget), _) if budget <= 0.0 => SloState::Violated,
            (_, _, Some(burn)) if burn > 1.0 => SloState::AtRisk,
            _ => SloState::Met,
        }
    }

    fn moved_from(&self, before: &Self) -> bool {
        let moved = |now: Option<f64>, then: Option<f64>, digit: f64| match (now, then) {
            (Some(now), Some(then)) => (now - then).abs() > digit * 0.75,
            (now, then) => now.is_some() != then.is_some(),
        };
        moved(self.error_ratio, before.error_ratio, 1e-4)
            || moved(self.budget, before.budget, 1e-2)
            || moved(self.burn, before.burn, 1e-1)
            || moved(self.coverage, before.coverage, 1e-2)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn samples(value: serde_json::Value) -> Vec<Sample> {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_round_is_taken_apart_by_app() {
        let mut round = Round::default();
        round.targets(
            &samples(json!([{"metric": {"namespace": "shop", "job": "tasks"}, "value": [0, "2"]}])),
            true,
        );
        round.rules(&samples(
            json!([{"metric": {"namespace": "shop", "app": "tasks", "hash": "h"}, "value": [0, "1"]}]),
        ));
        round.slos(&samples(json!([
            {"metric": {"__name__": "slo:budget_remaining:ratio", "namespace": "shop", "app": "tasks", "slo": "a"}, "value": [0, "0.5"]},
            {"metric": {"__name__": "slo:burn_rate:rate1h", "namespace": "shop", "app": "tasks", "slo": "a"}, "value": [0, "NaN"]},
        ])));
        round.alerts(&samples(json!([
            {"metric": {"__name__": "ALERTS", "alertstate": "firing", "alertname": "Burn", "namespace": "shop", "app": "tasks", "slo": "a"}, "value": [0, "1"]},
            {"metric": {"__name__": "ALERTS_FOR_STATE", "alertname": "Burn", "namespace": "shop", "app": "tasks", "slo": "a"}, "value": [0, "1700"]},
        ])));
        let view = round.take("shop", "tasks");
        assert_eq!(view.jobs["tasks"], (2, 0));
        assert!(view.hashes.contains("h"));
        assert_eq!((view.slos["a"].budget, view.slos["a"].burn), (Some(0.5), None));
        assert_eq!(view.alerts.first().unwrap().since, Some(1700));
    }

    #[test]
    fn an_objective_that_never_failed_is_met_before_its_period_is_recorded() {
        let of = |record: &str, slo: &str, value: &str| {
            let metric = json!({"__name__": record, "namespace": "shop", "app": "tasks", "slo": slo});
            json!({"metric": metric, "value": [0, value]})
        };
        let mut round = Round::default();
        round.slos(&samples(json!([
            of(names::ERROR_RATIO_PERIOD, "old", "0.5"),
            of(names::BUDGET_REMAINING, "old", "-1"),
            of(names::WINDOW_COVERAGE, "young", "0.001"),
            of(names::WINDOW_COVERAGE, "idle", "0.001"),
        ])));
        round.young(&samples(json!([of("slo:error_ratio:rate5m", "young", "0")])));
        let view = round.take("shop", "tasks");
        let state = |slo: &str| view.slos[slo].state();
        assert_eq!(state("young"), SloState::Met);
        assert_eq!(
            state("idle"),
            SloState::NoData,
            "no traffic is never called success"
        );
        assert_eq!(state("old"), SloState::Violated);
    }

    #[test]
    fn a_failing_group_is_known_by_its_file() {
        let mut round = Round::default();
        let group = "/etc/prometheus/rules/prometheus-lab-rulefiles-0/shop-tasks-0aa0.yaml;extra";
        round.failing(&samples(
            json!([{"metric": {"rule_group": group}, "value": [0, "3"]}]),
        ));
        assert!(round.fails("shop", "tasks"));
        assert!(!round.fails("shop", "task") && !round.fails("hop", "tasks"));
    }

    #[test]
    fn noise_is_no_news_and_a_change_of_state_is_at_once() {
        let now = Instant::now();
        let view = |budget: f64| View {
            slos: [(
                "a".to_owned(),
                Figures {
                    error_ratio: Some(0.0),
                    budget: Some(budget),
                    ..Figures::default()
                },
            )]
            .into(),
            ..View::default()
        };
        let told = View {
            told: Some(Told { at: now, second: 0 }),
            ..view(0.5)
        };
        assert!(!view(0.505).is_news(&told, now + FIGURES_PERIOD));
        assert!(view(0.4).is_news(&told, now + FIGURES_PERIOD));
        assert!(!view(0.4).is_news(&told, now));
        assert!(view(-0.1).is_news(&told, now));
    }
}
