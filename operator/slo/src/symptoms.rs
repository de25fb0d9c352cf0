//! Alerts on symptoms beside the SLOs: from cAdvisor, the app's own metrics and the operator's, so that
//! they need no kube-state-metrics. None fires while no replica is wanted.

use std::collections::BTreeMap;

use crate::app::App;
use crate::duration::PromDuration;
use crate::names::{self, alerts, condition_status, severity};
use crate::objective::Ratio;
use crate::promql::{Matcher, Selector};
use crate::rule::{Alert, Group, Rule};
use crate::window::Speed;

/// The alerts that apply to an app; `None` is one that does not or that is switched off.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Symptoms {
    pub high_cpu: Option<HighCpu>,
    pub high_memory: Option<HighMemory>,
    pub high_error_rate: Option<HighErrorRate>,
    pub replicas_unavailable: Option<PromDuration>,
    pub metrics_absent: Option<PromDuration>,
    pub database_down: Option<DatabaseDown>,
    pub probe_failing: Option<PromDuration>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct HighCpu {
    pub percent: u32,
    /// The container's CPU limit in thousandths of a core; without one a core is the measure.
    pub limit_millicores: Option<u64>,
    pub for_: PromDuration,
}

#[derive(Debug, Clone, PartialEq)]
pub struct HighMemory {
    pub percent: u32,
    pub limit_bytes: u64,
    pub for_: PromDuration,
}

#[derive(Debug, Clone, PartialEq)]
pub struct HighErrorRate {
    pub per_second: f64,
    pub for_: PromDuration,
}

#[derive(Debug, Clone, PartialEq)]
pub struct DatabaseDown {
    pub source: DatabaseSource,
    pub for_: PromDuration,
}

/// How the rules know of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatabaseSource {
    /// The exporter beside a builtin Postgres.
    Exporter,
    /// The operator's condition `DatabaseReady`: for databases whose metrics are not ours.
    Condition,
}

const INTERVAL: PromDuration = PromDuration::from_secs(30);
/// By pod, and no app has more of them.
const LIMIT: u32 = 1000;
const RATE: PromDuration = PromDuration::from_minutes(5);
/// A database pages only if it has answered within this time: one that never did has promised nothing yet.
const ANSWERED_WITHIN: PromDuration = PromDuration::from_days(1);

/// All symptom alerts of an app, if any apply.
pub(crate) fn group(app: &App, symptoms: &Symptoms) -> Option<Group> {
    let builder = Builder { app };
    let rules: Vec<Rule> = [
        symptoms.high_cpu.as_ref().map(|s| builder.high_cpu(s)),
        symptoms.high_memory.as_ref().map(|s| builder.high_memory(s)),
        symptoms
            .high_error_rate
            .as_ref()
            .and_then(|s| builder.high_error_rate(s)),
        symptoms
            .replicas_unavailable
            .map(|for_| builder.replicas_unavailable(for_)),
        symptoms
            .metrics_absent
            .and_then(|for_| builder.metrics_absent(for_)),
        symptoms.database_down.as_ref().map(|s| builder.database_down(s)),
        symptoms
            .probe_failing
            .and_then(|for_| builder.probe_failing(for_)),
    ]
    .into_iter()
    .flatten()
    .collect();
    (!rules.is_empty()).then(|| Group {
        name: "symptoms".to_owned(),
        interval: INTERVAL,
        limit: LIMIT,
        rules,
    })
}

struct Builder<'a> {
    app: &'a App,
}

/// One alert before its labels and links.
struct Draft {
    alert: &'static str,
    speed: Speed,
    expr: String,
    for_: PromDuration,
    summary: String,
    description: String,
}

