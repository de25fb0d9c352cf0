//! `cargo lab load`: runs load on an app as a Job in its cluster.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::{
    controlplane,
    images::OwnImage,
    kubectl::Kubectl,
    paths,
    product::{SAMPLE, SAMPLE_NAMESPACE},
    prometheus::Prometheus,
    wait,
};

const JOB: &str = "tasks-load";

/// The load's parameters.
#[derive(Debug, Clone, clap::Args)]
pub struct Load {
    /// Users at once
    #[arg(long, default_value_t = 1000)]
    pub users: u32,
    /// Users that start each second
    #[arg(long, default_value_t = 100)]
    pub spawn_rate: u32,
    /// Duration once all users have started: 30s, 5m, 1h
    #[arg(long, default_value = "5m")]
    pub duration: String,
    /// Pause of a user between two requests: 1s-5s, 500ms, or none
    #[arg(long, default_value = "1s-5s")]
    pub think_time: String,
    /// Share of failed requests above which the load fails
    #[arg(long, value_name = "PERCENT", default_value = "0%")]
    pub fail_above: String,
    /// The app's name
    #[arg(long, default_value = SAMPLE)]
    pub app: String,
    /// The app's namespace
    #[arg(long, short, default_value = SAMPLE_NAMESPACE)]
    pub namespace: String,
}

/// The result of a load.
#[derive(Debug)]
pub struct Outcome {
    /// The load generator's summary.
    pub summary: Value,
    /// The HTML report.
    pub report: PathBuf,
    /// Whether the share of failed requests was allowed.
    pub served: bool,
}

/// Runs the load, prints its progress and its resource usage; fails if too many requests failed.
pub async fn run(kubectl: &Kubectl, load: &Load) -> Result<()> {
    let outcome = run_job(kubectl, load, |line| println!("{line}")).await?;
    match cost(
        kubectl,
        load,
        outcome.summary["seconds"].as_f64().unwrap_or_default(),
    )
    .await
    {
        Ok(cost) => println!("{cost}"),
        Err(error) => println!("the resource usage is not available from Prometheus: {error:#}"),
    }
    println!("the report: {}", outcome.report.display());
    if outcome.served {
        Ok(())
    } else {
        bail!("requests failed: {}", outcome.summary["failures"])
    }
}

/// Runs the load's Job and saves its report; `on_line` gets every line of progress.
pub async fn run_job(kubectl: &Kubectl, load: &Load, mut on_line: impl FnMut(&str)) -> Result<Outcome> {
    let namespace = format!("--namespace={}", load.namespace);
    // A Job is immutable, so that of an earlier load is deleted.
    kubectl
        .run(&["delete", "job", JOB, &namespace, "--ignore-not-found", "--wait"])
        .await?;
    kubectl.apply(&job(load).to_string()).await?;
    let pod = format!("job/{JOB}");
    wait::until("the load's pod", Duration::from_mins(2), || async {
        let phase = [
            "get",
            "pods",
            &namespace,
            "--selector=job-name=tasks-load",
            "--output=jsonpath={.items[*].status.phase}",
        ];
        Ok(match kubectl.run(&phase).await?.as_str() {
            "" | "Pending" => Err(format!(
                "it does not run yet; see `kubectl describe {namespace} job {JOB}`"
            )),
            _ => Ok(()),
        })
    })
    .await?;

    // If the log stream breaks off, it continues without repeating lines.
    let mut progress = Log::default();
    let mut tail = "--tail=-1";
    let served = loop {
        let mut follow = kubectl
            .command(&["logs", &namespace, "--follow", tail, &pod])
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let mut lines = BufReader::new(follow.stdout.take().context("kubectl has no output")?).lines();
        while let Some(line) = lines.next_line().await? {
            if let Some(line) = progress.read(&line) {
                on_line(line);
            }
        }
        follow.wait().await?;
        if let Some(served) = served(kubectl, &namespace, &pod).await? {
            break served;
        }
        tail = "--tail=0";
    };

    // From the whole log, which is kept with the Job.
    let mut log = Log::default();
    for line in kubectl.run(&["logs", &namespace, &pod]).await?.lines() {
        log.read(line);
    }
    let Some(summary) = log.summary() else {
        bail!("the load ended without its summary; see `kubectl logs {namespace} {pod}`");
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let report = paths::state_dir()
        .join("load")
        .join(format!("{now}-{}.html", load.namespace));
    save(&report, &log.report)?;
    Ok(Outcome {
        summary,
        report,
        served,
    })
}

/// Whether the Job has succeeded; `None` while it runs.
async fn served(kubectl: &Kubectl, namespace: &str, job: &str) -> Result<Option<bool>> {
    // Failed and succeeded Jobs both have two conditions, so the result is read from the counts.
    let wait = [
        "wait",
        namespace,
        job,
        "--for=jsonpath={.status.conditions[*].status}=True",
        "--timeout=10s",
    ];
    let ended = kubectl.run(&wait).await.is_ok();
    let succeeded = ["get", namespace, job, "--output=jsonpath={.status.succeeded}"];
    let succeeded = kubectl.run(&succeeded).await? == "1";
    Ok(ended.then_some(succeeded))
}

fn save(file: &Path, text: &str) -> Result<()> {
    let folder = file.parent().context("the report's path has no folder")?;
    fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    paths::write(file, text)
}

/// The load generator's output: lines of progress, and between them the summary and the report.
#[derive(Debug, Default)]
struct Log {
    part: Part,
    summary: String,
    report: String,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Part {
    #[default]
    Progress,
    Summary,
    Report,
}

impl Log {
    /// Adds a line; returns it if it is progress.
    fn read<'a>(&mut self, line: &'a str) -> Option<&'a str> {
        if self.part == Part::Progress {
            self.part = match line {
                "{" => Part::Summary,
                _ if line.to_ascii_lowercase().starts_with("<!doctype html") => Part::Report,
                _ => return Some(line),
            };
        }
        let (text, last) = match self.part {
            Part::Summary => (&mut self.summary, line == "}"),
            _ => (&mut self.report, line.ends_with("</html>")),
        };
        text.push_str(line);
        text.push('\n');
        if last {
            self.part = Part::Progress;
        }
        None
    }

    fn summary(&self) -> Option<Value> {
        serde_json::from_str(&self.summary).ok()
    }
}

