//! promtool, and its unit tests as values.

use std::fmt::Write;
use std::fs;
use std::ops::Range;
use std::path::Path;

use golden_tests::prometheus::promtool;
use observedapp_slo::{Rule, RuleSet};
use serde_json::json;

use super::traffic::{FAST, SCRAPE};

/// A series with a sample, or none, at each scrape.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) samples: Vec<Option<f64>>,
}

impl Series {
    /// The same value at each scrape.
    pub(crate) fn constant(name: &str, value: f64, seconds: u64) -> Self {
        Self {
            name: name.to_owned(),
            samples: vec![Some(value); (seconds / SCRAPE) as usize + 1],
        }
    }

    /// promtool's notation: `a+bxn` is a and n more, each b larger.
    fn values(&self) -> String {
        let mut out = String::new();
        let mut rest = &self.samples[..];
        while let Some((first, tail)) = rest.split_first() {
            let run = match first {
                None => {
                    let run = 1 + tail.iter().take_while(|s| s.is_none()).count();
                    let _ = write!(out, "_x{run} ");
                    run
                }
                Some(value) => {
                    let step = tail.first().copied().flatten().map_or(0.0, |next| next - value);
                    let fits = |(k, sample): &(usize, &Option<f64>)| {
                        sample.is_some_and(|s| (s - (value + step * (*k as f64 + 1.0))).abs() < 1e-9)
                    };
                    let more = tail.iter().enumerate().take_while(fits).count();
                    let _ = if more == 0 {
                        write!(out, "{value} ")
                    } else {
                        write!(out, "{value}{step:+}x{more} ")
                    };
                    1 + more
                }
            };
            rest = &rest[run..];
        }
        out
    }
}

/// A vector while the group is evaluated.
fn due(interval: u64, phase: u64, down: &[Range<u64>]) -> String {
    let mut due = format!("vector(time()) % {interval} == {}", phase % interval);
    for Range { start, end } in down {
        let _ = write!(due, " unless (vector(time()) >= {start} < {end})");
    }
    due
}

/// One promtool unit test: rules, series, and what must hold at which second.
pub(crate) struct UnitTest {
    groups: serde_json::Value,
    /// Seconds between two evaluations, of all groups alike.
    every: u64,
    series: Vec<Series>,
    /// Series that samples cannot express, in promtool's own notation.
    raw_series: Vec<serde_json::Value>,
    expressions: Vec<serde_json::Value>,
    alerts: Vec<serde_json::Value>,
}

impl UnitTest {
    /// Tests the groups whose names end with one of `parts`.
    pub(crate) fn new(rules: &RuleSet, parts: &[&str], every: u64, series: Vec<Series>) -> Self {
        let groups: Vec<_> = rules
            .groups
            .iter()
            .filter(|group| parts.iter().any(|part| group.name.ends_with(part)))
            .collect();
        assert!(!groups.is_empty(), "no group is named like {parts:?}");
        Self::of_groups(json!(groups), every, series)
    }

    /// Tests groups as a rule file has them.
    pub(crate) fn of_groups(groups: serde_json::Value, every: u64, series: Vec<Series>) -> Self {
        Self {
            groups,
            every,
            series,
            raw_series: Vec::new(),
            expressions: Vec::new(),
            alerts: Vec::new(),
        }
    }

    /// Tests the records of all groups, each at its own interval, which promtool does not do: at all other
    /// moments, and while Prometheus is down, a rule gives nothing. `phase` is where in its five minutes the
    /// slots' group is evaluated. Unlike in Prometheus a record ends there, for an instant selector; what is
    /// read at other moments than it is made must be read over a range.
    pub(crate) fn live(rules: &RuleSet, phase: u64, down: &[Range<u64>], series: Vec<Series>) -> Self {
        let mut rules = rules.clone();
        for group in &mut rules.groups {
            group.rules.retain(|rule| matches!(rule, Rule::Record(_)));
            let due = due(group.interval.millis() / 1000, phase, down);
            for rule in &mut group.rules {
                if let Rule::Record(record) = rule {
                    record.expr = format!("({}) and on () ({due})", record.expr);
                }
            }
        }
        Self::new(&rules, &["-fast", "-slots", "-window", "-slow"], FAST, series)
    }

    /// A series of native histograms.
    pub(crate) fn native_histogram(&mut self, name: &str, values: &str) {
        self.raw_series.push(json!({"series": name, "values": values}));
    }