impl Builder<'_> {
    fn high_cpu(&self, symptom: &HighCpu) -> Rule {
        let used = Selector::known("container_cpu_usage_seconds_total", self.app.container());
        let millicores = symptom.limit_millicores.unwrap_or(1000);
        let cores = Ratio::from_billionths(millicores.saturating_mul(1_000_000));
        let of = if symptom.limit_millicores.is_some() {
            "its CPU limit"
        } else {
            "one core"
        };
        self.rule(Draft {
            alert: alerts::HIGH_CPU_USAGE,
            speed: Speed::Slow,
            expr: format!(
                "sum by (pod) (rate({})) / {cores} > {}",
                used.over(RATE),
                percent(symptom.percent)
            ),
            for_: symptom.for_,
            summary: format!(
                "{}: {{{{ $labels.pod }}}} uses {{{{ $value | humanizePercentage }}}} of {of}",
                self.app.name
            ),
            description: format!(
                "Answers get slow, and above the limit the pod is throttled. The measure is {cores} cores; \
                 the alert begins at {}%.",
                symptom.percent
            ),
        })
    }

    fn high_memory(&self, symptom: &HighMemory) -> Rule {
        let used = Selector::known("container_memory_working_set_bytes", self.app.container());
        let limit = symptom.limit_bytes.max(1);
        self.rule(Draft {
            alert: alerts::HIGH_MEMORY_USAGE,
            speed: Speed::Slow,
            expr: format!("max by (pod) ({used}) / {limit} > {}", percent(symptom.percent)),
            for_: symptom.for_,
            summary: format!(
                "{}: {{{{ $labels.pod }}}} uses {{{{ $value | humanizePercentage }}}} of its memory limit",
                self.app.name
            ),
            description: format!(
                "At 100% the kernel kills the container and its requests fail. The limit is {} MiB; the \
                 alert begins at {}%.",
                limit / (1 << 20),
                symptom.percent
            ),
        })
    }

    fn high_error_rate(&self, symptom: &HighErrorRate) -> Option<Rule> {
        let metrics = self.app.metrics.as_ref()?;
        let errors =
            Selector::new(metrics.requests.clone(), self.app.job()).with(metrics.errors.iter().cloned());
        Some(self.rule(Draft {
            alert: alerts::HIGH_ERROR_RATE,
            speed: Speed::Slow,
            expr: format!("sum(rate({})) > {}", errors.over(RATE), symptom.per_second),
            for_: symptom.for_,
            summary: format!(
                "{}: {{{{ $value | humanize }}}} requests fail each second",
                self.app.name
            ),
            description: format!(
                "Users see errors. The alert begins at {} failed requests a second.",
                symptom.per_second
            ),
        }))
    }

    fn replicas_unavailable(&self, for_: PromDuration) -> Rule {
        let (wanted, ready) = (self.replicas("wanted"), self.replicas("ready"));
        self.rule(Draft {
            alert: alerts::REPLICAS_UNAVAILABLE,
            speed: Speed::Slow,
            expr: format!("max({wanted}) - max({ready}) > 0"),
            for_,
            summary: format!(
                "{}: {{{{ $value }}}} of the wanted replicas do not answer",
                self.app.name
            ),
            description:
                "The others carry the load, as long as they can. A replica that does not start, does \
                          not become ready or cannot be placed is the usual cause."
                    .to_owned(),
        })
    }

    fn metrics_absent(&self, for_: PromDuration) -> Option<Rule> {
        self.app.metrics.as_ref()?;
        let up = Selector::known("up", self.app.job());
        Some(self.rule(Draft {
            alert: alerts::METRICS_ABSENT,
            speed: Speed::Slow,
            expr: format!("absent({up} == 1)"),
            for_,
            summary: format!("{}: no replica can be scraped", self.app.name),
            description:
                "Nothing is known of the app: its SLOs have no data, and their alerts are blind.".to_owned(),
        }))
    }

    fn database_down(&self, symptom: &DatabaseDown) -> Rule {
        let expr = match symptom.source {
            // The exporter lives in the database's pod: gone together, so absence is an outage too.
            DatabaseSource::Exporter => {
                let up = Selector::known("pg_up", self.app.database_job());
                format!(
                    "absent({up} == 1) and on () max(max_over_time({})) == 1",
                    up.over(ANSWERED_WITHIN)
                )
            }
            DatabaseSource::Condition => {
                let condition = |status| {
                    Selector::known(names::APP_CONDITION, self.app.exported()).with([
                        Matcher::equal("condition", "DatabaseReady"),
                        Matcher::equal("status", status),
                    ])
                };
                format!(
                    "max({}) == 1 and on () max(max_over_time({})) == 1",
                    condition(condition_status::FALSE),
                    condition(condition_status::TRUE).over(ANSWERED_WITHIN)
                )
            }
        };
        self.rule(Draft {
            alert: alerts::DATABASE_DOWN,
            speed: Speed::Fast,
            expr,
            for_: symptom.for_,
            summary: format!("{}: its database does not answer", self.app.name),
            description: "Requests that need data fail until it is back.".to_owned(),
        })
    }

    fn probe_failing(&self, for_: PromDuration) -> Option<Rule> {
        self.app.probe?;
        let success = Selector::known("probe_success", self.app.probe_job());
        // Without the prober there is no `probe_success`, but its target stays.
        let up = Selector::known("up", self.app.probe_job());
        Some(self.rule(Draft {
            alert: alerts::PROBE_FAILING,
            speed: Speed::Fast,
            expr: format!("(max({success}) == 0 or max({up}) == 0)"),
            for_,
            summary: format!(
                "{}: cannot be reached from outside, or the prober does not answer",
                self.app.name
            ),
            description: format!(
                "The black-box check of its URL fails, as it does for users. Where up{{job=\"{}-probe\"}} is 0 it \
                 is the prober that does not answer, and nothing is known of what users see.",
                self.app.name
            ),
        }))
    }

    fn replicas(&self, state: &str) -> Selector {
        Selector::known(names::APP_REPLICAS, self.app.exported()).with([Matcher::equal("state", state)])
    }

    fn rule(&self, draft: Draft) -> Rule {
        let severity = match draft.speed {
            Speed::Fast => severity::CRITICAL,
            Speed::Slow => severity::WARNING,
        };
        let labels = [
            ("namespace", self.app.namespace.as_str()),
            ("app", &self.app.name),
            ("severity", severity),
        ];
        let mut annotations = BTreeMap::from([
            ("summary".to_owned(), draft.summary),
            ("description".to_owned(), draft.description),
        ]);
        self.app.links.annotate(&mut annotations, draft.alert, None);
        Rule::Alert(Alert {
            alert: draft.alert.to_owned(),
            // `unless` and not `and`: an operator that is down must not silence anything.
            expr: format!(
                "{} unless on () max({}) == 0",
                draft.expr,
                self.replicas("wanted")
            ),
            for_: Some(draft.for_),
            keep_firing_for: None,
            labels: labels
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            annotations,
        })
    }
}

fn percent(percent: u32) -> Ratio {
    Ratio::from_billionths(u64::from(percent) * 10_000_000)
}
