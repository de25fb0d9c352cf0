//! SLO mathematics: objectives, windows and indicators become recording rules and multi-window burn-rate
//! alerts, as data. Pure: no Kubernetes, no I/O, no clock.
//!
//! ```
//! use observedapp_slo::{App, Links, Metrics, Symptoms, parse_slos, rules_for, spec};
//!
//! let app = App {
//!     namespace: "shop".to_owned(),
//!     name: "tasks".to_owned(),
//!     metrics: Some(Metrics {
//!         requests: "http_requests_total".parse()?,
//!         errors: r#"code=~"5..""#.parse()?,
//!         latency: "http_request_duration_seconds".parse()?,
//!         histogram: Default::default(),
//!         interval: "15s".parse()?,
//!     }),
//!     probe: None,
//!     links: Links::default(),
//! };
//! let slo = spec::Slo {
//!     name: "availability".to_owned(),
//!     description: "Requests to the API succeed.".to_owned(),
//!     objective: "99.9".to_owned(),
//!     window: Some("30d".to_owned()),
//!     indicator: spec::Indicator::Availability { matchers: r#"route="/tasks""#.to_owned() },
//!     alerting: spec::Alerting::default(),
//! };
//! let (slos, problems) = parse_slos(&[slo], &app);
//! assert!(problems.is_empty());
//! let rules = rules_for(&app, &slos, &Symptoms::default(), &[]);
//! assert_eq!(rules.groups.len(), 5);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod app;
pub mod backtest;
pub mod by_pod;
mod duration;
mod extra;
pub mod import;
mod indicator;
mod labels;
pub mod latency;
pub mod names;
mod objective;
mod problem;
pub mod promql;
mod rule;
mod slo;
mod slo_rules;
pub mod spec;
mod symptoms;
pub mod template;
pub mod user_promql;
mod window;

use std::collections::BTreeMap;

pub use app::{App, Histogram, Links, Metrics, Probe, deployment_pods};
pub use duration::{NotADuration, PromDuration};
pub use extra::{ExtraAlert, MOST_EXTRA, parse_extra_alerts};
pub use labels::UserLabels;
pub use objective::{NotAnObjective, Objective, Ratio};
pub use problem::{Note, Problem, Refusal};
pub use promql::{Matcher, Matchers, MetricName, Selector};
pub use rule::{Alert, Group, MOST_RULES_IN_A_GROUP, Record, Rule, RuleSet};
pub use slo::{Alerting, Indicator, MOST_SLOS, Slo, parse_slos};
pub use symptoms::{DatabaseDown, DatabaseSource, HighCpu, HighErrorRate, HighMemory, Symptoms};
pub use window::{BurnPair, NotAWindow, Speed, Window, burn_pairs};

/// The longest window of an app's SLOs: how far back its own alerts may read. An app without SLOs has
/// no reason to read further than the shortest window there is.
pub fn longest_window(slos: &[Slo]) -> PromDuration {
    slos.iter()
        .map(|slo| slo.window)
        .max()
        .unwrap_or(Window::SHORTEST)
        .length()
}

/// All rules of one app.
pub fn rules_for(app: &App, slos: &[Slo], symptoms: &Symptoms, extra: &[ExtraAlert]) -> RuleSet {
    let mut groups: Vec<Group> = slos.iter().flat_map(|slo| slo_rules::groups(app, slo)).collect();
    groups.extend(symptoms::group(app, symptoms));
    groups.extend(extra::groups(app, extra));
    let hash = rule::hash(&groups);
    groups.push(info(app, &hash));
    RuleSet { groups, hash }
}

/// Proves by its label that Prometheus has loaded these very rules.
fn info(app: &App, hash: &str) -> Group {
    let labels = [
        ("namespace", app.namespace.as_str()),
        ("app", &app.name),
        ("hash", hash),
    ];
    let record = Record {
        record: names::RULES_INFO.to_owned(),
        expr: "vector(1)".to_owned(),
        labels: labels
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
    };
    Group {
        name: "info".to_owned(),
        interval: PromDuration::from_secs(30),
        limit: 1,
        rules: vec![Rule::Record(record)],
    }
}

impl Links {
    /// Adds the links that are known. They may hold anything: Prometheus must not run it.
    fn annotate(&self, annotations: &mut BTreeMap<String, String>, alert: &str, own_runbook: Option<&str>) {
        let page = || {
            self.runbooks
                .as_ref()
                .map(|base| format!("{}/{alert}.md", base.trim_end_matches('/')))
        };
        if let Some(runbook) = own_runbook.map(str::to_owned).or_else(page) {
            annotations.insert("runbook_url".to_owned(), template::literal(&runbook));
        }
        self.annotate_dashboard(annotations);
    }

    fn annotate_dashboard(&self, annotations: &mut BTreeMap<String, String>) {
        if let Some(dashboard) = &self.dashboard {
            annotations.insert("dashboard_url".to_owned(), template::literal(dashboard));
        }
    }
}
