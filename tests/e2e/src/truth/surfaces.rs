//! Reads every figure from every place where a user can see it.

mod metrics;
mod printed;

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::{App, Cluster};

/// The figures of the printed columns.
pub const COLUMNS: [(&str, &str); 5] = [
    ("OBJECTIVE", "name"),
    ("SLI", "sli"),
    ("BUDGET", "budgetRemaining"),
    ("BURN", "burnRate"),
    ("ALERTS", "alerts"),
];

/// One displayed figure; `None` if nothing is displayed.
#[derive(Debug)]
pub struct Shown {
    pub surface: &'static str,
    pub slo: Option<String>,
    pub figure: String,
    pub text: Option<String>,
}

#[derive(Debug, Default)]
pub struct Surfaces {
    pub figures: Vec<Shown>,
    pub slos: Vec<String>,
    pub worst: Option<String>,
    /// The labels of the app's firing alerts in Prometheus.
    pub firing: Vec<BTreeMap<String, String>>,
    /// The window coverage by objective, as Prometheus has recorded it.
    pub coverage: BTreeMap<String, f64>,
    alerts: Vec<Map<String, Value>>,
    observed: Vec<Timestamp>,
}

impl Surfaces {
    pub async fn read(cluster: &Cluster, app: &App<'_>) -> Result<Self> {
        let mut seen = Self::default();
        seen.status(app).await?;
        let worst = seen.worst.clone();
        seen.columns(cluster, app, worst.as_deref()).await?;
        seen.status_screen(cluster, app).await?;
        seen.top_screen(cluster, app, worst.as_deref()).await?;
        seen.metrics(cluster, app).await?;
        seen.panels(cluster, app).await?;
        seen.backtest(cluster, app).await?;
        let firing = format!(
            r#"ALERTS{{alertstate="firing",namespace="{}",app="{}"}}"#,
            app.namespace, app.name
        );
        let firing = cluster.prometheus().query(&firing).await?;
        seen.firing = firing.into_iter().map(|sample| sample.labels).collect();
        let coverage = format!(
            r#"slo:window_coverage:ratio{{namespace="{}",app="{}"}}"#,
            app.namespace, app.name
        );
        for sample in cluster.prometheus().query(&coverage).await? {
            let slo = sample.labels.get("slo").cloned().unwrap_or_default();
            seen.coverage.insert(slo, sample.value);
        }
        Ok(seen)
    }

    pub fn count(&self) -> usize {
        self.figures.len()
    }

    /// The age of the figures by their `observedAt`.
    pub fn ages(&self) -> String {
        let now = Timestamp::now().as_second();
        let ages: Vec<String> = self
            .observed
            .iter()
            .map(|at| format!("{} s", now - at.as_second()))
            .collect();
        format!("first true {} ago", ages.join(", "))
    }

    /// The differences between the listed and the firing alerts.
    pub fn alert_differences(&self) -> Vec<String> {
        let of = |alert: &str, slo: Option<&str>, severity: Option<&str>| {
            format!("{alert} {} {}", slo.unwrap_or("-"), severity.unwrap_or("-"))
        };
        let mut firing: Vec<String> = self
            .firing
            .iter()
            .map(|labels| {
                let label = |name: &str| labels.get(name).map(String::as_str);
                of(
                    label("alertname").unwrap_or_default(),
                    label("slo"),
                    label("severity"),
                )
            })
            .collect();
        let mut listed: Vec<String> = self
            .alerts
            .iter()
            .map(|alert| {
                let field = |name: &str| alert.get(name).and_then(Value::as_str);
                of(field("name").unwrap_or_default(), field("slo"), field("severity"))
            })
            .collect();
        firing.sort();
        firing.dedup();
        listed.sort();
        let mut wrong = Vec::new();
        if listed != firing {
            wrong.push(format!("  status.alerts: {listed:?} are listed, {firing:?} fire"));
        }
        let without_since = self
            .alerts
            .iter()
            .filter(|alert| !alert.contains_key("since"))
            .count();
        if without_since > 0 {
            wrong.push(format!("  status.alerts: {without_since} have no `since`"));
        }
        wrong
    }

    fn add(&mut self, surface: &'static str, slo: Option<&str>, figure: &str, text: Option<String>) {
        self.figures.push(Shown {
            surface,
            slo: slo.map(str::to_owned),
            figure: figure.to_owned(),
            text,
        });
    }

    /// Adds every field of an objective in JSON; a missing field is a figure that is not displayed.
    fn objective(&mut self, surface: &'static str, entry: &Value) -> Result<String> {
        let name = entry["name"]
            .as_str()
            .context("an objective without a name")?
            .to_owned();
        let fields = entry.as_object().context("not an object")?;
        for figure in super::coverage::OBJECTIVE {
            let text = fields.get(figure).and_then(Value::as_str).map(str::to_owned);
            self.add(surface, Some(&name), figure, text);
        }
        for figure in fields.keys() {
            ensure!(
                super::coverage::OBJECTIVE.contains(&figure.as_str()) || figure == "burnRateLastDay",
                "{surface} shows {figure}, which has no row in the truth table"
            );
        }
        Ok(name)
    }

    async fn status(&mut self, app: &App<'_>) -> Result<()> {
        let status = app
            .api()
            .get(&app.name)
            .await?
            .status
            .context("the app has no status")?;
        let status = serde_json::to_value(status)?;
        for entry in status["slos"].as_array().into_iter().flatten() {
            let name = self.objective("status.slos", entry)?;
            self.slos.push(name);
            if let Some(at) = entry["observedAt"].as_str() {
                self.observed.push(at.parse()?);
            }
        }
        ensure!(!self.slos.is_empty(), "the status has no objective");
        self.worst = Some(self.objective("status.worstSLO", &status["worstSLO"])?);
        let count = status["firingAlerts"].as_i64().map(|count| count.to_string());
        self.add("status.firingAlerts", None, "alerts", count);
        for alert in status["alerts"].as_array().into_iter().flatten() {
            self.alerts
                .push(alert.as_object().context("not an object")?.clone());
        }
        Ok(())
    }
}
