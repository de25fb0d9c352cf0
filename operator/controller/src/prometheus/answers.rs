//! The answers to one poll, by app.

use std::collections::HashMap;

use observedapp_api::AppRef;
use observedapp_slo::names;

use super::alerts;
use super::samples::Sample;
use super::view::View;

/// The rules of the figures are evaluated every 30 s: what is older than this, in seconds, has missed five evaluations,
/// which a restart of Prometheus does not take.
const OVERDUE: f64 = 150.0;

/// What one poll says of every app.
#[derive(Debug, Default)]
pub struct PollAnswers {
    pub views: HashMap<AppRef, View>,
    /// By namespace and job.
    pub jobs: HashMap<(String, String), (u32, u32)>,
    /// The groups with rules that failed lately, as Prometheus names them: `FILE;GROUP`.
    failing: Vec<String>,
}

impl PollAnswers {
    pub fn failing(&mut self, samples: &[Sample]) {
        self.failing
            .extend(samples.iter().map(|sample| sample.label("rule_group").to_owned()));
    }

    /// Whether a rule of this app failed lately. prometheus-operator names a file after the namespace, the name and the
    /// UID of the object that its rules come from.
    pub fn fails(&self, app: &AppRef) -> bool {
        let file = format!("/{}-{}-", app.namespace, app.name);
        self.failing.iter().any(|group| group.contains(&file))
    }

    pub fn targets(&mut self, samples: &[Sample]) {
        for sample in samples {
            let key = (
                sample.label("namespace").to_owned(),
                sample.label("job").to_owned(),
            );
            let entry = self.jobs.entry(key).or_default();
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let count = sample.value().clamp(0.0, 1e6) as u32;
            if sample.label("up") == "1" {
                entry.0 += count;
            } else {
                entry.1 += count;
            }
        }
    }

    fn view(&mut self, sample: &Sample) -> &mut View {
        let app = AppRef::new(sample.label("namespace"), sample.label("app"));
        self.views.entry(app).or_default()
    }

    pub fn rules(&mut self, samples: &[Sample]) {
        for sample in samples {
            let hash = sample.label("hash").to_owned();
            self.view(sample).hashes.insert(hash);
        }
    }

