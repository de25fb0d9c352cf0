//! The series that Prometheus records of healthy apps, every tenth with a firing alert.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::{Duration, SystemTime};

use anyhow::Result;
use observedapp_slo::names;
use serde_json::Value;

/// The interval of the samples and the time that they cover, longer than Prometheus' lookback of five minutes.
const STEP: Duration = Duration::from_mins(1);
const AHEAD: Duration = Duration::from_hours(1);

pub struct RecordedApp {
    pub namespace: String,
    pub name: String,
    /// The label by which the operator recognises the app's rules in Prometheus.
    pub hash: String,
}

/// The hash in the JSON of a PrometheusRule.
pub fn hash(rules: &Value) -> Option<&str> {
    let groups = rules["spec"]["groups"].as_array()?;
    groups
        .iter()
        .flat_map(|group| group["rules"].as_array().into_iter().flatten())
        .find(|rule| rule["record"] == names::RULES_INFO)?["labels"]["hash"]
        .as_str()
}

/// The series of apps with these objectives, in OpenMetrics.
pub fn series(apps: &[RecordedApp], slos: &[&str]) -> Result<String> {
    let mut families: BTreeMap<&str, Vec<(String, f64)>> = BTreeMap::new();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    for (
        number,
        RecordedApp {
            namespace,
            name,
            hash,
        },
    ) in apps.iter().enumerate()
    {
        let mut add = |family, labels: String, value| {
            let labels = format!("namespace=\"{namespace}\",{labels}");
            families.entry(family).or_default().push((labels, value));
        };
        for (job, instance) in [("", 1), ("", 2), ("-db", 1), ("-cache", 1)] {
            add("up", format!(r#"job="{name}{job}",instance="{instance}""#), 1.0);
        }
        add(names::RULES_INFO, format!(r#"app="{name}",hash="{hash}""#), 1.0);
        for slo in slos {
            // As many digits as real figures have.
            #[allow(clippy::cast_precision_loss)]
            let ratio = 0.000_1 + (number as f64).sqrt() / 1e6;
            for (record, value) in [
                (names::ERROR_RATIO_PERIOD, ratio),
                (names::BUDGET_REMAINING, 1.0 - ratio / 0.001),
                (names::BURN_RATE, ratio / 0.001),
                (names::WINDOW_COVERAGE, 1.0),
            ] {
                add(record, format!(r#"app="{name}",slo="{slo}""#), value);
            }
        }
        if number % 10 == 0 {
            let alert = format!(r#"alertname="HighCPUUsage",app="{name}",severity="warning""#);
            add("ALERTS", format!(r#"{alert},alertstate="firing""#), 1.0);
            add("ALERTS_FOR_STATE", alert, now.as_secs_f64().floor());
        }
    }
    let mut text = String::new();
    for (family, series) in families {
        writeln!(text, "# TYPE {family} gauge")?;
        for (labels, value) in series {
            let mut at = now.saturating_sub(STEP);
            while at < now + AHEAD {
                writeln!(text, "{family}{{{labels}}} {value} {}", at.as_secs())?;
                at += STEP;
            }
        }
    }
    text.push_str("# EOF\n");
    Ok(text)
}
