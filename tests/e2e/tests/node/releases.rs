//! Releases are tried on one pod: a good one goes on, a bad one and one that never starts are taken back.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e_tests::{App, Cluster, SMALL, eventually};
use observedapp_api::{ObservedAppStatus, ReleaseStatus};
use serde_json::{Value, json};

/// Three times what is promised: twenty seconds to start, half a minute of trial, a minute for figures.
const JUDGED: Duration = Duration::from_mins(6);
const GUARD: &str = "
  rollout: {guard: {bakeTime: 30s, minRequests: 50, withoutTraffic: Hold, watchTime: 30s}}";

#[tokio::test]
async fn a_good_release_goes_on_and_a_bad_one_is_taken_back() -> Result<()> {
    let cluster = Cluster::connect().await?;
    let namespace = cluster.temp_namespace("releases").await?;
    let manifest = SMALL.replace("replicas: 1", "replicas: 2").replace(
        "{livenessPath: /healthz, readinessPath: /readyz}",
        "{livenessPath: /healthz, readinessPath: /readyz, startupSeconds: 20}",
    );
    let app = App::apply(&cluster, &namespace.name, &format!("{manifest}{GUARD}")).await?;
    let first = released(&app, 1, "Stable").await?;
    ensure!(
        first.verdict.is_none(),
        "the first release has no trial: {first:?}"
    );

    let failed = AtomicU32::new(0);
    let story = async {
        ship(&app, json!([{"name": "GREETING", "value": "hello"}])).await?;
        let good = released(&app, 2, "Watching").await?;
        let verdict = good.verdict.context("a verdict")?;
        ensure!(verdict.contains("0% of "), "{verdict}");
        ensure!(
            failed.load(Ordering::Relaxed) == 0,
            "a good release fails no request"
        );
        released(&app, 2, "Stable").await?;

        let faults =
            json!([{"name": "FAULTS", "value": "on"}, {"name": "FAULT_ERROR_RATIO", "value": "0.5"}]);
        ship(&app, faults).await?;
        let bad = released(&app, 3, "RolledBack").await?;
        let verdict = bad.verdict.context("a verdict")?;
        let shown: f64 = between(&verdict, "availability: ", "% of ").parse()?;
        ensure!(
            (35.0..65.0).contains(&shown),
            "half of its requests failed: {verdict}"
        );
        ensure!(
            failed.load(Ordering::Relaxed) > 0,
            "one pod of three failed half of its requests"
        );
        runs_only(&app, 2).await?;
        app.condition("Ready", "True", Duration::from_mins(1)).await?;
        let stalled = app.condition("Stalled", "True", Duration::from_mins(1)).await?;
        ensure!(
            stalled.contains("release 3 was taken back; release 2 runs"),
            "{stalled}"
        );

        // One whose pod never answers costs no request at all.
        let before = failed.load(Ordering::Relaxed);
        ship(&app, json!([{"name": "DATABASE_URL", "value": "nonsense"}])).await?;
        let never = released(&app, 4, "NeverReady").await?;
        let verdict = never.verdict.context("a verdict")?;
        ensure!(verdict.contains("did not answer within 50 s"), "{verdict}");
        runs_only(&app, 2).await?;
        ensure!(failed.load(Ordering::Relaxed) == before, "no request failed");

        // Going back needs no trial.
        ship(&app, json!([{"name": "GREETING", "value": "hello"}])).await?;
        released(&app, 2, "Stable").await?;
        let status = status(&app).await?;
        let phases: Vec<&str> = status
            .releases
            .iter()
            .map(|release| release.phase.as_str())
            .collect();
        ensure!(
            phases == ["Stable", "Stable", "RolledBack", "NeverReady"],
            "{phases:?}"
        );
        app.condition("Released", "True", Duration::from_mins(1)).await?;
        anyhow::Ok(())
    };
    tokio::select! {
        done = story => done?,
        never = traffic(&app, &failed) => never?,
    }
    namespace.delete().await
}

/// Sets the environment, which is another release.
async fn ship(app: &App<'_>, env: Value) -> Result<()> {
    let mut env: Vec<Value> = env.as_array().cloned().unwrap_or_default();
    if env.iter().all(|variable| variable["name"] != "DATABASE_URL") {
        env.push(json!({"name": "DATABASE_URL", "value": "sqlite::memory:"}));
    }
    app.patch(json!({ "env": env })).await
}

async fn status(app: &App<'_>) -> Result<ObservedAppStatus> {
    app.api().get(&app.name).await?.status.context("no status")
}

/// Waits until this release is in this phase.
async fn released(app: &App<'_>, number: i64, phase: &str) -> Result<ReleaseStatus> {
    eventually(&format!("release {number} is {phase}"), JUDGED, async || {
        let status = status(app).await?;
        let release = status.release.context("no release")?;
        let found = status
            .conditions
            .iter()
            .find(|condition| condition.type_ == "Released");
        ensure!(
            release.number == number && release.phase == phase,
            "{release:?}; {:?}",
            found.map(|condition| &condition.message)
        );
        anyhow::Ok(release)
    })
    .await
}

/// Waits until all pods are of this release.
async fn runs_only(app: &App<'_>, number: u64) -> Result<()> {
    eventually(&format!("all pods are of release {number}"), JUDGED, async || {
        let pods = app.pods("app").await?;
        let of: Vec<Option<&String>> = pods
            .iter()
            .map(|pod| pod.metadata.labels.as_ref()?.get("observedapp.dev/release"))
            .collect();
        ensure!(
            of.len() == 2
                && of
                    .iter()
                    .all(|release| **release.as_ref().unwrap_or(&&String::new()) == number.to_string()),
            "{of:?}"
        );
        anyhow::Ok(())
    })
    .await
}

/// About twenty requests a second while it is polled.
async fn traffic(app: &App<'_>, failed: &AtomicU32) -> Result<()> {
    let mut ticks = tokio::time::interval(Duration::from_millis(50));
    loop {
        ticks.tick().await;
        let served = app
            .request("GET", "/tasks", None)
            .await
            .is_ok_and(|reply| reply.status < 500);
        if !served {
            failed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let rest = text.split_once(before).map_or("", |(_, rest)| rest);
    rest.split_once(after).map_or("", |(found, _)| found)
}
