//! `observedapp backtest` against a real Prometheus.
#![allow(clippy::unwrap_used)]

use std::fmt::Write;
use std::process::{Command, Output};
use std::time::SystemTime;

use golden_tests::prometheus::Prometheus;

/// With a Secret beside the app, as people keep them.
const APP: &str = r"
apiVersion: v1
kind: Secret
metadata: {name: keys, namespace: shop}
---
apiVersion: observedapp.dev/v1alpha1
kind: ObservedApp
metadata: {name: tasks, namespace: shop}
spec:
  image: example.com/tasks:1
  metrics: {}
  slos:
  - {name: availability, objective: 99.9, window: 1d, indicator: {availability: {}}}
";
const HOUR: u64 = 3600;
const SCRAPE: u64 = 15;

/// Ten requests a scrape for the last day; all fail for two minutes, ten hours ago.
fn history(now: u64) -> String {
    let (begin, down) = (now - 25 * HOUR, now - 10 * HOUR..now - 10 * HOUR + 120);
    let mut text = String::from("# TYPE http_requests counter\n");
    for (code, failing) in [("500", true), ("200", false)] {
        let mut count = 0;
        for at in (begin..=now).step_by(SCRAPE as usize) {
            if down.contains(&at) == failing {
                count += 10;
            }
            let _ = writeln!(
                text,
                r#"http_requests_total{{namespace="shop",job="tasks",code="{code}"}} {count} {at}"#
            );
        }
    }
    text.push_str("# EOF\n");
    text
}

fn backtest(arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.yaml");
    std::fs::write(&file, APP).unwrap();
    Command::new(env!("CARGO_BIN_EXE_observedapp"))
        .arg("backtest")
        .arg(&file)
        .args(arguments)
        .output()
        .unwrap()
}

#[test]
fn an_outage_of_yesterday_is_told_with_its_cost() {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
        .as_secs()
        / 60
        * 60;
    let prometheus = Prometheus::with_openmetrics(&history(now));
    let asked = |output: &str| {
        let output = backtest(&["--prometheus", prometheus.url(), "--since", "1d", "-o", output]);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    };
    let json: serde_json::Value = serde_json::from_str(&asked("json")).unwrap();
    let page = &json[0]["incidents"][0];
    assert_eq!(page["speed"], "fast", "{json}");
    let fired = page["fired"].as_u64().unwrap();
    assert!(
        (now - 10 * HOUR..=now - 10 * HOUR + 180).contains(&fired),
        "{json}"
    );
    // Two minutes of the 86 seconds that 99.9 % of a day leave.
    let spent = page["budgetSpent"].as_f64().unwrap();
    assert!((spent - 120.0 / 86.4).abs() < 0.05, "{json}");
    let text = asked("text");
    assert!(
        text.contains("availability: 99.9% over 1d") && text.contains("  page   "),
        "{text}"
    );
    assert!(asked("html").contains("<polyline"));
}

#[test]
fn what_goes_wrong_is_said() {
    let unreachable = backtest(&["--prometheus", "http://127.0.0.1:1"]);
    let said = String::from_utf8(unreachable.stderr).unwrap();
    assert!(
        !unreachable.status.success() && said.contains("is it reachable from here?"),
        "{said}"
    );
    let nowhere = backtest(&["--kubeconfig", "/nowhere/kubeconfig"]);
    let said = String::from_utf8(nowhere.stderr).unwrap();
    assert!(
        !nowhere.status.success() && said.contains("say where Prometheus answers with --prometheus URL"),
        "{said}"
    );
    let unknown = backtest(&["--prometheus", "http://127.0.0.1:1", "--slo", "nothing"]);
    let said = String::from_utf8(unknown.stderr).unwrap();
    assert!(
        said.contains("has no SLO \"nothing\": it has availability"),
        "{said}"
    );
}
