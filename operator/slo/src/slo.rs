//! SLOs that make sense: what [`crate::spec`] holds, checked, all problems gathered at once.

use std::collections::BTreeSet;
use std::str::FromStr;

use crate::app::{App, Histogram};
use crate::duration::PromDuration;
use crate::labels::UserLabels;
use crate::objective::Objective;
use crate::problem::{Note, Problem, Refusal};
use crate::promql::{self, Matcher, Matchers, Selector};
use crate::spec;
use crate::window::{BurnPair, Speed, Window, burn_pairs};

/// As many SLOs as one app may have.
pub const MOST_SLOS: usize = 20;
const LONGEST_SLO_NAME: usize = 40;

/// A checked SLO. Only [`parse_slos`] makes one, so rules can be made of it without further questions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slo {
    pub name: String,
    pub description: String,
    pub objective: Objective,
    pub window: Window,
    pub indicator: Indicator,
    pub alerting: Alerting,
}

/// What is counted, in the app's own series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Indicator {
    Availability {
        errors: Selector,
        total: Selector,
        interval: PromDuration,
    },
    Latency {
        histogram: Selector,
        kind: Histogram,
        threshold: PromDuration,
        interval: PromDuration,
    },
    Ratio {
        errors: Selector,
        total: Selector,
        interval: PromDuration,
    },
    Probe {
        success: Selector,
        interval: PromDuration,
    },
}

