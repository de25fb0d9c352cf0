//! Reads every figure from every place where a user can see it.

use std::collections::BTreeMap;
use std::process::Stdio;

use anyhow::{Context, Result, bail, ensure};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use lab::path_tools;
use serde_json::{Map, Value};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::{App, Cluster, OPERATOR_NAMESPACE, substitute_variables};

/// The figures of the printed columns.
pub const COLUMNS: [(&str, &str); 5] = [
    ("OBJECTIVE", "name"),
    ("SLI", "sli"),
    ("BUDGET", "budgetRemaining"),
    ("BURN", "burnRate"),
    ("ALERTS", "alerts"),
];
/// The figures of the columns of `kubectl observed top`.
const TOP: [(&str, &str); 5] = [
    ("BUDGET", "budgetRemaining"),
    ("SLI", "sli"),
    ("BURN", "burnRate"),
    ("SPENT IN", "exhaustsIn"),
    ("ALERTS", "alerts"),
];
/// The stat panels of an objective, by the suffix of their titles.
const PANELS: [(&str, &str); 3] = [
    (": objective", "objective"),
    (": SLI", "sli"),
    (": budget left", "budgetRemaining"),
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

    async fn columns(&mut self, cluster: &Cluster, app: &App<'_>, worst: Option<&str>) -> Result<()> {
        let table = kubectl(
            cluster,
            &["get", "oapp", &app.name, "-n", &app.namespace, "-o", "wide"],
        )
        .await?;
        for (column, figure) in COLUMNS {
            let text = cell(&table, column, &app.name)?;
            let slo = (figure != "alerts").then_some(worst).flatten();
            self.add("kubectl get oapp", slo, figure, text);
        }
        Ok(())
    }

    async fn status_screen(&mut self, cluster: &Cluster, app: &App<'_>) -> Result<()> {
        let status = ["observed", "status", &app.name, "-n", &app.namespace];
        let json: Value =
            serde_json::from_str(&kubectl(cluster, &[&status[..], &["-o", "json"]].concat()).await?)?;
        let screen = kubectl(cluster, &status).await?;
        for entry in json["slos"].as_array().into_iter().flatten() {
            let name = self.objective("observed status -o json", entry)?;
            // The lines of this objective on the screen: up to the name of the next one.
            let own = screen
                .split_once(&format!("\n  {name}  "))
                .with_context(|| format!("the screen lacks {name}:\n{screen}"))?
                .1;
            let own: String = own
                .lines()
                .enumerate()
                .take_while(|(n, line)| *n == 0 || line.starts_with("    "))
                .map(|(_, line)| line)
                .collect::<Vec<_>>()
                .join("\n");
            for figure in [
                "sli",
                "budgetRemaining",
                "burnRate",
                "exhaustsIn",
                "state",
                "objective",
                "window",
            ] {
                if let Some(text) = entry[figure].as_str() {
                    ensure!(
                        own.contains(text),
                        "the screen does not show the {figure} {text} of {name}:\n{own}"
                    );
                }
            }
            if let (Some(day), Some(burn)) = (entry["burnRateLastDay"].as_array(), entry["burnRate"].as_str())
            {
                let newest = day.last().and_then(Value::as_f64).unwrap_or(0.0);
                let burn: f64 = burn.trim_end_matches('x').parse()?;
                ensure!(
                    newest >= burn * 0.98 - 0.1,
                    "the highest burn rate of {name} in the last half hour is {newest}, the current one {burn}"
                );
            }
        }
        let count = json["firingAlerts"].as_i64().map(|count| count.to_string());
        let expected = match count.as_deref() {
            Some("0") => "none is firing".to_owned(),
            Some(count) => format!("{count} firing"),
            None => "not known".to_owned(),
        };
        ensure!(
            screen.contains(&expected),
            "the screen lacks {expected:?}:\n{screen}"
        );
        self.add("observed status -o json", None, "alerts", count);
        Ok(())
    }

    async fn top_screen(&mut self, cluster: &Cluster, app: &App<'_>, worst: Option<&str>) -> Result<()> {
        let top = ["observed", "top", "-n", &app.namespace];
        let json: Value =
            serde_json::from_str(&kubectl(cluster, &[&top[..], &["-o", "json"]].concat()).await?)?;
        let row = json
            .as_array()
            .into_iter()
            .flatten()
            .find(|row| row["name"] == app.name.as_str())
            .context("`top` does not list the app")?;
        self.objective("observed top -o json", &row["worstSLO"])?;
        let count = row["firingAlerts"].as_i64().map(|count| count.to_string());
        self.add("observed top -o json", None, "alerts", count);
        let table = kubectl(cluster, &top).await?;
        for (column, figure) in TOP {
            let text = cell(&table, column, &app.name)?.filter(|text| text != "-" && text != "NoData");
            let slo = (figure != "alerts").then_some(worst).flatten();
            self.add("observed top", slo, figure, text);
        }
        Ok(())
    }

    /// `observedapp_slo_state` of the leader.
    async fn metrics(&mut self, cluster: &Cluster, app: &App<'_>) -> Result<()> {
        let pods = Api::<Pod>::namespaced(cluster.client.clone(), OPERATOR_NAMESPACE);
        let of = format!(r#"namespace="{}",app="{}""#, app.namespace, app.name);
        let mut states: BTreeMap<String, String> = BTreeMap::new();
        for pod in pods
            .list(&ListParams::default().labels("app.kubernetes.io/name=observedapp"))
            .await?
        {
            let text = cluster
                .pod_get(OPERATOR_NAMESPACE, &pod.name_any(), "8080", "/metrics")
                .await?;
            for line in text
                .lines()
                .filter(|line| line.starts_with("observedapp_slo_state{") && line.contains(&of))
            {
                let label = |name: &str| {
                    let (_, rest) = line.split_once(&format!("{name}=\""))?;
                    Some(rest.split_once('"')?.0.to_owned())
                };
                if line.ends_with(" 1")
                    && let (Some(slo), Some(state)) = (label("slo"), label("state"))
                {
                    states.insert(slo, state);
                }
            }
        }
        for slo in self.slos.clone() {
            let state = states.remove(&slo);
            self.add("observedapp_slo_state", Some(&slo), "state", state);
        }
        Ok(())
    }

    async fn panels(&mut self, cluster: &Cluster, app: &App<'_>) -> Result<()> {
        let maps = Api::<ConfigMap>::namespaced(cluster.client.clone(), &app.namespace);
        let map = maps.get(&format!("{}-dashboards", app.name)).await?;
        let (_, dashboard) = map
            .data
            .and_then(|data| data.into_iter().next())
            .context("no dashboard")?;
        let dashboard: Value = serde_json::from_str(&dashboard)?;
        let mut panels: Vec<&Value> = dashboard["panels"].as_array().into_iter().flatten().collect();
        let inner: Vec<&Value> = panels
            .iter()
            .flat_map(|panel| panel["panels"].as_array().into_iter().flatten())
            .collect();
        panels.extend(inner);
        for panel in panels.into_iter().filter(|panel| panel["type"] == "stat") {
            let title = panel["title"].as_str().unwrap_or_default();
            let Some((slo, figure)) = PANELS
                .iter()
                .find_map(|(end, figure)| Some((title.strip_suffix(end)?, *figure)))
            else {
                ensure!(
                    super::coverage::OTHER_PANELS.contains(&title),
                    "the stat panel {title:?} has no row in the truth table"
                );
                continue;
            };
            let query = panel["targets"][0]["expr"]
                .as_str()
                .context("a panel without a query")?;
            let samples = cluster
                .prometheus()
                .query(&substitute_variables(&dashboard, query))
                .await?;
            ensure!(
                samples.len() <= 1,
                "{title}: {} series instead of one",
                samples.len()
            );
            let text = samples.first().map(|sample| {
                if figure == "objective" {
                    format!("{}%", (sample.value * 1e6).round() / 1e4)
                } else {
                    format!("{:.3}%", sample.value * 100.0)
                }
            });
            self.add("dashboard", Some(slo), figure, text);
        }
        Ok(())
    }

    /// The SLIs of the last hour by `backtest`.
    async fn backtest(&mut self, cluster: &Cluster, app: &App<'_>) -> Result<()> {
        let mut spec = app.api().get(&app.name).await?;
        spec.status = None;
        spec.metadata.managed_fields = None;
        let file = std::env::temp_dir().join(format!("truth-{}-{}.yaml", app.namespace, app.name));
        std::fs::write(&file, serde_json::to_vec(&spec)?)?;
        let proxy = ApiProxy::open(cluster).await?;
        let url = format!(
            "{}/api/v1/namespaces/monitoring/services/prometheus-operated:9090/proxy",
            proxy.url
        );
        let printed = observedapp(&[
            "backtest",
            &file.display().to_string(),
            "--prometheus",
            &url,
            "--since=1h",
            "--output=json",
        ])
        .await;
        std::fs::remove_file(&file)?;
        let replayed: Value = serde_json::from_str(&printed?)?;
        for slo in replayed.as_array().into_iter().flatten() {
            let name = slo["name"].as_str().context("an objective without a name")?;
            let ratio = slo["errorRatio"].as_f64();
            let text = ratio.map(|ratio| format!("{:.4}%", (1.0 - ratio) * 100.0));
            self.add("backtest", Some(name), "sli", text);
        }
        Ok(())
    }
}

/// The cell of a column in the row of an app; `None` if it is blank.
fn cell(table: &str, column: &str, app: &str) -> Result<Option<String>> {
    let mut lines = table.lines();
    let head = lines.next().context("an empty table")?;
    let at = head
        .find(column)
        .with_context(|| format!("{head:?} has no column {column}"))?;
    let line = lines
        .find(|line| line.split_whitespace().any(|word| word == app))
        .with_context(|| format!("no row of {app} in\n{table}"))?;
    // A cell starts at the column of its heading; bars have characters of several bytes.
    let at = head[..at].chars().count();
    let text: String = line.chars().skip(at).collect();
    Ok(if text.is_empty() || text.starts_with(' ') {
        None
    } else {
        text.split_whitespace().next().map(str::to_owned)
    })
}

async fn kubectl(cluster: &Cluster, args: &[&str]) -> Result<String> {
    output(
        Command::new(path_tools::dir().join("kubectl"))
            .env("KUBECONFIG", &cluster.kubeconfig)
            .args(args),
    )
    .await
}

async fn observedapp(args: &[&str]) -> Result<String> {
    output(Command::new(lab::images::built("observedapp")).args(args)).await
}

async fn output(command: &mut Command) -> Result<String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(std::iter::once(path_tools::dir()).chain(std::env::split_paths(&path)))?;
    let output = command.env("PATH", path).stdin(Stdio::null()).output().await?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// `kubectl proxy`, for programs that have no kubeconfig.
struct ApiProxy {
    url: String,
    _kubectl: tokio::process::Child,
}

impl ApiProxy {
    async fn open(cluster: &Cluster) -> Result<Self> {
        let mut kubectl = Command::new(path_tools::dir().join("kubectl"))
            .env("KUBECONFIG", &cluster.kubeconfig)
            .args(["proxy", "--port=0"])
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let stdout = kubectl.stdout.take().context("kubectl has no output")?;
        let line = BufReader::new(stdout)
            .lines()
            .next_line()
            .await?
            .context("kubectl proxy printed no address")?;
        let address = line.rsplit(' ').next().context("no address")?;
        Ok(Self {
            url: format!("http://{address}"),
            _kubectl: kubectl,
        })
    }
}
