//! `Monitored`, `RulesLoaded` and `HistoryKept`: whether what was made for Prometheus has its effect there.

use observedapp_api::{ConditionType, Reason};
use observedapp_desired::Kind;
use observedapp_slo::PromDuration;

use super::condition::ConditionState;
use super::facts::Facts;
use crate::prometheus::{Instance, Namespaces, PollResult, PrometheusFacts, Selection, Unusable};

/// Those of the three that apply.
pub fn conditions(facts: &Facts<'_>, prometheus: &PrometheusFacts) -> impl Iterator<Item = ConditionState> {
    let evaluation = Evaluation { facts, prometheus };
    [
        evaluation.monitored(),
        Some(evaluation.rules_loaded()),
        evaluation.history_kept(),
    ]
    .into_iter()
    .flatten()
}

/// What every condition about Prometheus says while there is none to ask, or it does not answer.
pub fn unanswered(type_: ConditionType, prometheus: &PrometheusFacts) -> Option<ConditionState> {
    match &prometheus.poll {
        PollResult::Answered => None,
        PollResult::NotPolled => Some(ConditionState::unknown(
            type_,
            Reason::NotAsked,
            "Prometheus has not been asked yet",
        )),
        PollResult::NoPrometheus => Some(no_prometheus(type_, prometheus)),
        PollResult::Unreachable(problem) => Some(ConditionState::unknown(
            type_,
            Reason::PrometheusUnreachable,
            format!(
                "{problem}: check that it runs and that the operator may reach it; the last values keep their time"
            ),
        )),
    }
}

fn no_prometheus(type_: ConditionType, prometheus: &PrometheusFacts) -> ConditionState {
    if let Some(untrusted) = untrusted(type_, prometheus) {
        return untrusted;
    }
    let settings = &prometheus.instances.settings;
    let trusted: Vec<&str> = settings.namespaces.iter().map(String::as_str).collect();
    let why = if settings.confined {
        "an operator that is confined to namespaces cannot look for Prometheus: give".to_owned()
    } else if trusted.is_empty() {
        "no Prometheus object was found: install Prometheus with its operator, or give".to_owned()
    } else {
        format!(
            "no Prometheus object was found in the trusted namespaces ({}): install Prometheus with its operator there, or give",
            trusted.join(", ")
        )
    };
    ConditionState::no(
        type_,
        Reason::NoPrometheus,
        format!("{why} the operator --prometheus-url"),
    )
}

/// There is a Prometheus, and none that is trusted.
fn untrusted(type_: ConditionType, prometheus: &PrometheusFacts) -> Option<ConditionState> {
    let instances = &prometheus.instances;
    let stranger = instances
        .untrusted
        .as_ref()
        .filter(|_| instances.trusted.is_empty())?;
    Some(ConditionState::no(
        type_,
        Reason::PrometheusNotTrusted,
        format!(
            "the Prometheus object {stranger} was found and is not trusted, for it does not select the operator's own ServiceMonitor: name its namespace in the chart's prometheus.namespaces (--prometheus-namespaces)"
        ),
    ))
}

struct Evaluation<'a> {
    facts: &'a Facts<'a>,
    prometheus: &'a PrometheusFacts,
}

