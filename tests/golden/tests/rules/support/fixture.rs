use observedapp_slo::{
    App, Histogram, Links, Metrics, Probe, PromDuration, RuleSet, Symptoms, names, parse_slos, rules_for,
    spec,
};

/// The app of the tests: `shop/tasks`, scraped and probed every 15 s.
pub(crate) fn app() -> App {
    App {
        namespace: "shop".to_owned(),
        name: "tasks".to_owned(),
        metrics: Some(Metrics {
            requests: "http_requests_total".parse().unwrap(),
            errors: r#"code=~"5..""#.parse().unwrap(),
            latency: "http_request_duration_seconds".parse().unwrap(),
            histogram: Histogram::Either,
            interval: PromDuration::from_secs(15),
        }),
        probe: Some(Probe {
            interval: PromDuration::from_secs(15),
        }),
        links: Links {
            runbooks: Some("https://example.com/runbooks".to_owned()),
            dashboard: Some("https://grafana.example.com/d/tasks".to_owned()),
            releases: false,
        },
    }
}

/// An availability SLO named `availability`.
pub(crate) fn slo(objective: &str, window: &str) -> spec::Slo {
    spec::Slo {
        name: "availability".to_owned(),
        description: String::new(),
        objective: objective.to_owned(),
        window: Some(window.to_owned()),
        indicator: spec::Indicator::Availability {
            matchers: String::new(),
        },
        alerting: spec::Alerting::default(),
    }
}

/// The rules of these SLOs, none of which may have a problem.
pub(crate) fn rules(specs: &[spec::Slo]) -> RuleSet {
    rules_of(&app(), specs)
}

pub(crate) fn rules_of(app: &App, specs: &[spec::Slo]) -> RuleSet {
    let (slos, problems) = parse_slos(specs, app);
    assert_eq!(problems, []);
    rules_for(app, &slos, &Symptoms::default(), &[])
}

/// As [`rules`], without the running totals, which the test gives as series.
pub(crate) fn rules_without_totals(specs: &[spec::Slo]) -> RuleSet {
    let mut rules = rules(specs);
    for group in &mut rules.groups {
        group
            .rules
            .retain(|rule| ![names::ERRORS_TOTAL, names::EVENTS_TOTAL].contains(&rule.name()));
    }
    rules
}

/// The labels of every record of the SLO of that name, as promtool prints them.
pub(crate) fn labels(slo: &str) -> String {
    format!(r#"{{app="tasks",namespace="shop",slo="{slo}"}}"#)
}

/// The series of a record of `availability`.
pub(crate) fn record(name: &str) -> String {
    format!("{name}{}", labels("availability"))
}