/// The CPU and memory of the app's pods during the load.
async fn cost(kubectl: &Kubectl, load: &Load, seconds: f64) -> Result<String> {
    let of = format!(
        "{{namespace=\"{}\",container=\"{}\"}}[{seconds:.0}s]",
        load.namespace, load.app
    );
    let prometheus = Prometheus::new(controlplane::client(kubectl.kubeconfig()).await?);
    let cpu = prometheus
        .value(&format!("sum(rate(container_cpu_usage_seconds_total{of}))"))
        .await?;
    let memory = prometheus
        .value(&format!(
            "max(max_over_time(container_memory_working_set_bytes{of}))"
        ))
        .await?;
    Ok(format!(
        "during the load, all pods of {} used {cpu:.2} cores, and none more than {:.0} MiB of memory",
        load.app,
        memory / 1024.0 / 1024.0
    ))
}

fn job(load: &Load) -> Value {
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": JOB, "namespace": load.namespace},
        "spec": {
            "backoffLimit": 0,
            "template": {"spec": {
                "restartPolicy": "Never",
                "automountServiceAccountToken": false,
                "securityContext": {"runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
                "containers": [{
                    "name": "load",
                    "image": OwnImage::TASKS_LOAD.reference,
                    "args": [
                        format!("--host=http://{}", load.app),
                        format!("--users={}", load.users),
                        format!("--spawn-rate={}", load.spawn_rate),
                        format!("--duration={}", load.duration),
                        format!("--think-time={}", load.think_time),
                        format!("--fail-above={}", load.fail_above),
                        // Without a shell, no file can be copied out of the image: both go to the log.
                        "--summary=-",
                        "--report=-",
                    ],
                    "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "512Mi"}},
                    "securityContext": {
                        "allowPrivilegeEscalation": false,
                        "readOnlyRootFilesystem": true,
                        "capabilities": {"drop": ["ALL"]},
                    },
                }],
            }},
        },
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn summary_and_report_are_separated_from_progress_lines() {
        let mut log = Log::default();
        let output =
            "10 users\n{\n  \"failed\": 0,\n  \"all\": {\n  }\n}\n<!DOCTYPE html>\n<p>{\n</html>\ndone";
        let progress: Vec<&str> = output.lines().filter_map(|line| log.read(line)).collect();
        assert_eq!(progress, ["10 users", "done"]);
        assert_eq!(log.summary().unwrap()["failed"], 0);
        assert_eq!(log.report, "<!DOCTYPE html>\n<p>{\n</html>\n");
    }
}