    pub fn unmeasurable(&mut self, samples: &[Sample]) {
        for sample in samples {
            let slo = sample.label("slo").to_owned();
            self.view(sample).unmeasurable.insert(slo, None);
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

    /// Must follow the figures: what is not recorded any more is forgotten.
    pub fn recorded_at(&mut self, samples: &[Sample]) {
        for sample in samples {
            let at = sample.value();
            let due = sample.asked_at() - at <= OVERDUE;
            let slo = sample.label("slo").to_owned();
            let figures = self.view(sample).slos.entry(slo).or_default();
            match (sample.label("record"), due) {
                (names::WINDOW_COVERAGE, true) => figures.is_evaluated = true,
                (names::WINDOW_COVERAGE, false) => {
                    (figures.error_ratio, figures.budget, figures.coverage) = (None, None, None);
                }
                (names::BURN_RATE, false) => figures.burn = None,
                _ => {}
            }
            if due {
                figures.recorded_at = figures.recorded_at.max(Some(at as i64));
            }
        }
    }

    pub fn alerts(&mut self, samples: &[Sample]) {
        for (app, alerts) in alerts::by_app(samples) {
            self.views.entry(app).or_default().alerts = alerts;
        }
    }

    /// One app's part in it.
    pub fn take(&mut self, app: &AppRef) -> View {
        let mut view = self.views.remove(app).unwrap_or_default();
        for job in [app.name.clone(), app.database(), app.cache(), app.probe_job()] {
            if let Some(counts) = self.jobs.get(&(app.namespace.clone(), job.clone())) {
                view.jobs.insert(job, *counts);
            }
        }
        view
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::super::figures::Figures;
    use super::*;

    fn samples(value: serde_json::Value) -> Vec<Sample> {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_round_is_taken_apart_by_app() {
        let mut answers = PollAnswers::default();
        answers.targets(&samples(json!([
            {"metric": {"namespace": "shop", "job": "tasks", "up": "1"}, "value": [0, "2"]},
            {"metric": {"namespace": "shop", "job": "tasks", "up": "0"}, "value": [0, "1"]},
        ])));
        answers.rules(&samples(
            json!([{"metric": {"namespace": "shop", "app": "tasks", "hash": "h"}, "value": [0, "1"]}]),
        ));
        answers.slos(&samples(json!([
            {"metric": {"__name__": "slo:budget_remaining:ratio", "namespace": "shop", "app": "tasks", "slo": "a"}, "value": [0, "0.5"]},
            {"metric": {"__name__": "slo:burn_rate:rate1h", "namespace": "shop", "app": "tasks", "slo": "a"}, "value": [0, "NaN"]},
        ])));
        answers.alerts(&samples(json!([
            {"metric": {"__name__": "ALERTS", "alertstate": "firing", "alertname": "Burn", "namespace": "shop", "app": "tasks", "slo": "a"}, "value": [0, "1"]},
            {"metric": {"__name__": "ALERTS_FOR_STATE", "alertname": "Burn", "namespace": "shop", "app": "tasks", "slo": "a"}, "value": [0, "1700"]},
        ])));
        let view = answers.take(&AppRef::new("shop", "tasks"));
        assert_eq!(view.jobs["tasks"], (2, 1));
        assert!(view.hashes.contains("h"));
        assert_eq!((view.slos["a"].budget, view.slos["a"].burn), (Some(0.5), None));
        assert_eq!(view.alerts.values().next().unwrap().since, Some(1700));
    }

    /// Samples of records of `shop/tasks`, asked for at the second 1000.
    fn recorded(records: &[(&str, &str, f64)]) -> PollAnswers {
        let labels = |record: &str, slo: &str| json!({"__name__": record, "namespace": "shop", "app": "tasks", "slo": slo});
        let all: Vec<_> = records
            .iter()
            .map(|(record, slo, value)| json!({"metric": labels(record, slo), "value": [1000, value.to_string()]}))
            .collect();
        let mut answers = PollAnswers::default();
        answers.slos(&samples(json!(all)));
        answers
    }

    fn recorded_at(answers: &mut PollAnswers, times: &[(&str, &str, f64)]) {
        let all: Vec<_> = times
            .iter()
            .map(|(record, slo, at)| {
                let labels = json!({"record": record, "namespace": "shop", "app": "tasks", "slo": slo});
                json!({"metric": labels, "value": [1000, at.to_string()]})
            })
            .collect();
        answers.recorded_at(&samples(json!(all)));
    }

    #[test]
    fn figures_know_when_they_were_recorded_and_whether_their_rules_still_run() {
        let mut answers = recorded(&[
            (names::BUDGET_REMAINING, "fresh", 0.5),
            (names::BURN_RATE, "fresh", 2.0),
            (names::BUDGET_REMAINING, "old", 0.5),
            (names::BURN_RATE, "old", 2.0),
        ]);
        recorded_at(
            &mut answers,
            &[
                (names::WINDOW_COVERAGE, "fresh", 950.0),
                (names::BURN_RATE, "fresh", 980.5),
                (names::WINDOW_COVERAGE, "old", 840.0),
                (names::BURN_RATE, "old", 840.0),
            ],
        );
        let view = answers.take(&AppRef::new("shop", "tasks"));
        let fresh = view.slos["fresh"];
        assert!(fresh.is_evaluated);
        assert_eq!((fresh.recorded_at, fresh.burn), (Some(980), Some(2.0)));
        // What was so minutes ago may have ended since.
        assert_eq!(view.slos["old"], Figures::default());
    }

    #[test]
    fn a_failing_group_is_known_by_its_file() {
        let mut answers = PollAnswers::default();
        let group = "/etc/prometheus/rules/prometheus-lab-rulefiles-0/shop-tasks-0aa0.yaml;extra";
        answers.failing(&samples(
            json!([{"metric": {"rule_group": group}, "value": [0, "3"]}]),
        ));
        assert!(answers.fails(&AppRef::new("shop", "tasks")));
        assert!(!answers.fails(&AppRef::new("shop", "task")) && !answers.fails(&AppRef::new("hop", "tasks")));
    }
}
