//! The SLO engine's rules as a PrometheusRule.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use observedapp_slo::RuleSet;

use super::monitors;
use crate::monitoring::{PrometheusRule, PrometheusRuleSpec, Rule, RuleGroup};
use crate::{Component, Desired, ValidApp};

/// All recording and alerting rules of an app, with the hash by which Prometheus is asked for them.
pub fn rules(app: &ValidApp) -> RuleSet {
    let objectives = &app.objectives;
    observedapp_slo::rules_for(
        &objectives.app,
        &objectives.slos,
        &objectives.symptoms,
        &objectives.extra,
    )
}

pub(super) fn add(app: &ValidApp, desired: &mut Desired) {
    let RuleSet { groups, hash } = rules(app);
    let rule = PrometheusRule {
        metadata: monitors::select(
            app,
            app.metadata(app.id.name.clone(), Component::App),
            &app.observed.prometheus.rule_labels,
        ),
        spec: PrometheusRuleSpec {
            groups: groups.into_iter().map(group).collect(),
        },
    };
    desired.objects.push(rule.into());
    desired.rules_hash = Some(hash);
}

fn group(group: observedapp_slo::Group) -> RuleGroup {
    RuleGroup {
        name: group.name,
        interval: group.interval.to_string(),
        limit: group.limit,
        rules: group.rules.into_iter().map(rule).collect(),
    }
}

fn rule(rule: observedapp_slo::Rule) -> Rule {
    match rule {
        observedapp_slo::Rule::Record(record) => Rule {
            record: Some(record.record),
            expr: IntOrString::String(record.expr),
            labels: record.labels,
            ..Default::default()
        },
        observedapp_slo::Rule::Alert(alert) => Rule {
            alert: Some(alert.alert),
            expr: IntOrString::String(alert.expr),
            for_: alert.for_.map(|wait| wait.to_string()),
            keep_firing_for: alert.keep_firing_for.map(|wait| wait.to_string()),
            labels: alert.labels,
            annotations: alert.annotations,
            ..Default::default()
        },
    }
}
