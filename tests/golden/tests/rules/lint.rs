//! `promtool check rules`, with every lint, on everything that is generated.

use observedapp_slo::user_promql::{Bounds, sanitise_user_expr};
use observedapp_slo::{
    App, DatabaseDown, DatabaseSource, HighCpu, HighErrorRate, HighMemory, Histogram, MOST_RULES_IN_A_GROUP,
    PromDuration, Symptoms, parse_extra_alerts, parse_slos, promql, rules_for, spec,
};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::json;

use crate::support::{app, check_rules, slo};

fn all_symptoms() -> Symptoms {
    let five = PromDuration::from_minutes(5);
    Symptoms {
        high_cpu: Some(HighCpu {
            percent: 80,
            limit_millicores: None,
            for_: five,
        }),
        high_memory: Some(HighMemory {
            percent: 90,
            limit_bytes: 1 << 29,
            for_: five,
        }),
        high_error_rate: Some(HighErrorRate {
            per_second: 0.1,
            for_: five,
        }),
        replicas_unavailable: Some(five),
        metrics_absent: Some(five),
        database_down: Some(DatabaseDown {
            source: DatabaseSource::Exporter,
            for_: five,
        }),
        probe_failing: Some(five),
    }
}

fn indicators() -> Vec<spec::Indicator> {
    vec![
        spec::Indicator::Availability {
            matchers: r#"route=~"/tasks|/größe",method!="HEAD""#.to_owned(),
        },
        spec::Indicator::Latency {
            threshold: "300ms".to_owned(),
            matchers: r#""my.label"="x""#.to_owned(),
        },
        spec::Indicator::Ratio {
            errors: r#"jobs_failed_total{queue="ma\"il"}"#.to_owned(),
            total: r#"{"jobs.total"}"#.to_owned(),
        },
        spec::Indicator::Probe {},
    ]
}

/// Every indicator with every window, objective and kind of histogram, symptoms and extra alerts.
#[test]
fn everything_generated_passes() {
    for histogram in [Histogram::Classic, Histogram::Native, Histogram::Either] {
        for (metric, window) in [
            ("http_requests_total", "30d"),
            ("größe.total", "1d"),
            ("sum", "90d"),
            ("a", "11d"),
        ] {
            let mut app = app();
            let metrics = app.metrics.as_mut().unwrap();
            metrics.histogram = histogram;
            metrics.requests = metric.parse().unwrap();
            metrics.latency = format!("{metric}.seconds").parse().unwrap();
            check(&app, window);
        }
    }
}

fn check(app: &App, window: &str) {
    let specs: Vec<spec::Slo> = ["50", "90", "99.9", "99.999", "0.000001"]
        .iter()
        .flat_map(|objective| {
            indicators()
                .into_iter()
                .map(move |indicator| (objective, indicator))
        })
        .enumerate()
        .map(|(i, (objective, indicator))| spec::Slo {
            name: format!("slo-{i}"),
            description: "A \"description\" with {{ braces }} and ünïcode.".to_owned(),
            indicator,
            ..slo(objective, window)
        })
        .collect();
    let (slos, problems) = parse_slos(&specs, app);
    assert_eq!(problems, []);
    let extra: Vec<spec::ExtraAlert> = (0..50)
        .map(|i| spec::ExtraAlert {
            alert: format!("Extra{i}"),
            expr: format!("rate(queue_length[5m]) > {i}"),
            for_: Some("5m".to_owned()),
            keep_firing_for: Some("1m".to_owned()),
            labels: [("team".to_owned(), "{{ $labels.queue }}".to_owned())].into(),
            annotations: [("summary".to_owned(), "{{ $value | humanize }} waiting".to_owned())].into(),
        })
        .collect();
    let (extra, problems) = parse_extra_alerts(&extra, app, observedapp_slo::longest_window(&slos));
    assert_eq!(problems, []);
    let rules = rules_for(app, &slos, &all_symptoms(), &extra);
    assert!(
        rules
            .groups
            .iter()
            .all(|group| group.rules.len() <= MOST_RULES_IN_A_GROUP)
    );
    assert_eq!(check_rules(&json!(rules.groups)), "");
}

/// Random texts, of which those that are let through.
fn accepted<S: Strategy<Value = String>>(
    strategy: &S,
    count: usize,
    keep: impl Fn(&str) -> Option<String>,
) -> Vec<String> {
    let mut runner = TestRunner::deterministic();
    (0..count)
        .filter_map(|_| keep(&strategy.new_tree(&mut runner).unwrap().current()))
        .collect()
}

fn check_exprs(exprs: &[String]) {
    let rules: Vec<_> = exprs
        .iter()
        .enumerate()
        .map(|(i, expr)| json!({"alert": format!("A{i}"), "expr": expr}))
        .collect();
    assert_eq!(check_rules(&json!([{"name": "random", "rules": rules}])), "");
}

/// One rule that Prometheus refuses keeps it from loading any: what the engine lets through must load.
#[test]
fn prometheus_takes_every_regex_that_is_let_through() {
    let patterns = accepted(
        &r"[a-c.|()\[\]{}*+?^$\\,:=!<>PdpswLbA0-9&-]{0,14}",
        20_000,
        |pattern| {
            promql::check_regex(pattern)
                .ok()
                .map(|()| format!("x{{a=~{}}}", promql::quote(pattern)))
        },
    );
    assert!(
        patterns.len() > 1000,
        "{} is too few to prove anything",
        patterns.len()
    );
    check_exprs(&patterns);
}

#[test]
fn prometheus_takes_every_expression_that_is_let_through() {
    let pieces = prop::sample::select(vec![
        "x",
        "rate(x[5m])",
        "sum",
        "by (a)",
        "without ()",
        "(",
        ")",
        "+",
        "-",
        "*",
        "/",
        "^",
        "%",
        "and",
        "or",
        "unless",
        "on (a)",
        "ignoring()",
        "group_left",
        "group_right(b)",
        "bool",
        "==",
        ">",
        "1",
        "0x1f",
        "1e3",
        "Inf",
        "NaN",
        "5m",
        "\"s\"",
        "'s'",
        "`s`",
        ",",
        "exp",
        "absent",
        "vector",
        "time()",
        "topk",
        "quantile",
        "count_values",
        "label_replace",
        "offset 5m",
        "[1h:1m]",
        "[5m]",
        "{a=\"b\"}",
        "{\"m.n\"}",
        "{a=~'b|c'}",
        "histogram_quantile",
        "start",
        "fill",
        "-x",
        "scalar(x)",
        "round(x, 5)",
        "minute()",
        "max_over_time(x[1h:1m])",
        "atan2",
        "limitk",
        "group",
        "clamp(x, 0, 1)",
    ]);
    let strategy = proptest::collection::vec(pieces, 1..7).prop_map(|pieces| pieces.join(" "));
    let expressions = accepted(&strategy, 100_000, |expr| {
        let bounds = Bounds {
            namespace: "shop",
            longest_window: PromDuration::from_days(30),
            interval: PromDuration::from_secs(15),
        };
        sanitise_user_expr(expr, bounds)
            .ok()
            .map(|sanitised| sanitised.expr)
    });
    assert!(
        expressions.len() > 1000,
        "{} is too few to prove anything",
        expressions.len()
    );
    check_exprs(&expressions);
}
