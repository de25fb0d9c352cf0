//! Status from a real Prometheus: the queries, not only the evaluation of their results.
#![allow(clippy::unwrap_used)]

use std::fmt::Write;
use std::ops::Range;
use std::time::{Duration, SystemTime};

use anyhow::{Result, ensure};
use apiserver_tests::{
    Proxy, RunningOperator, TestNamespace, block_on, condition, eventually, options, short_intervals,
};
use golden_tests::prometheus::Prometheus;
use observedapp_api::SloState;
use observedapp_controller::Timing;
use serde_json::json;

const SLOS: [&str; 4] = ["away", "idle", "new", "old"];

/// Samples from a minute ago on, for an hour: seconds from now.
const LIVE: Range<i64> = -60..3600;
/// Before Prometheus' lookback.
const EARLIER: Range<i64> = -7200..-3600;

/// Samples of these series in OpenMetrics.
fn series(samples: &[(&str, &str, f64, Range<i64>)], namespace: &str) -> Result<String> {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)?
        .as_secs()
        .cast_signed();
    let mut text = String::new();
    for (record, slo, value, when) in samples {
        writeln!(text, "# TYPE {record} gauge")?;
        for at in (now + when.start..now + when.end).step_by(60) {
            writeln!(
                text,
                r#"{record}{{namespace="{namespace}",app="tasks",slo="{slo}"}} {value} {at}"#
            )?;
        }
    }
    text.push_str("# EOF\n");
    Ok(text)
}

#[test]
fn the_status_of_slos_follows_prometheus() -> Result<()> {
    block_on(async {
        let ns = TestNamespace::new("effect").await?;
        let text = series(
            &[
                ("slo:budget_remaining:ratio", "old", 0.5, LIVE),
                ("slo:error_ratio:period", "old", 0.000_5, LIVE),
                ("slo:window_coverage:ratio", "old", 0.5, LIVE),
                ("slo:budget_remaining:ratio", "new", 1.0, LIVE),
                ("slo:error_ratio:period", "new", 0.0, LIVE),
                ("slo:window_coverage:ratio", "new", 0.000_1, LIVE),
                ("slo:budget_remaining:ratio", "away", 1.0, EARLIER),
                ("slo:error_ratio:period", "away", 0.0, EARLIER),
                ("slo:window_coverage:ratio", "away", 0.5, EARLIER),
            ],
            &ns.name,
        )?;
        let prometheus = Prometheus::with_openmetrics(&text);
        let proxy = Proxy::start(&ns).await?;
        let namespaces = format!("--namespaces={}", ns.name);
        let url = format!("--prometheus-url={}", prometheus.url());
        let operator = RunningOperator::start(options(&[&namespaces, &url]), proxy.config());
        let slos =
            SLOS.map(|name| json!({"name": name, "objective": 99.9, "indicator": {"availability": {}}}));
        let spec = json!({"image": "tasks:1", "metrics": {"port": 8000}, "slos": slos});
        ns.apply("tasks", spec).await?;

        let status = eventually("the objectives have a status", async || {
            let app = ns.apps().get("tasks").await?;
            let (met, ..) = condition(&app, "SLOsMet");
            ensure!(met == "True", "{met}");
            Ok(app.status.unwrap())
        })
        .await?;
        let of = |name: &str| status.slos.iter().find(|slo| slo.name == name).unwrap();
        let new = of("new");
        assert_eq!(new.state, SloState::Met);
        assert_eq!(new.sli.as_deref(), Some("100.00%"));
        assert_eq!(new.budget_remaining.as_deref(), Some("100%"));
        assert_eq!(
            of("idle").state,
            SloState::NoData,
            "an SLO without traffic is not met"
        );
        assert_eq!(of("old").budget_remaining.as_deref(), Some("50%"));
        assert_eq!(
            of("away").state,
            SloState::NoData,
            "what was recorded long ago is not shown as of now"
        );
        operator.stop().await
    })
}

#[test]
fn a_change_shortens_the_polling_interval() -> Result<()> {
    block_on(async {
        let ns = TestNamespace::new("soon").await?;
        let records = [
            ("slo:error_ratio:period", "old", 0.0, LIVE),
            ("slo:window_coverage:ratio", "old", 0.5, LIVE),
        ];
        let text = series(&records, &ns.name)?;
        let prometheus = Prometheus::with_openmetrics(&text);
        let proxy = Proxy::start(&ns).await?;
        let namespaces = format!("--namespaces={}", ns.name);
        let url = format!("--prometheus-url={}", prometheus.url());
        let timing = Timing {
            poll: Duration::from_hours(1),
            ..short_intervals()
        };
        let operator = RunningOperator::start_timed(options(&[&namespaces, &url]), proxy.config(), timing);
        let spec = |slos| json!({"image": "tasks:1", "metrics": {"port": 8000}, "slos": slos});
        ns.apply("tasks", spec(json!([]))).await?;
        ns.until("tasks", "Prometheus was queried", |app| {
            condition(app, "Monitored").1 == "NoTargets"
        })
        .await?;
        let slo = json!({"name": "old", "objective": 99.9, "indicator": {"availability": {}}});
        ns.apply("tasks", spec(json!([slo]))).await?;
        // Long before the configured hour has passed.
        ns.until("tasks", "the objective has a status", |app| {
            condition(app, "SLOsMet").0 == "True"
        })
        .await?;
        operator.stop().await
    })
}
