//! A service is scraped, pages when its error budget burns fast, and resolves when it does not.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e_tests::truth::behave;
use e2e_tests::{Alertmanager, App, Cluster, OPERATOR_NAMESPACE, eventually};

use crate::{SAMPLE, dashboard};

const OBSERVED: Duration = Duration::from_mins(4);
/// A slot is closed every five minutes, and the rules that sum slots run within four more.
const RECORDED: Duration = Duration::from_mins(10);

#[tokio::test]
async fn a_fast_burn_pages_and_resolves() -> Result<()> {
    let cluster = Cluster::connect().await?;
    let namespace = cluster.temp_namespace("burn").await?;
    // With a window of one day, the page's burn-rate windows are the shortest possible: ten minutes and five.
    let app = App::apply(
        &cluster,
        &namespace.name,
        &SAMPLE.replace("objective: 99.9\n", "objective: 99.9\n      window: 1d\n"),
    )
    .await?;
    app.all_true(OBSERVED).await.or_else(only_without_data)?;

    let prometheus = cluster.prometheus();
    for job in ["tasks", "tasks-db", "tasks-cache", "tasks-probe"] {
        eventually(&format!("the targets of {job} are up"), OBSERVED, async || {
            let targets = prometheus.targets(&namespace.name, job).await?;
            ensure!(
                !targets.is_empty() && targets.iter().all(|(health, _)| health == "up"),
                "{targets:?}"
            );
            anyhow::Ok(())
        })
        .await?;
    }

    let traffic = traffic(&app);
    let alerting = async {
        // A healthy service: no failed request, and the recorded series agree.
        let of = format!(
            r#"{{namespace="{}",app="tasks",slo="availability"}}"#,
            namespace.name
        );
        eventually(
            "the recorded series show a healthy service",
            OBSERVED,
            async || {
                let ratio = prometheus.value(&format!("slo:error_ratio:rate5m{of}")).await?;
                let events = prometheus.value(&format!("slo:events:rate5m{of}")).await?;
                ensure!(
                    ratio == 0.0 && events > 1.0,
                    "ratio {ratio}, {events} events a second"
                );
                anyhow::Ok(())
            },
        )
        .await?;
        app.all_true(OBSERVED).await?;

        let page = async |wanted, timeout| {
            Alertmanager(&cluster)
                .until(
                    &namespace.name,
                    "ErrorBudgetBurnFast",
                    Some("availability"),
                    wanted,
                    timeout,
                )
                .await
        };
        behave(&app, 1.0, 0).await?;
        page(true, Duration::from_mins(3)).await?;
        eventually("the status lists the alert", Duration::from_mins(2), async || {
            let status = app.api().get(&app.name).await?.status.context("no status")?;
            ensure!(
                status
                    .alerts
                    .iter()
                    .any(|alert| alert.name == "ErrorBudgetBurnFast"),
                "{:?}",
                status.alerts
            );
            anyhow::Ok(())
        })
        .await?;
        assert_eq!(
            app.condition("Ready", "True", Duration::from_mins(1))
                .await
                .err()
                .map(|e| e.to_string()),
            None
        );

        behave(&app, 0.0, 0).await?;
        page(false, Duration::from_mins(9)).await?;

        let of_the_app = format!("{}-dashboards", app.name);
        dashboard::every_panel_has_data(&cluster, &app.namespace, &of_the_app, RECORDED).await?;
        dashboard::every_panel_has_data(&cluster, OPERATOR_NAMESPACE, "observedapp-dashboard", RECORDED).await
    };
    tokio::select! {
        done = alerting => done?,
        never = traffic => never?,
    }
    namespace.delete().await
}

/// About ten requests a second while it is polled.
async fn traffic(app: &App<'_>) -> Result<()> {
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    loop {
        ticks.tick().await;
        // Some requests fail on purpose.
        let _ = app.request("GET", "/tasks", None).await;
    }
}

/// Before the first request, objectives have no data: `SLOsMet` alone may be Unknown.
fn only_without_data(error: anyhow::Error) -> Result<()> {
    let text = error.to_string();
    let open = text.matches("=Unknown").count() + text.matches("=False").count();
    if open == 1 && text.contains("SLOsMet=Unknown") {
        Ok(())
    } else {
        Err(error)
    }
}