    fn expect(&mut self, at: u64, expr: &str, samples: serde_json::Value) {
        self.expressions
            .push(json!({"expr": expr, "eval_time": format!("{at}s"), "exp_samples": samples}));
    }

    /// The expression gives this and nothing else.
    pub(crate) fn gives(&mut self, at: u64, expr: &str, labels: &str, value: f64) {
        self.expect(at, expr, json!([{"labels": labels, "value": value}]));
    }

    /// The expression gives nothing.
    pub(crate) fn absent(&mut self, at: u64, expr: &str) {
        self.expect(at, expr, json!([]));
    }

    /// The record of `availability` is as far from the truth as may be, at most.
    pub(crate) fn near(&mut self, at: u64, name: &str, truth: f64, may_differ: f64) {
        let series = super::record(name);
        // Otherwise the record itself, so that a failure shows what it is.
        let expr = format!("(abs({series} - {truth}) <= {may_differ}) * 0 + 1 or {series}");
        self.gives(at, &expr, &super::labels("availability"), 1.0);
    }

    fn firing(alert: &str) -> String {
        format!(r#"count(ALERTS{{alertname="{alert}",alertstate="firing"}})"#)
    }

    pub(crate) fn fires(&mut self, at: u64, alert: &str) {
        self.gives(at, &Self::firing(alert), "{}", 1.0);
    }

    pub(crate) fn is_silent(&mut self, at: u64, alert: &str) {
        self.absent(at, &Self::firing(alert));
    }

    /// Silent at every evaluation of these.
    pub(crate) fn never_fires(&mut self, until: u64, alert: &str) {
        let ever = format!(r#"count_over_time(ALERTS{{alertname="{alert}",alertstate="firing"}}[{until}s])"#);
        self.absent(until, &ever);
    }

    /// The alert fires with these labels and annotations, once.
    pub(crate) fn fires_as(
        &mut self,
        at: u64,
        alert: &str,
        labels: serde_json::Value,
        annotations: serde_json::Value,
    ) {
        self.alerts.push(json!({
            "eval_time": format!("{at}s"),
            "alertname": alert,
            "exp_alerts": [{"exp_labels": labels, "exp_annotations": annotations}],
        }));
    }

    /// The alert fires with these labels and this summary; its other annotations are those of the rule.
    pub(crate) fn fires_with_summary(
        &mut self,
        at: u64,
        alert: &str,
        labels: &serde_json::Value,
        summary: &str,
    ) {
        let rules = self
            .groups
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|group| group["rules"].as_array().unwrap());
        let rule = rules.into_iter().find(|rule| rule["alert"] == alert).unwrap();
        let mut annotations = rule["annotations"].clone();
        annotations["summary"] = json!(summary);
        self.fires_as(at, alert, labels.clone(), annotations);
    }

    /// Runs it; whatever does not hold is in the panic's message.
    pub(crate) fn run(self) {
        let folder = tempfile::tempdir().unwrap();
        write(&folder.path().join("rules.yaml"), &json!({"groups": self.groups}));
        let in_order: Vec<_> = self
            .groups
            .as_array()
            .unwrap()
            .iter()
            .map(|group| &group["name"])
            .collect();
        let mut series = self.raw_series;
        series.extend(
            self.series
                .iter()
                .map(|series| json!({"series": series.name, "values": series.values()})),
        );
        let test = folder.path().join("test.yaml");
        write(
            &test,
            &json!({
                "rule_files": ["rules.yaml"],
                "evaluation_interval": format!("{}s", self.every),
                // Else promtool takes them as they come, and a record may read another of five minutes ago: none.
                "group_eval_order": in_order,
                "tests": [{
                    "interval": format!("{SCRAPE}s"),
                    "input_series": series,
                    "promql_expr_test": self.expressions,
                    "alert_rule_test": self.alerts,
                }],
            }),
        );
        let output = promtool().args(["test", "rules"]).arg(&test).output().unwrap();
        let said = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(output.status.success(), "{said}");
    }
}

/// What `promtool check rules` says against rules, lint included; empty when it is content.
pub(crate) fn check_rules(groups: &serde_json::Value) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rules.yaml");
    write(&file, &json!({"groups": groups}));
    let output = promtool()
        .args(["check", "rules", "--lint=all", "--lint-fatal"])
        .arg(&file)
        .output()
        .unwrap();
    if output.status.success() {
        String::new()
    } else {
        format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        )
    }
}

/// JSON is YAML.
fn write(path: &Path, value: &serde_json::Value) {
    fs::write(path, serde_json::to_string_pretty(value).unwrap()).unwrap();
}
