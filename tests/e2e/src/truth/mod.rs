//! The truth table: every figure that a user can see, compared with the counts of the load generator.
//!
//! `surfaces` reads the displayed figures, `expected` computes the expected ones, `coverage` fails for a figure without
//! a row.

mod coverage;
mod expected;
mod surfaces;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use kube::ResourceExt;
use lab::kubectl::Kubectl;
use lab::load::{self, Load};
use serde_json::json;

pub use self::expected::Truth;
use self::expected::disagreements;
use self::surfaces::Surfaces;
use crate::{App, Cluster, SMALL, eventually};

/// How many SLOs the manifest has.
const SLOS: f64 = 4.0;
/// The slowest group of rules has its first turn within four minutes.
const FIRST_EVALUATIONS: Duration = Duration::from_mins(7);
pub const OBSERVED: Duration = Duration::from_mins(4);
/// Three times the promised 60 s from a scrape to the figures.
pub const FRESH: Duration = Duration::from_mins(3);

/// The small app with one objective of each kind, over one day: short windows make the figures move within minutes.
pub fn manifest(name: &str) -> String {
    let slos = r#"slos:
  - {name: availability, objective: 99.9, window: 1d, indicator: {availability: {matchers: 'route=~"/tasks.*"'}}}
  - {name: latency, objective: 99, window: 1d, indicator: {latency: {threshold: 300ms, matchers: 'route=~"/tasks.*"'}}}
  - {name: ratio, objective: 99.5, window: 1d, indicator: {ratio: {errors: 'http_requests_total{job="tasks",code=~"5..",route=~"/tasks.*"}', total: 'http_requests_total{job="tasks",route=~"/tasks.*"}'}}}
  - {name: probe, objective: 99, window: 1d, indicator: {probe: {}}}
"#;
    let (before, _) = SMALL.split_once("slos:").unwrap_or((SMALL, ""));
    format!("{before}probe: {{path: /readyz}}\n  {slos}")
        .replace("name: tasks}", &format!("name: {name}}}"))
        .replace("job=\"tasks\"", &format!("job=\"{name}\""))
        .replace("env: [", "env: [{name: FAULTS, value: \"on\"}, ")
        .replace("metrics: {port: 8000}", "metrics: {port: 8000, interval: 5s}")
        // Many concurrent slow requests need more than a quarter of the small container's memory.
        .replace("memory: 64Mi", "memory: 128Mi")
}

/// Sets the error ratio and latency of every pod of the app.
pub async fn behave(app: &App<'_>, error_ratio: f64, latency_ms: u64) -> Result<()> {
    for pod in app.pods("app").await? {
        let body = json!({ "error_ratio": error_ratio, "latency_ms": latency_ms });
        let reply = app
            .one_pod_request(&pod.name_any(), 8000, "PUT", "/faults", Some(&body))
            .await?;
        ensure!(reply.status == 200, "{reply:?}");
    }
    Ok(())
}

/// Runs load for a while and adds its counts.
pub async fn users(cluster: &Cluster, app: &App<'_>, duration: &str, truth: &mut Truth) -> Result<()> {
    let load = Load {
        users: 20,
        spawn_rate: 20,
        duration: duration.to_owned(),
        think_time: "200ms".to_owned(),
        fail_above: "100%".to_owned(),
        app: app.name.clone(),
        namespace: app.namespace.clone(),
    };
    let outcome = load::run_job(&Kubectl::new(&cluster.kubeconfig).await?, &load, |_| ()).await?;
    let count = |key: &str| {
        outcome.summary[key]
            .as_f64()
            .with_context(|| format!("the load's summary lacks {key}"))
    };
    truth.events += count("requests")?;
    truth.failed += count("failed")?;
    truth.last_request = Instant::now();
    Ok(())
}

/// The app's own count of slow requests, from the pod's metrics and not from Prometheus.
pub async fn slow(app: &App<'_>) -> Result<f64> {
    let reply = app.pod_request(8000, "GET", "/metrics", None).await?;
    let sum = |name: &str, also: &str| -> f64 {
        reply
            .body
            .lines()
            .filter(|line| line.starts_with(name) && line.contains(r#"route="/tasks"#) && line.contains(also))
            .filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok())
            .sum()
    };
    Ok(sum("http_request_duration_seconds_count", "")
        - sum("http_request_duration_seconds_bucket", r#"le="0.3""#))
}

/// Waits until every displayed figure equals the expected one; prints how long that took.
pub async fn all_agree(situation: &str, cluster: &Cluster, app: &App<'_>, truth: &Truth) -> Result<()> {
    let began = Instant::now();
    let seen = eventually(
        &format!("{situation}: every figure agrees with the load's counts"),
        FRESH,
        async || {
            let seen = Surfaces::read(cluster, app).await?;
            let wrong = disagreements(&seen, truth);
            ensure!(
                wrong.is_empty(),
                "{} figures differ:\n{}",
                wrong.len(),
                wrong.join("\n")
            );
            anyhow::Ok(seen)
        },
    )
    .await?;
    println!(
        "{situation}: {} figures agree, {:.0} s after the last request ({:.0} s of waiting); {}",
        seen.count(),
        truth.last_request.elapsed().as_secs_f64(),
        began.elapsed().as_secs_f64(),
        seen.ages(),
    );
    Ok(())
}

/// When Prometheus first evaluated this app's rules, in seconds since the epoch: the window coverage counts from there.
/// Waits until every group of rules of its SLOs was evaluated, of which the slowest has its turn each four minutes.
pub async fn rules_since(cluster: &Cluster, app: &App<'_>) -> Result<f64> {
    let of = format!(r#"{{namespace="{}",app="{}"}}"#, app.namespace, app.name);
    let prometheus = cluster.prometheus();
    let objectives = format!("count(slo:objective:ratio{of})");
    eventually(
        "every group of rules is evaluated",
        FIRST_EVALUATIONS,
        async || {
            let count = prometheus.value(&objectives).await?;
            ensure!(
                (count - SLOS).abs() < 0.5,
                "{count} of {SLOS} SLOs have an objective"
            );
            anyhow::Ok(())
        },
    )
    .await?;
    let since = format!("min_over_time(timestamp(observedapp:rules:info{of})[1h:15s])");
    eventually("the rules are evaluated", OBSERVED, async || {
        prometheus.value(&since).await
    })
    .await
}
