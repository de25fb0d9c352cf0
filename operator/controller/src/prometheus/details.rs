//! Why something is wrong with one app: asked for only where something is.

use std::collections::BTreeMap;

use observedapp_api::{AppRef, ObservedApp};
use observedapp_slo::{PromDuration, latency};

use super::client::{Server, Unanswered};
use super::view::View;

/// What is wrong with the targets that are down, in Prometheus' own words.
pub async fn target_errors(server: &Server, app: &AppRef, view: &View) -> BTreeMap<String, String> {
    let mut errors = BTreeMap::new();
    for (job, (_, down)) in &view.jobs {
        if *down == 0 {
            continue;
        }
        let pool = if *job == app.probe_job() {
            format!("probe/{}/{}", app.namespace, app.name)
        } else {
            format!("serviceMonitor/{}/{job}/0", app.namespace)
        };
        let Ok(targets) = server.targets(&pool).await else {
            continue;
        };
        if let Some(target) = targets.iter().find(|target| target.health == "down") {
            errors.insert(
                job.clone(),
                format!("{}: {}", target.scrape_url, target.last_error),
            );
        }
    }
    errors
}

/// What is wrong with the first rule whose last evaluation failed, in Prometheus' own words.
pub async fn rule_error(server: &Server, app: &AppRef) -> Result<Option<String>, Unanswered> {
    let rules = server.rules(app).await?;
    let failed = rules.into_iter().find(|rule| rule.health == "err");
    Ok(failed.map(|rule| format!("{}: {}", rule.name, rule.last_error)))
}

/// Why a latency objective cannot be measured: its threshold lies between two buckets of the app's histogram.
pub async fn between_buckets(server: &Server, app: &ObservedApp, slo: &str) -> Option<String> {
    let slo = app.spec.slos.iter().find(|known| known.name == slo)?;
    let threshold: PromDuration = slo.indicator.latency.as_ref()?.threshold.parse().ok()?;
    let metric = app.spec.metrics.as_ref()?.names().latency;
    let id = AppRef::from(app);
    let buckets = format!(
        r#"count by (le) ({{__name__="{metric}_bucket",namespace="{}",job="{}"}})"#,
        id.namespace, id.name
    );
    let buckets = server.query(&buckets).await.ok()?;
    let refused = latency::check_buckets(threshold, buckets.iter().map(|bucket| bucket.label("le"))).err()?;
    Some(refused.to_string())
}
