//! What the largest PromQL that users can send costs. Alone in its process, because it reads the process's peak.
#![allow(clippy::unwrap_used)]

use observedapp_slo::{
    App, Links, Matchers, PromDuration, Selector, import, parse_extra_alerts, parse_slos, spec,
};

/// What a whole operator full of such apps may need beside what it has.
const MOST_KIB: u64 = 20 << 10;

/// Each is small, and would be a hundred times some eight hundred ranges.
fn bombs(count: usize) -> String {
    (0..count)
        .map(|i| format!(r#"a{i}=~"\\w{{100}}""#))
        .collect::<Vec<_>>()
        .join(",")
}

fn app() -> App {
    App {
        namespace: "shop".to_owned(),
        name: "tasks".to_owned(),
        metrics: None,
        probe: None,
        links: Links::default(),
    }
}

fn alerts(expr: &str, count: usize) -> Vec<spec::ExtraAlert> {
    (0..count)
        .map(|i| spec::ExtraAlert {
            alert: format!("Alert{i}"),
            expr: expr.to_owned(),
            ..spec::ExtraAlert::default()
        })
        .collect()
}

/// The most memory that this process has ever had, in KiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn slo(indicator: spec::Indicator) -> spec::Slo {
    spec::Slo {
        name: "a".to_owned(),
        description: String::new(),
        objective: "99".to_owned(),
        window: None,
        indicator,
        alerting: spec::Alerting::default(),
    }
}

#[test]
fn regular_expressions_that_compile_to_much_are_refused_before_they_are_compiled() {
    // What is made once, such as the tables of the parser and of Unicode, does not count.
    assert!(r#"a=~"\\w+""#.parse::<Matchers>().is_ok());
    let before = peak();
    let window = PromDuration::from_days(30);
    for count in [1, 40, 200] {
        let bombs = bombs(count);
        for _ in 0..50 {
            let (rules, problems) = parse_extra_alerts(&alerts(&format!("up{{{bombs}}}"), 1), &app(), window);
            assert!(rules.is_empty());
            assert_eq!(problems[0].field, "alerts.extra[0].expr");
            let text = problems[0].to_string();
            assert!(
                text.contains(r#""\\w{100}" is too large"#) || text.contains("bytes long"),
                "{text}"
            );
        }
        assert!(bombs.parse::<Matchers>().is_err());
        assert!(format!("up{{{bombs}}}").parse::<Selector>().is_err());
        let ratio = spec::Indicator::Ratio {
            errors: format!("up{{{bombs}}}"),
            total: "up".to_owned(),
        };
        for indicator in [
            spec::Indicator::Availability {
                matchers: bombs.clone(),
            },
            ratio,
        ] {
            assert!(!parse_slos(&[slo(indicator)], &app()).1.is_empty());
        }
        let pyrra = serde_json::json!({
            "apiVersion": "pyrra.dev/v1alpha1", "kind": "ServiceLevelObjective", "metadata": {"name": "a"},
            "spec": {"target": "99", "window": "4w", "indicator": {"ratio": {
                "errors": {"metric": format!("e_total{{{bombs}}}")}, "total": {"metric": "t_total"},
            }}},
        });
        assert!(import::import(&pyrra).unwrap().slos.is_empty());
    }
    // The kernel counts in batches, and may take some back.
    let cost = peak().saturating_sub(before);
    assert!(cost < MOST_KIB, "{cost} KiB");
}

#[test]
fn what_is_small_alone_is_bounded_together() {
    let window = PromDuration::from_days(30);
    let words = r#"up{a=~"\\w+",b=~"\\w+"}"#;
    let problems_of = |expr: &str, count| parse_extra_alerts(&alerts(expr, count), &app(), window).1;
    assert_eq!(problems_of(words, 2), []);
    for (problems, words) in [
        (problems_of(words, 50), "regular expressions"),
        (
            problems_of("longest_name_there_is + ".repeat(100).trim_end_matches(" + "), 50),
            "bytes long together",
        ),
        (problems_of("sum_over_time(x[20d])", 50), "samples"),
    ] {
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert_eq!(problems[0].field, "alerts.extra");
        assert!(problems[0].problem.contains(words), "{problems:?}");
    }
    let many: Vec<spec::Slo> = (0..20)
        .map(|i| spec::Slo {
            name: format!("slo-{i}"),
            ..slo(spec::Indicator::Ratio {
                errors: words.to_owned(),
                total: words.to_owned(),
            })
        })
        .collect();
    let (slos, problems) = parse_slos(&many, &app());
    assert!(slos.is_empty());
    assert_eq!(problems[0].field, "slos", "{problems:?}");
    assert_eq!(parse_slos(&many[..2], &app()).1, []);
}
