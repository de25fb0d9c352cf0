//! The alerts of an app that fire, and which of them its own rules have raised.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use observedapp_api::{AlertStatus, AppRef, ObservedAppSpec};
use observedapp_slo::names::alerts::{self, ERROR_BUDGET_BURN_FAST, ERROR_BUDGET_BURN_SLOW};

use super::samples::Sample;

/// As many alerts as a status lists.
const LISTED: usize = 20;

/// The alerts of one app that fire.
pub type Alerts = BTreeMap<Alert, Firing>;

/// One entry of an app's status.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Alert {
    pub name: String,
    pub slo: Option<String>,
    pub severity: Option<String>,
}

/// The series of one alert that fire: several where its rule has one for each pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Firing {
    pub series: u32,
    /// Since when the oldest of them is active, in seconds since the epoch.
    pub since: Option<i64>,
}

impl Alert {
    fn of(sample: &Sample) -> Self {
        let given = |label: &str| Some(sample.label(label).to_owned()).filter(|text| !text.is_empty());
        Self {
            name: sample.label("alertname").to_owned(),
            slo: given("slo"),
            severity: given("severity"),
        }
    }

    /// Whether a rule of this app has the alert's name and objective. Any rule of the cluster may set the labels
    /// `namespace` and `app`, and one that also takes the name of an alert of this app cannot be distinguished from the app's own.
    pub fn is_raised_by(&self, spec: &ObservedAppSpec) -> bool {
        let name = self.name.as_str();
        let burns = [ERROR_BUDGET_BURN_FAST, ERROR_BUDGET_BURN_SLOW].contains(&name);
        match &self.slo {
            Some(slo) => burns && spec.slos.iter().any(|known| &known.name == slo),
            None => {
                (alerts::ALL.contains(&name) && !burns)
                    || spec.alerts.extra.iter().any(|extra| extra.alert == name)
            }
        }
    }
}

/// The alerts of every app, from the series `ALERTS` and `ALERTS_FOR_STATE`.
pub fn by_app(samples: &[Sample]) -> HashMap<AppRef, Alerts> {
    // Both series of an alert carry all its labels.
    let labels = |sample: &Sample| {
        let mut labels = sample.metric.clone();
        labels.remove("__name__");
        labels.remove("alertstate");
        labels
    };
    let active_since: HashMap<BTreeMap<String, String>, i64> = samples
        .iter()
        .filter(|sample| sample.label("__name__") == "ALERTS_FOR_STATE")
        .map(|sample| (labels(sample), sample.value() as i64))
        .collect();
    let mut apps: HashMap<AppRef, Alerts> = HashMap::new();
    for sample in samples {
        if sample.label("alertstate") != "firing" {
            continue;
        }
        let app = AppRef::new(sample.label("namespace"), sample.label("app"));
        let firing = apps.entry(app).or_default().entry(Alert::of(sample)).or_default();
        firing.series += 1;
        let since = active_since.get(&labels(sample)).copied();
        firing.since = [firing.since, since].into_iter().flatten().min();
    }
    apps
}

/// How many fire. Every series counts: an alert may fire for several pods.
pub fn count(alerts: &Alerts) -> i32 {
    let series: u32 = alerts.values().map(|firing| firing.series).sum();
    i32::try_from(series).unwrap_or(i32::MAX)
}

/// As a status lists them.
pub fn listed(alerts: &Alerts) -> Vec<AlertStatus> {
    let one = |(alert, firing): (&Alert, &Firing)| AlertStatus {
        name: alert.name.clone(),
        slo: alert.slo.clone(),
        severity: alert.severity.clone(),
        since: firing
            .since
            .and_then(|second| Timestamp::from_second(second).ok())
            .map(Time),
    };
    alerts.iter().take(LISTED).map(one).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn alert(name: &str, slo: Option<&str>, severity: Option<&str>) -> Alert {
        Alert {
            name: name.to_owned(),
            slo: slo.map(str::to_owned),
            severity: severity.map(str::to_owned),
        }
    }

    #[test]
    fn each_series_counts_and_the_oldest_says_since_when() {
        let series = |metric: &str, state: Option<&str>, pod: &str, value: &str| {
            let mut labels = json!({
                "__name__": metric, "alertname": "HighCPUUsage", "severity": "warning",
                "namespace": "shop", "app": "tasks", "pod": pod,
            });
            if let Some(state) = state {
                labels["alertstate"] = json!(state);
            }
            json!({"metric": labels, "value": [0, value]})
        };
        let samples: Vec<Sample> = serde_json::from_value(json!([
            series("ALERTS", Some("firing"), "a", "1"),
            series("ALERTS", Some("firing"), "b", "1"),
            // Active for longer, but not for long enough to fire.
            series("ALERTS", Some("pending"), "c", "1"),
            series("ALERTS_FOR_STATE", None, "a", "1700"),
            series("ALERTS_FOR_STATE", None, "b", "1600"),
            series("ALERTS_FOR_STATE", None, "c", "1500"),
        ]))
        .unwrap();
        let apps = by_app(&samples);
        let firing = &apps[&AppRef::new("shop", "tasks")];
        let key = alert("HighCPUUsage", None, Some("warning"));
        assert_eq!(firing.len(), 1);
        assert_eq!(
            firing[&key],
            Firing {
                series: 2,
                since: Some(1600)
            }
        );
    }

    #[test]
    fn what_a_stranger_s_rule_raises_under_the_app_s_labels_is_not_the_app_s() {
        let spec: ObservedAppSpec = serde_json::from_value(json!({
            "image": "tasks:1", "metrics": {},
            "slos": [{"name": "availability", "objective": 99.9, "indicator": {"availability": {}}}],
            "alerts": {"extra": [{"alert": "QueueLong", "expr": "jobs > 10"}]},
        }))
        .unwrap();
        for (name, slo, own) in [
            ("ErrorBudgetBurnFast", Some("availability"), true),
            ("ErrorBudgetBurnSlow", Some("availability"), true),
            ("ErrorBudgetBurnFast", Some("of-somebody-else"), false),
            ("ErrorBudgetBurnFast", None, false),
            ("HighCPUUsage", None, true),
            ("HighCPUUsage", Some("availability"), false),
            ("QueueLong", None, true),
            ("QueueLong", Some("availability"), false),
            ("ObservedAppNotReady", None, false),
            ("AnythingElse", None, false),
        ] {
            assert_eq!(
                alert(name, slo, None).is_raised_by(&spec),
                own,
                "{name} of {slo:?}"
            );
        }
    }

    #[test]
    fn all_series_are_counted_and_twenty_alerts_are_listed() {
        let alerts: Alerts = (0..30)
            .map(|i| {
                let firing = Firing {
                    series: 2,
                    since: Some(1_700_000_000 + i),
                };
                (alert(&format!("Alert{i:02}"), None, None), firing)
            })
            .collect();
        assert_eq!(count(&alerts), 60);
        let listed = listed(&alerts);
        assert_eq!(listed.len(), LISTED);
        let since = listed[1].since.as_ref().map(|since| since.0.as_second());
        assert_eq!((listed[1].name.as_str(), since), ("Alert01", Some(1_700_000_001)));
    }
}
