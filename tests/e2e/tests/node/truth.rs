//! Every figure that a user can see, in five situations, compared with the counts of the load generator.

use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use e2e_tests::truth::{FRESH, OBSERVED, Truth, all_agree, behave, manifest, rules_since, slow, users};
use e2e_tests::{App, Cluster, eventually};

/// Above the threshold of the latency objective, 300 ms.
const SLOW_MS: u64 = 450;
const FAILING: f64 = 0.05;

#[tokio::test]
async fn every_figure_is_what_users_counted() -> Result<()> {
    let cluster = Cluster::connect().await?;
    let namespace = cluster.temp_namespace("truth").await?;
    let app = App::apply(&cluster, &namespace.name, &manifest("tasks")).await?;
    let idle = App::apply(
        &cluster,
        &namespace.name,
        &manifest("idle")
            .replace("probe: {path: /readyz}\n  ", "")
            .replace(
                "  - {name: probe, objective: 99, window: 1d, indicator: {probe: {}}}\n",
                "",
            ),
    )
    .await?;
    // Prometheus cannot see requests before the first scrape.
    app.condition("Monitored", "True", OBSERVED).await?;
    app.condition("RulesLoaded", "True", OBSERVED).await?;
    // Before its first request an app has no series; the windows of alerts begin with the first total.
    let reply = app.pod_request(5000, "GET", "/tasks", None).await?;
    ensure!(reply.status == 200, "{reply:?}");
    let mut truth = Truth::begin(rules_since(&cluster, &app).await?);
    truth.events += 1.0;

    users(&cluster, &app, "45s", &mut truth).await?;
    truth.slow = slow(&app).await?;
    all_agree("healthy", &cluster, &app, &truth).await?;

    behave(&app, FAILING, 0).await?;
    let failing = users(&cluster, &app, "90s", &mut truth);
    let (failing, paged) = tokio::join!(failing, never_met_once_paged(&cluster, &app));
    failing?;
    paged?;
    truth.slow = slow(&app).await?;
    ensure!(truth.failed > 200.0, "only {} requests failed", truth.failed);
    all_agree("5 % failing", &cluster, &app, &truth).await?;

    behave(&app, 0.0, SLOW_MS).await?;
    let before = truth.events;
    users(&cluster, &app, "30s", &mut truth).await?;
    let were_slow = truth.events - before;
    truth.slow = slow(&app).await?;
    ensure!(
        truth.slow >= were_slow && truth.slow < were_slow * 1.2,
        "{were_slow} requests were slow on purpose, the app counted {}",
        truth.slow
    );
    all_agree("slow", &cluster, &app, &truth).await?;

    behave(&app, 0.0, 0).await?;
    users(&cluster, &app, "30s", &mut truth).await?;
    truth.slow = slow(&app).await?;
    all_agree("just recovered", &cluster, &app, &truth).await?;

    // The other app gets no requests.
    let no_requests = Truth::begin(truth.rules_since);
    all_agree("no traffic", &cluster, &idle, &no_requests).await?;
    namespace.delete().await
}

/// Waits until the page fires, and then until the status shows it: the objective must not be Met.
async fn never_met_once_paged(cluster: &Cluster, app: &App<'_>) -> Result<()> {
    let prometheus = cluster.prometheus();
    let firing = format!(
        r#"ALERTS{{alertname="ErrorBudgetBurnFast",alertstate="firing",namespace="{}",app="{}",slo="availability"}}"#,
        app.namespace, app.name
    );
    eventually("the page fires in Prometheus", FRESH, async || {
        ensure!(
            !prometheus.query(&firing).await?.is_empty(),
            "it does not fire yet"
        );
        anyhow::Ok(())
    })
    .await?;
    let paged = Instant::now();
    let what = "the status shows the page";
    eventually(what, FRESH, async || {
        let status = app.api().get(&app.name).await?.status.context("no status")?;
        let slo = status
            .slos
            .iter()
            .find(|slo| slo.name == "availability")
            .context("no entry")?;
        let state = format!("{:?}", slo.state);
        if state == "Met" || state == "NoData" || status.firing_alerts.unwrap_or(0) == 0 {
            bail!("it is {state} with {:?} alerts", status.firing_alerts);
        }
        anyhow::Ok(())
    })
    .await?;
    println!(
        "the status shows the page {:.0} s after it fired",
        paged.elapsed().as_secs_f64()
    );
    Ok(())
}