impl Indicator {
    /// The word for it in `slo:info`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Availability { .. } => "availability",
            Self::Latency { .. } => "latency",
            Self::Ratio { .. } => "ratio",
            Self::Probe { .. } => "probe",
        }
    }

    /// How often its series get a sample.
    pub fn interval(&self) -> PromDuration {
        match self {
            Self::Availability { interval, .. }
            | Self::Latency { interval, .. }
            | Self::Ratio { interval, .. }
            | Self::Probe { interval, .. } => *interval,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alerting {
    /// The page's own labels, or none when it is switched off.
    pub page: Option<UserLabels>,
    pub ticket: Option<UserLabels>,
    pub min_failures: u32,
    pub runbook_url: Option<String>,
    pub labels: UserLabels,
    pub annotations: UserLabels,
}

impl Slo {
    pub fn burn_pairs(&self) -> [BurnPair; 4] {
        burn_pairs(self.window, self.objective)
    }

    /// What its author should know; `field` is the SLO's own: `slos[0]`.
    pub fn notes(&self, field: &str) -> Vec<Note> {
        let enabled = |speed| match speed {
            Speed::Fast => self.alerting.page.is_some(),
            Speed::Slow => self.alerting.ticket.is_some(),
        };
        let lowered = self.burn_pairs().into_iter().filter(|pair| enabled(pair.speed));
        lowered
            .filter_map(|pair| {
                let wanted = pair.lowered_from?;
                let budget = self.objective.budget();
                Some(Note::threshold_lowered(
                    format!("{field}.objective"),
                    &pair.factor(),
                    budget,
                    wanted,
                    pair.threshold,
                    pair.long,
                ))
            })
            .collect()
    }
}

/// Checks every SLO of an app; those without a problem are returned beside the problems of the others.
pub fn parse_slos(specs: &[spec::Slo], app: &App) -> (Vec<Slo>, Vec<Problem>) {
    let mut problems = Vec::new();
    if specs.len() > MOST_SLOS {
        problems.push(Problem::new(
            "slos",
            format!("{} SLOs are more than anybody can act on", specs.len()),
            format!("keep at most {MOST_SLOS}"),
        ));
        return (Vec::new(), problems);
    }
    let texts = specs.iter().flat_map(|spec| spec.indicator.promql());
    if let Err(refusal) = promql::check_together(texts) {
        return (Vec::new(), vec![refusal.at("slos")]);
    }
    let mut names = BTreeSet::new();
    let mut slos = Vec::with_capacity(specs.len());
    for (i, spec) in specs.iter().enumerate() {
        let field = format!("slos[{i}]");
        if !names.insert(spec.name.as_str()) {
            // The field that the API server names.
            problems.push(Problem::new(
                field,
                format!("another SLO is named {:?} too", spec.name),
                "give each SLO a name of its own",
            ));
            continue;
        }
        let mut checker = Checker {
            app,
            field,
            problems: Vec::new(),
        };
        match checker.slo(spec) {
            Some(slo) if checker.problems.is_empty() => slos.push(slo),
            _ => problems.append(&mut checker.problems),
        }
    }
    (slos, problems)
}

struct Checker<'a> {
    app: &'a App,
    field: String,
    problems: Vec<Problem>,
}

impl Checker<'_> {
    fn slo(&mut self, spec: &spec::Slo) -> Option<Slo> {
        self.name(&spec.name);
        let objective = self.objective(&spec.objective);
        let window = self.window(spec.window.as_deref());
        let indicator = self.indicator(&spec.indicator);
        let alerting = self.alerting(&spec.alerting);
        Some(Slo {
            name: spec.name.clone(),
            description: spec.description.trim().to_owned(),
            objective: objective?,
            window: window?,
            indicator: indicator?,
            alerting,
        })
    }

    fn refuse(&mut self, field: &str, refusal: Refusal) {
        self.problems.push(refusal.at(format!("{}.{field}", self.field)));
    }

    fn parsed<T: FromStr<Err = Refusal>>(&mut self, field: &str, text: &str) -> Option<T> {
        text.parse().map_err(|refusal| self.refuse(field, refusal)).ok()
    }

    fn name(&mut self, name: &str) {
        let inner = |b: u8| b == b'-' || b.is_ascii_lowercase() || b.is_ascii_digit();
        let good = name.len() <= LONGEST_SLO_NAME
            && name.bytes().all(inner)
            && !name.starts_with('-')
            && !name.ends_with('-')
            && !name.is_empty();
        if !good {
            self.refuse(
                "name",
                Refusal::new(
                    format!("{name:?} is not a name"),
                    format!("use at most {LONGEST_SLO_NAME} of [a-z0-9-], not - first or last"),
                ),
            );
        }
    }

    fn objective(&mut self, text: &str) -> Option<Objective> {
        let parsed: Result<Objective, _> = text.parse();
        parsed
            .map_err(|why| {
                let remedy = "write percent above 0 and below 100 with at most six decimals, such as 99.9";
                self.refuse("objective", Refusal::new(format!("{text:?} {why}"), remedy));
            })
            .ok()
    }

    fn window(&mut self, text: Option<&str>) -> Option<Window> {
        let Some(text) = text else {
            return Some(Window::DEFAULT);
        };
        let parsed: Result<Window, _> = text.parse();
        parsed
            .map_err(|why| {
                self.refuse(
                    "window",
                    Refusal::new(format!("{text:?} {why}"), "write 1d to 90d, such as 30d"),
                );
            })
            .ok()
    }

    fn indicator(&mut self, indicator: &spec::Indicator) -> Option<Indicator> {
        match indicator {
            spec::Indicator::Availability { matchers } => self.availability(matchers),
            spec::Indicator::Latency { threshold, matchers } => self.latency(threshold, matchers),
            spec::Indicator::Ratio { errors, total } => {
                let errors = self.own_selector("indicator.ratio.errors", errors);
                let total = self.own_selector("indicator.ratio.total", total);
                // Users' metrics are nearly always the app's own.
                let interval = self.app.metrics.as_ref().map_or(DEFAULT_INTERVAL, |m| m.interval);
                Some(Indicator::Ratio {
                    errors: errors?,
                    total: total?,
                    interval,
                })
            }
            spec::Indicator::Probe {} => {
                let Some(probe) = self.app.probe else {
                    self.refuse(
                        "indicator.probe",
                        Refusal::new(
                            "the app is not probed",
                            "add spec.probe, or use another indicator",
                        ),
                    );
                    return None;
                };
                let success = Selector::known("probe_success", self.app.probe_job());
                Some(Indicator::Probe {
                    success,
                    interval: probe.interval,
                })
            }
        }
    }

    fn availability(&mut self, matchers: &str) -> Option<Indicator> {
        let matchers = self.matchers("indicator.availability.matchers", matchers, &OWN_LABELS);
        let Some(metrics) = self.app.metrics.as_ref() else {
            self.needs_metrics("indicator.availability");
            return None;
        };
        let matchers = matchers?;
        let total = Selector::new(metrics.requests.clone(), self.app.job()).with(matchers.iter().cloned());
        let errors = Selector::new(metrics.requests.clone(), self.app.job())
            .with(metrics.errors.iter().cloned())
            .with(matchers.iter().cloned());
        Some(Indicator::Availability {
            errors,
            total,
            interval: metrics.interval,
        })
    }

    fn latency(&mut self, threshold: &str, matchers: &str) -> Option<Indicator> {
        let matchers = self.matchers("indicator.latency.matchers", matchers, &LATENCY_LABELS);
        let threshold = self.threshold(threshold);
        let Some(metrics) = self.app.metrics.as_ref() else {
            self.needs_metrics("indicator.latency");
            return None;
        };
        let histogram =
            Selector::new(metrics.latency.clone(), self.app.job()).with(matchers?.iter().cloned());
        Some(Indicator::Latency {
            histogram,
            kind: metrics.histogram,
            threshold: threshold?,
            interval: metrics.interval,
        })
    }

    fn needs_metrics(&mut self, field: &str) {
        self.refuse(
            field,
            Refusal::new("the app is not scraped", "add spec.metrics, or use a probe SLO"),
        );
    }

    fn threshold(&mut self, text: &str) -> Option<PromDuration> {
        const LONGEST: PromDuration = PromDuration::from_hours(1);
        match text.parse::<PromDuration>() {
            Ok(threshold) if threshold.millis() > 0 && threshold <= LONGEST => Some(threshold),
            _ => {
                self.refuse(
                    "indicator.latency.threshold",
                    Refusal::new(
                        format!("{text:?} is not a duration above zero and up to {LONGEST}"),
                        "write the slowest response that still counts as good, such as 300ms",
                    ),
                );
                None
            }
        }
    }

    fn matchers(&mut self, field: &str, text: &str, reserved: &[&str]) -> Option<Matchers> {
        let matchers: Matchers = self.parsed(field, text)?;
        if let Some(label) = matchers.first_of(reserved) {
            let refusal = Refusal::new(
                format!("{text:?} matches on {label}, which the operator sets"),
                format!("leave {label} out"),
            );
            self.refuse(field, refusal);
            return None;
        }
        Some(matchers)
    }

    /// A user's own selector, with the app's namespace in front.
    fn own_selector(&mut self, field: &str, text: &str) -> Option<Selector> {
        let selector: Selector = self.parsed(field, text)?;
        let own = self.app.namespace_matcher();
        let of_namespace: Vec<&Matcher> = selector
            .matchers()
            .iter()
            .filter(|m| m.label == "namespace")
            .collect();
        if of_namespace.iter().any(|m| **m != own) {
            let refusal = Refusal::new(
                format!("{text:?} selects by another namespace than the app's"),
                format!("leave namespace out: {own} is added"),
            );
            self.refuse(field, refusal);
            return None;
        }
        Some(if of_namespace.is_empty() {
            selector.in_front(own)
        } else {
            selector
        })
    }

    fn alerting(&mut self, spec: &spec::Alerting) -> Alerting {
        let page = self.notification("alerting.page", &spec.page);
        let ticket = self.notification("alerting.ticket", &spec.ticket);
        Alerting {
            page,
            ticket,
            min_failures: spec.min_failures.unwrap_or(spec::Alerting::DEFAULT_MIN_FAILURES),
            runbook_url: spec.runbook_url.clone().filter(|url| !url.is_empty()),
            labels: self.user_labels("alerting.labels", UserLabels::labels(&spec.labels)),
            annotations: self.user_labels("alerting.annotations", UserLabels::annotations(&spec.annotations)),
        }
    }

    fn notification(&mut self, field: &str, spec: &spec::Notification) -> Option<UserLabels> {
        let labels = self.user_labels(&format!("{field}.labels"), UserLabels::labels(&spec.labels));
        spec.enabled.then_some(labels)
    }

    fn user_labels(&mut self, field: &str, labels: Result<UserLabels, Vec<Refusal>>) -> UserLabels {
        labels.unwrap_or_else(|refusals| {
            for refusal in refusals {
                self.refuse(field, refusal);
            }
            UserLabels::default()
        })
    }
}

/// As Prometheus scrapes when nobody says how often.
pub(crate) const DEFAULT_INTERVAL: PromDuration = PromDuration::from_secs(15);
const OWN_LABELS: [&str; 2] = ["namespace", "job"];
const LATENCY_LABELS: [&str; 3] = ["namespace", "job", "le"];