impl Evaluation<'_> {
    fn missing(&self, type_: ConditionType, kinds: &[Kind]) -> Option<ConditionState> {
        let missing = &self.facts.progress.desired()?.missing;
        let kind = missing.iter().find(|kind| kinds.contains(kind))?;
        Some(ConditionState::no(
            type_,
            Reason::ApiMissing,
            format!(
                "the cluster does not serve {}: install the CustomResourceDefinitions of prometheus-operator",
                kind.as_str()
            ),
        ))
    }

    /// Why this app's Prometheus does not select an object, as far as its selectors say.
    fn unselected(
        &self,
        type_: ConditionType,
        what: &str,
        of: fn(&Instance) -> &Selection,
    ) -> Option<ConditionState> {
        let instances = &self.prometheus.instances;
        let namespace = &self.facts.app.namespace;
        let instance = instances.chosen(namespace)?;
        let selection = of(instance);
        if instances.takes(instance, selection, namespace) {
            return None;
        }
        let who = format!("the Prometheus {instance}");
        let reaches = instances.reaches(instance, selection, namespace);
        let mut why = match (&selection.labels, &selection.namespaces) {
            (Err(Unusable::Nothing), _) => {
                format!("{who} selects no {what}: give it a selector ({{}} selects all)")
            }
            (Err(Unusable::Invalid(problem)), _) => {
                format!("the selectors of {who} for {what}s cannot be followed, {problem}: correct them")
            }
            (Ok(_), Namespaces::Own) if !reaches => format!(
                "{who} looks for {what}s only in its own namespace: give it a namespace selector ({{}} looks everywhere)"
            ),
            (Ok(_), Namespaces::Labelled(selector)) if !reaches => format!(
                "{who} looks for {what}s only in namespaces with {selector}: label the namespace {namespace} so, or widen the selector"
            ),
            (Ok(wants), _) => format!(
                "{who} selects {what}s with {}: start the operator with --monitor-labels={0}",
                wants
                    .iter()
                    .map(|(key, value)| format!("{key}={value}"))
                    .collect::<Vec<_>>()
                    .join(",")
            ),
        };
        if let Some(stranger) = &instances.untrusted {
            why.push_str(&format!(
                "; if it is {stranger} that should, name its namespace in prometheus.namespaces (--prometheus-namespaces)"
            ));
        }
        Some(ConditionState::no(type_, Reason::NotSelected, why))
    }

    /// The jobs that this app's series must come from.
    fn jobs(&self) -> Vec<String> {
        let facts = self.facts;
        // An app of which no pods are wanted has no targets.
        let is_scraped = facts.spec.metrics.is_some() && facts.wanted() > 0;
        let is_probed = facts.spec.probe.is_some() && facts.probe.is_some();
        [
            is_scraped.then(|| facts.app.name.clone()),
            facts.has_builtin_database().then(|| facts.app.database()),
            facts.has_builtin_cache().then(|| facts.app.cache()),
            is_probed.then(|| facts.app.probe_job()),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    fn monitored(&self) -> Option<ConditionState> {
        let type_ = ConditionType::Monitored;
        let spec = &self.facts.spec;
        let has_targets = spec.metrics.is_some()
            || spec.probe.is_some()
            || self.facts.has_builtin_database()
            || self.facts.has_builtin_cache();
        if !has_targets {
            return None;
        }
        let jobs = self.jobs();
        self.missing(type_, &[Kind::ServiceMonitor, Kind::Probe])
            .or_else(|| unanswered(type_, self.prometheus))
            .or_else(|| self.unselected(type_, "ServiceMonitor", |instance| &instance.monitors))
            .or_else(|| jobs.iter().find_map(|job| self.unscraped(job)))
            .or_else(|| self.unprobed(!jobs.is_empty()))
            .or_else(|| {
                Some(ConditionState::yes(
                    type_,
                    Reason::Scraped,
                    "Prometheus scrapes every target",
                ))
            })
    }

    /// Why the targets of a job are not scraped.
    fn unscraped(&self, job: &str) -> Option<ConditionState> {
        let type_ = ConditionType::Monitored;
        let view = &self.prometheus.view;
        match view.jobs.get(job) {
            Some((up, 0)) if *up > 0 => None,
            Some((up, down)) => {
                let error = view.errors.get(job).map_or("it does not answer", String::as_str);
                Some(ConditionState::no(
                    type_,
                    Reason::TargetDown,
                    format!(
                        "{down} of {} targets of the job {job} are down: {error}: check spec.metrics and the NetworkPolicies",
                        up + down
                    ),
                ))
            }
            None => {
                // Nobody may have said how monitors are to be labelled.
                let is_unlabelled = self.prometheus.instances.settings.monitor_labels.is_none();
                untrusted(type_, self.prometheus)
                    .filter(|_| is_unlabelled)
                    .or_else(|| {
                        Some(ConditionState::no(
                            type_,
                            Reason::NoTargets,
                            format!(
                                "Prometheus has no target of the job {job}: it takes a new monitor within a few minutes; after that, look at its log and at the Service's endpoints"
                            ),
                        ))
                    })
            }
        }
    }

    fn unprobed(&self, has_jobs: bool) -> Option<ConditionState> {
        let type_ = ConditionType::Monitored;
        self.facts.spec.probe.as_ref()?;
        if !self.facts.has_prober {
            return Some(ConditionState::no(
                type_,
                Reason::NoProber,
                "spec.probe is given, but the operator knows no blackbox exporter: start it with --prober-url",
            ));
        }
        if self.facts.probe.is_some() {
            return None;
        }
        let begins = "the probe begins once the app answers";
        Some(if has_jobs {
            let scraped = format!("Prometheus scrapes every target; {begins}");
            ConditionState::yes(type_, Reason::Scraped, scraped)
        } else {
            ConditionState::unknown(type_, Reason::NotAnsweredYet, begins)
        })
    }

    fn rules_loaded(&self) -> ConditionState {
        let type_ = ConditionType::RulesLoaded;
        self.missing(type_, &[Kind::PrometheusRule])
            .or_else(|| unanswered(type_, self.prometheus))
            .or_else(|| self.unselected(type_, "PrometheusRule", |instance| &instance.rules))
            .unwrap_or_else(|| self.rules_evaluated())
    }

    fn rules_evaluated(&self) -> ConditionState {
        let type_ = ConditionType::RulesLoaded;
        let view = &self.prometheus.view;
        let desired = self.facts.progress.desired();
        let Some(hash) = desired.and_then(|desired| desired.rules_hash.as_ref()) else {
            return ConditionState::unknown(
                type_,
                Reason::NotApplied,
                "the rules are not applied yet, see Applied",
            );
        };
        if let Some(error) = &view.rule_error {
            return ConditionState::no(
                type_,
                Reason::RuleFails,
                format!(
                    "Prometheus cannot evaluate the rule {error}: mend it in spec.alerts.extra or spec.slos"
                ),
            );
        }
        if view.hashes.contains(hash) {
            return ConditionState::yes(
                type_,
                Reason::Loaded,
                "Prometheus has loaded these very rules and evaluates them",
            );
        }
        if view.hashes.is_empty() {
            ConditionState::no(
                type_,
                Reason::NotLoaded,
                "Prometheus evaluates none of this app's rules: it takes new ones within a few minutes; after that, look at the log of prometheus-operator, which refuses rules that it cannot parse",
            )
        } else {
            ConditionState::no(
                type_,
                Reason::OldRules,
                "Prometheus still evaluates earlier rules of this app: it takes new ones within a few minutes; after that, look at the log of prometheus-operator",
            )
        }
    }

    fn history_kept(&self) -> Option<ConditionState> {
        let type_ = ConditionType::HistoryKept;
        let longest = self
            .facts
            .spec
            .slos
            .iter()
            .filter_map(|slo| slo.window.parse::<PromDuration>().ok())
            .max()?;
        if let Some(reason) = unanswered(type_, self.prometheus) {
            return Some(reason);
        }
        let Some(retention) = &self.prometheus.retention else {
            return Some(ConditionState::unknown(
                type_,
                Reason::NotSaid,
                "what answers at the Prometheus URL does not say how long it keeps samples",
            ));
        };
        Some(match retention.time {
            Some(time) if time < longest => ConditionState::no(
                type_,
                Reason::RetentionTooShort,
                format!(
                    "samples are kept for {time}, the longest window is {longest}: raise retention in the Prometheus object (--storage.tsdb.retention.time), or shorten spec.slos[].window"
                ),
            ),
            Some(time) => ConditionState::yes(
                type_,
                Reason::Kept,
                format!("samples are kept for {time}, the longest window is {longest}"),
            ),
            None => ConditionState::unknown(
                type_,
                Reason::BoundedBySize,
                format!(
                    "samples are kept up to {}; for how long, that does not say",
                    retention.said
                ),
            ),
        })
    }
}

#[cfg(test)]
mod tests;
