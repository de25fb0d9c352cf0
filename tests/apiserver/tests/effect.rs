//! What a real Prometheus says becomes the status: the queries, not only what is made of their answers.
#![allow(clippy::unwrap_used)]

use std::fmt::Write;
use std::time::SystemTime;

use anyhow::Result;
use apiserver_tests::{Proxy, Running, Space, block_on, condition, eventually, options};
use golden_tests::prometheus::Prometheus;
use observedapp_api::SloState;
use serde_json::json;

const SLOS: [&str; 4] = ["clean", "failing", "idle", "old"];

/// An hour's samples of these series, from a minute ago on.
fn series(samples: &[(&str, &str, f64)], namespace: &str) -> Result<String> {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)?
        .as_secs();
    let mut text = String::new();
    for (record, slo, value) in samples {
        writeln!(text, "# TYPE {record} gauge")?;
        for at in (now - 60..now + 3600).step_by(60) {
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
fn an_objective_without_a_failure_is_met_before_its_period_is_recorded() -> Result<()> {
    block_on(async {
        let space = Space::new("effect").await?;
        let text = series(
            &[
                ("slo:budget_remaining:ratio", "old", 0.5),
                ("slo:error_ratio:period", "old", 0.000_5),
                ("slo:error_ratio:rate5m", "clean", 0.0),
                ("slo:error_ratio:rate5m", "failing", 0.2),
                ("slo:error_ratio:rate5m", "old", 0.0),
            ],
            &space.name,
        )?;
        let prometheus = Prometheus::with_openmetrics(&text);
        let proxy = Proxy::start(&space).await?;
        let namespaces = format!("--namespaces={}", space.name);
        let url = format!("--prometheus-url={}", prometheus.url());
        let operator = Running::start(options(&[&namespaces, &url]), proxy.config());
        let slos =
            SLOS.map(|name| json!({"name": name, "objective": 99.9, "indicator": {"availability": {}}}));
        let spec = json!({"image": "tasks:1", "metrics": {"port": 8000}, "slos": slos});
        space.apply("tasks", spec).await?;

        let status = eventually("the objectives are judged", async || {
            let app = space.apps().get("tasks").await?;
            let (met, ..) = condition(&app, "SLOsMet");
            Ok(if met == "True" {
                Ok(app.status.unwrap())
            } else {
                Err(met)
            })
        })
        .await?;
        let of = |name: &str| status.slos.iter().find(|slo| slo.name == name).unwrap();
        let clean = of("clean");
        assert_eq!(clean.state, SloState::Met);
        assert_eq!(clean.sli.as_deref(), Some("100.00%"));
        assert_eq!(clean.budget_remaining.as_deref(), Some("100%"));
        assert_eq!(
            of("failing").state,
            SloState::NoData,
            "how much it spent is not known yet"
        );
        assert_eq!(
            of("idle").state,
            SloState::NoData,
            "no traffic is never called success"
        );
        assert_eq!(of("old").budget_remaining.as_deref(), Some("50%"));
        operator.stop().await
    })
}
