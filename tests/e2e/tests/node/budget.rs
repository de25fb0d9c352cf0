//! The budget that the status says is spent, beside the failures that the users themselves counted.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e_tests::{App, Cluster, Prometheus, SMALL, eventually};
use lab::kubectl::Kubectl;
use lab::load::{self, Load};

use crate::burn::fault;

/// Of the budget that was spent.
const TOLERANCE: f64 = 0.02;
/// Of the events: what comes before a counter's first scrape is not seen, nor what a pod counts after its last.
const COUNTED: f64 = 0.1;

#[tokio::test]
async fn the_budget_spent_is_what_users_lost() -> Result<()> {
    let cluster = Cluster::connect().await?;
    let namespace = cluster.temp_namespace("budget").await?;
    let manifest = SMALL
        .replace(
            "indicator: {availability: {}}",
            "window: 1d, indicator: {availability: {matchers: 'route=~\"/tasks.*\"'}}",
        )
        .replace("env: [", "env: [{name: FAULTS, value: \"on\"}, ");
    let app = App::apply(&cluster, &namespace.name, &manifest).await?;
    // What happens before the first scrape is counted by nobody but the service.
    app.condition("Monitored", "True", Duration::from_mins(4)).await?;
    app.condition("RulesLoaded", "True", Duration::from_mins(4))
        .await?;

    fault(&app, 0.3).await?;
    let load = Load {
        users: 20,
        spawn_rate: 20,
        duration: "90s".to_owned(),
        think_time: "200ms".to_owned(),
        fail_above: "100%".to_owned(),
        app: app.name.clone(),
        namespace: namespace.name.clone(),
    };
    let outcome = load::put(&Kubectl::new(&cluster.kubeconfig).await?, &load, |_| ()).await?;
    let count = |key: &str| outcome.summary[key].as_f64().context("no count");
    let (requests, failed) = (count("requests")?, count("failed")?);
    ensure!(
        failed > 500.0,
        "only {failed} of {requests} failed: {}",
        outcome.summary
    );

    let prometheus = Prometheus(&cluster);
    let of = format!(
        r#"{{namespace="{}",app="{}",slo="availability"}}"#,
        namespace.name, app.name
    );
    // The slot in which the last request fell must have ended and been recorded, and the poll have come round.
    eventually(
        "the status agrees with the users",
        Duration::from_mins(9),
        async || {
            let counted = prometheus
                .value(&format!("sum_over_time(slo:events:slot5m{of}[1d])"))
                .await?;
            ensure!(
                (counted / requests - 1.0).abs() < COUNTED,
                "{counted} events are recorded, the users made {requests} requests"
            );
            let coverage = prometheus
                .value(&format!("slo:window_coverage:ratio{of}"))
                .await?;
            let spent = failed / requests * coverage / 0.001;
            let status = app.api().get(&app.name).await?.status.context("no status")?;
            let said = status
                .slos
                .first()
                .and_then(|slo| slo.budget_remaining.clone())
                .context("the status names no budget")?;
            let left: f64 = said.trim_end_matches('%').parse()?;
            ensure!(
                ((1.0 - left / 100.0) / spent - 1.0).abs() < TOLERANCE,
                "{said} of the budget is left, while the users' failures have spent {:.1} %",
                spent * 100.0
            );
            anyhow::Ok(())
        },
    )
    .await?;
    namespace.delete().await
}
