//! Alerting rules of the user's own: parsed, kept within the app's namespace, printed from the tree.

use std::collections::BTreeSet;

use crate::app::App;
use crate::duration::PromDuration;
use crate::labels::UserLabels;
use crate::names::{alerts, severity};
use crate::problem::{Problem, Refusal};
use crate::rule::{Alert, Group, MOST_RULES_IN_A_GROUP, Rule};
use crate::slo::DEFAULT_INTERVAL;
use crate::user_promql::{Bounds, sanitise_user_expr};
use crate::{promql, spec};

/// As many rules as one app may add.
pub const MOST_EXTRA: usize = 50;
const INTERVAL: PromDuration = PromDuration::from_secs(30);
/// More instances of one alert than these at once are a mistake in its expression.
const LIMIT: u32 = 100;
const LONGEST_NAME: usize = 100;
const LONGEST_WAIT: PromDuration = PromDuration::from_days(7);
/// How long all expressions of an app may be together, in bytes.
const LONGEST_TOGETHER: usize = 64 << 10;
/// As many samples as all of them may read of one series at each evaluation.
const MOST_SAMPLES: u64 = 1_000_000;

/// A checked rule of the user's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtraAlert {
    alert: String,
    expr: String,
    for_: Option<PromDuration>,
    keep_firing_for: Option<PromDuration>,
    labels: UserLabels,
    annotations: UserLabels,
}

/// Checks every rule; those without a problem are returned beside the problems of the others.
pub fn parse_extra_alerts(
    specs: &[spec::ExtraAlert],
    app: &App,
    longest_window: PromDuration,
) -> (Vec<ExtraAlert>, Vec<Problem>) {
    if specs.len() > MOST_EXTRA {
        let problem = format!("{} extra alerts are more than one app may add", specs.len());
        return (
            Vec::new(),
            vec![Problem::new(
                "alerts.extra",
                problem,
                format!("keep at most {MOST_EXTRA}"),
            )],
        );
    }
    if let Err(refusal) = check_together(specs) {
        return (Vec::new(), vec![refusal.at("alerts.extra")]);
    }
    let bounds = Bounds {
        namespace: &app.namespace,
        longest_window,
        interval: app
            .metrics
            .as_ref()
            .map_or(DEFAULT_INTERVAL, |metrics| metrics.interval),
    };
    let mut samples = 0_u64;
    let mut names = BTreeSet::new();
    let mut rules = Vec::with_capacity(specs.len());
    let mut problems = Vec::new();
    for (i, spec) in specs.iter().enumerate() {
        let before = problems.len();
        if !names.insert(&spec.alert) {
            // The field that the API server names.
            problems.push(Problem::new(
                format!("alerts.extra[{i}]"),
                format!("another extra alert is named {} too", spec.alert),
                "give each a name of its own",
            ));
        }
        let mut refuse = |field: &str, refusal: Refusal| {
            problems.push(refusal.at(format!("alerts.extra[{i}].{field}")));
        };
        if let Err(refusal) = check_name(&spec.alert) {
            refuse("alert", refusal);
        }
        let expr = match sanitise_user_expr(&spec.expr, bounds) {
            Ok(sanitised) => {
                samples = samples.saturating_add(sanitised.samples);
                sanitised.expr
            }
            Err(refusal) => {
                refuse("expr", refusal);
                String::new()
            }
        };
        let mut span = |field, text: Option<&String>| {
            parse_span(text).unwrap_or_else(|refusal| {
                refuse(field, refusal);
                None
            })
        };
        let for_ = span("for", spec.for_.as_ref());
        let keep_firing_for = span("keepFiringFor", spec.keep_firing_for.as_ref());
        let mut checked = |field, labels: Result<UserLabels, Vec<Refusal>>| {
            labels.unwrap_or_else(|refusals| {
                for refusal in refusals {
                    refuse(field, refusal);
                }
                UserLabels::default()
            })
        };
        let labels = checked("labels", UserLabels::labels(&spec.labels));
        let annotations = checked("annotations", UserLabels::annotations(&spec.annotations));
        if problems.len() == before {
            rules.push(ExtraAlert {
                alert: spec.alert.clone(),
                expr,
                for_,
                keep_firing_for,
                labels,
                annotations,
            });
        }
    }
    if samples > MOST_SAMPLES {
        problems.push(Problem::new(
            "alerts.extra",
            format!("together they read {samples} samples of each series at every evaluation"),
            format!("use shorter ranges, or longer steps in subqueries: at most {MOST_SAMPLES} are allowed"),
        ));
    }
    (rules, problems)
}

/// Bounds what it costs to parse them all.
fn check_together(specs: &[spec::ExtraAlert]) -> Result<(), Refusal> {
    let length: usize = specs.iter().map(|spec| spec.expr.len()).sum();
    if length > LONGEST_TOGETHER {
        return Err(Refusal::new(
            format!("their expressions are {length} bytes long together"),
            format!("use at most {LONGEST_TOGETHER}"),
        ));
    }
    promql::check_together(specs.iter().map(|spec| spec.expr.as_str()))
}

fn check_name(name: &str) -> Result<(), Refusal> {
    let good = name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic())
        && name.bytes().all(|b| b == b'_' || b.is_ascii_alphanumeric())
        && name.len() <= LONGEST_NAME;
    if !good {
        return Err(Refusal::new(
            format!("{name:?} is not an alert's name"),
            format!("use at most {LONGEST_NAME} letters, digits and _, a letter first"),
        ));
    }
    if alerts::ALL.contains(&name) {
        return Err(Refusal::new(
            format!("{name} is one of the operator's own alerts"),
            "choose another name, or set that alert's own fields",
        ));
    }
    Ok(())
}

fn parse_span(text: Option<&String>) -> Result<Option<PromDuration>, Refusal> {
    let Some(text) = text else { return Ok(None) };
    match text.parse::<PromDuration>() {
        Ok(span) if span <= LONGEST_WAIT => Ok((span.millis() > 0).then_some(span)),
        Ok(span) => Err(Refusal::new(
            format!("{span} is too long to wait"),
            format!("use at most {LONGEST_WAIT}"),
        )),
        Err(why) => Err(Refusal::new(why.to_string(), "write a duration such as 5m")),
    }
}

pub(crate) fn groups(app: &App, rules: &[ExtraAlert]) -> Vec<Group> {
    let chunks = rules.chunks(MOST_RULES_IN_A_GROUP).enumerate();
    chunks
        .map(|(i, chunk)| Group {
            name: format!("extra-{}", i + 1),
            interval: INTERVAL,
            limit: LIMIT,
            rules: chunk.iter().map(|rule| self::rule(app, rule)).collect(),
        })
        .collect()
}

fn rule(app: &App, extra: &ExtraAlert) -> Rule {
    let mut labels =
        std::collections::BTreeMap::from([("severity".to_owned(), severity::WARNING.to_owned())]);
    labels.extend(
        extra
            .labels
            .iter()
            .map(|(name, value)| (name.clone(), value.clone())),
    );
    labels.insert("namespace".to_owned(), app.namespace.clone());
    labels.insert("app".to_owned(), app.name.clone());
    let mut annotations = std::collections::BTreeMap::new();
    app.links.annotate_dashboard(&mut annotations);
    annotations.extend(
        extra
            .annotations
            .iter()
            .map(|(name, value)| (name.clone(), value.clone())),
    );
    Rule::Alert(Alert {
        alert: extra.alert.clone(),
        expr: extra.expr.clone(),
        for_: extra.for_,
        keep_firing_for: extra.keep_firing_for,
        labels,
        annotations,
    })
}
