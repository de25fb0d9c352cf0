//! The figures that kubectl and the command line print.

use std::process::Stdio;

use anyhow::{Context, Result, bail, ensure};
use lab::path_tools;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use super::{COLUMNS, Surfaces};
use crate::{App, Cluster};

/// The figures of the columns of `kubectl observed top`.
const TOP: [(&str, &str); 5] = [
    ("BUDGET", "budgetRemaining"),
    ("SLI", "sli"),
    ("BURN", "burnRate"),
    ("SPENT IN", "exhaustsIn"),
    ("ALERTS", "alerts"),
];

impl Surfaces {
    pub(super) async fn columns(
        &mut self,
        cluster: &Cluster,
        app: &App<'_>,
        worst: Option<&str>,
    ) -> Result<()> {
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

    pub(super) async fn status_screen(&mut self, cluster: &Cluster, app: &App<'_>) -> Result<()> {
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

    pub(super) async fn top_screen(
        &mut self,
        cluster: &Cluster,
        app: &App<'_>,
        worst: Option<&str>,
    ) -> Result<()> {
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

    /// The SLIs of the last hour by `backtest`.
    pub(super) async fn backtest(&mut self, cluster: &Cluster, app: &App<'_>) -> Result<()> {
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
