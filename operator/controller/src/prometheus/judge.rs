//! From what Prometheus said to conditions. Pure.

use kube::ResourceExt;
use observedapp_api::{ConditionType, ObservedApp, SloStatus};
use observedapp_desired::{Kind, Settings};
use observedapp_slo::PromDuration;

use super::alerts::Alerts;
use super::objectives::Standing;
use super::objects::Instance;
use super::selection::{Namespaces, Selection, Unusable};
use super::view::View;
use super::{Known, PollResult, Proof, ServerState, alerts, objectives};
use crate::status::Finding;

/// What is expected of Prometheus for one app.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    pub settings: &'a Settings,
    /// The hash of the rules that were applied; absent while they are not.
    pub rules_hash: Option<&'a str>,
    /// Optional kinds that the app needs and the cluster does not serve.
    pub missing: &'a [Kind],
    /// Whether the app's Probe exists, which is made when the app answers for the first time.
    pub is_probed: bool,
    /// How many pods are wanted.
    pub wanted: i32,
}

/// None while nothing was asked yet.
pub(super) fn judge(
    known: &Known,
    app: &ObservedApp,
    expected: &Expected<'_>,
    before: &[SloStatus],
) -> Option<Proof> {
    let namespace = app.namespace().unwrap_or_default();
    let server = known.server(&namespace);
    if server.last_poll == PollResult::NotPolled {
        return None;
    }
    let name = app.name_any();
    let nothing = View::default();
    let view = known
        .views
        .get(&(namespace.clone(), name.clone()))
        .unwrap_or(&nothing);
    let case = Case {
        known,
        server: &server,
        app,
        namespace,
        name,
        view,
        expected,
    };
    let standings: Vec<Standing> = app
        .spec
        .slos
        .iter()
        .map(|slo| objectives::stands(slo, view, before))
        .collect();
    let findings = [
        case.monitored(),
        case.rules_loaded(),
        case.history_kept(),
        case.slos_met(&standings),
    ];
    let firing = case.firing();
    let slos: Vec<SloStatus> = standings.into_iter().map(|standing| standing.status).collect();
    Some(Proof {
        findings: findings.into_iter().flatten().collect(),
        firing_alerts: firing.map(alerts::count),
        alerts: firing.map(alerts::listed).unwrap_or_default(),
        worst_slo: objectives::worst(&slos).cloned(),
        slos,
    })
}

struct Case<'a> {
    known: &'a Known,
    server: &'a ServerState,
    app: &'a ObservedApp,
    namespace: String,
    name: String,
    view: &'a View,
    expected: &'a Expected<'a>,
}

impl Case<'_> {
    /// The alerts that fire; nothing while it is not known whether any do.
    fn firing(&self) -> Option<&Alerts> {
        let known = self.server.last_poll == PollResult::Answered && !self.view.hashes.is_empty();
        known.then_some(&self.view.alerts)
    }

    /// What every condition says while there is nobody to ask, or nobody answers.
    fn unanswered(&self, type_: ConditionType) -> Option<Finding> {
        match &self.server.last_poll {
            PollResult::Answered => None,
            PollResult::NotPolled => Some(Finding::unknown(
                type_,
                "NotAsked",
                "Prometheus has not been asked yet",
            )),
            PollResult::NoPrometheus => Some(self.nobody(type_)),
            PollResult::Unreachable(problem) => Some(Finding::unknown(
                type_,
                "PrometheusUnreachable",
                format!(
                    "{problem}: check that it runs and that the operator may reach it; the last values keep their time"
                ),
            )),
        }
    }

    /// There is no Prometheus to ask.
    fn nobody(&self, type_: ConditionType) -> Finding {
        if let Some(finding) = self.untrusted(type_) {
            return finding;
        }
        let settings = &self.known.found.settings;
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
        Finding::no(
            type_,
            "NoPrometheus",
            format!("{why} the operator --prometheus-url"),
        )
    }

    /// There is a Prometheus, and none that is trusted.
    fn untrusted(&self, type_: ConditionType) -> Option<Finding> {
        let found = &self.known.found;
        let stranger = found.untrusted.as_ref().filter(|_| found.trusted.is_empty())?;
        Some(Finding::no(
            type_,
            "PrometheusNotTrusted",
            format!(
                "the Prometheus object {stranger} was found and is not trusted, for it does not select the operator's own ServiceMonitor: name its namespace in the chart's prometheus.namespaces (--prometheus-namespaces)"
            ),
        ))
    }

    fn missing(&self, type_: ConditionType, kinds: &[Kind]) -> Option<Finding> {
        let kind = self.expected.missing.iter().find(|kind| kinds.contains(kind))?;
        Some(Finding::no(
            type_,
            "ApiMissing",
            format!(
                "the cluster does not serve {}: install the CustomResourceDefinitions of prometheus-operator",
                kind.as_str()
            ),
        ))
    }

    /// Why this app's Prometheus does not select an object, as far as its selectors tell.
    fn unselected(
        &self,
        type_: ConditionType,
        what: &str,
        of: fn(&Instance) -> &Selection,
    ) -> Option<Finding> {
        let found = &self.known.found;
        let one = found.chosen(&self.namespace)?;
        let selection = of(one);
        if found.takes(one, selection, &self.namespace) {
            return None;
        }
        let who = format!("the Prometheus {one}");
        let reaches = found.reaches(one, selection, &self.namespace);
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
                "{who} looks for {what}s only in namespaces with {selector}: label the namespace {} so, or widen the selector",
                self.namespace
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
        if let Some(stranger) = &found.untrusted {
            why.push_str(&format!(
                "; if it is {stranger} that should, name its namespace in prometheus.namespaces (--prometheus-namespaces)"
            ));
        }
        Some(Finding::no(type_, "NotSelected", why))
    }

    /// The jobs that this app's series must come from.
    fn jobs(&self) -> Vec<String> {
        let spec = &self.app.spec;
        let mut jobs = Vec::new();
        // An app of which no pods are wanted has no targets.
        if spec.metrics.is_some() && self.expected.wanted > 0 {
            jobs.push(self.name.clone());
        }
        if spec
            .database
            .as_ref()
            .is_some_and(|database| database.builtin.is_some())
        {
            jobs.push(format!("{}-db", self.name));
        }
        if spec.cache.as_ref().is_some_and(|cache| cache.builtin.is_some()) {
            jobs.push(format!("{}-cache", self.name));
        }
        if spec.probe.is_some() && self.expected.is_probed {
            jobs.push(format!("{}-probe", self.name));
        }
        jobs
    }

    fn monitored(&self) -> Option<Finding> {
        let type_ = ConditionType::Monitored;
        let spec = &self.app.spec;
        let anything = spec.metrics.is_some()
            || spec.probe.is_some()
            || spec
                .database
                .as_ref()
                .is_some_and(|database| database.builtin.is_some())
            || spec.cache.as_ref().is_some_and(|cache| cache.builtin.is_some());
        if !anything {
            return None;
        }
        let reason = self
            .missing(type_, &[Kind::ServiceMonitor, Kind::Probe])
            .or_else(|| self.unanswered(type_))
            .or_else(|| self.unselected(type_, "ServiceMonitor", |one| &one.monitors));
        if reason.is_some() {
            return reason;
        }
        let jobs = self.jobs();
        for job in &jobs {
            match self.view.jobs.get(job) {
                Some((up, 0)) if *up > 0 => {}
                Some((up, down)) => {
                    let error = self
                        .view
                        .errors
                        .get(job)
                        .map_or("it does not answer", String::as_str);
                    return Some(Finding::no(
                        type_,
                        "TargetDown",
                        format!(
                            "{down} of {} targets of the job {job} are down: {error}: check spec.metrics and the NetworkPolicies",
                            up + down
                        ),
                    ));
                }
                None => {
                    // Nobody may have told how monitors are to be labelled.
                    let unlabelled = self.known.found.settings.monitor_labels.is_none();
                    if let Some(finding) = self.untrusted(type_).filter(|_| unlabelled) {
                        return Some(finding);
                    }
                    return Some(Finding::no(
                        type_,
                        "NoTargets",
                        format!(
                            "Prometheus has no target of the job {job}: it takes a new monitor within a few minutes; after that, look at its log and at the Service's endpoints"
                        ),
                    ));
                }
            }
        }
        if spec.probe.is_some() && self.expected.settings.prober_url.is_none() {
            return Some(Finding::no(
                type_,
                "NoProber",
                "spec.probe is given, but the operator knows no blackbox exporter: start it with --prober-url",
            ));
        }
        if spec.probe.is_some() && !self.expected.is_probed {
            let begins = "the probe begins once the app answers";
            return Some(if jobs.is_empty() {
                Finding::unknown(type_, "NotAnsweredYet", begins)
            } else {
                let scraped = format!("Prometheus scrapes every target; {begins}");
                Finding::yes(type_, "Scraped", scraped)
            });
        }
        Some(Finding::yes(type_, "Scraped", "Prometheus scrapes every target"))
    }

    fn rules_loaded(&self) -> Option<Finding> {
        let type_ = ConditionType::RulesLoaded;
        let reason = self
            .missing(type_, &[Kind::PrometheusRule])
            .or_else(|| self.unanswered(type_))
            .or_else(|| self.unselected(type_, "PrometheusRule", |one| &one.rules));
        if reason.is_some() {
            return reason;
        }
        let Some(hash) = self.expected.rules_hash else {
            return Some(Finding::unknown(
                type_,
                "NotApplied",
                "the rules are not applied yet, see Applied",
            ));
        };
        if let Some(error) = &self.view.rule_error {
            return Some(Finding::no(
                type_,
                "RuleFails",
                format!(
                    "Prometheus cannot evaluate the rule {error}: mend it in spec.alerts.extra or spec.slos"
                ),
            ));
        }
        if self.view.hashes.contains(hash) {
            return Some(Finding::yes(
                type_,
                "Loaded",
                "Prometheus has loaded these very rules and evaluates them",
            ));
        }
        Some(if self.view.hashes.is_empty() {
            Finding::no(
                type_,
                "NotLoaded",
                "Prometheus evaluates none of this app's rules: it takes new ones within a few minutes; after that, look at the log of prometheus-operator, which refuses rules that it cannot parse",
            )
        } else {
            Finding::no(
                type_,
                "OldRules",
                "Prometheus still evaluates earlier rules of this app: it takes new ones within a few minutes; after that, look at the log of prometheus-operator",
            )
        })
    }

    fn history_kept(&self) -> Option<Finding> {
        let type_ = ConditionType::HistoryKept;
        let longest = self
            .app
            .spec
            .slos
            .iter()
            .filter_map(|slo| slo.window.parse::<PromDuration>().ok())
            .max()?;
        if let Some(reason) = self.unanswered(type_) {
            return Some(reason);
        }
        let Some(retention) = &self.server.retention else {
            return Some(Finding::unknown(
                type_,
                "NotSaid",
                "what answers at the Prometheus URL does not say how long it keeps samples",
            ));
        };
        Some(match retention.time {
            Some(time) if time < longest => Finding::no(
                type_,
                "RetentionTooShort",
                format!(
                    "samples are kept for {time}, the longest window is {longest}: raise retention in the Prometheus object (--storage.tsdb.retention.time), or shorten spec.slos[].window"
                ),
            ),
            Some(time) => Finding::yes(
                type_,
                "Kept",
                format!("samples are kept for {time}, the longest window is {longest}"),
            ),
            None => Finding::unknown(
                type_,
                "BoundedBySize",
                format!(
                    "samples are kept up to {}; for how long, that does not say",
                    retention.said
                ),
            ),
        })
    }

    fn slos_met(&self, standings: &[Standing]) -> Option<Finding> {
        let type_ = ConditionType::SLOsMet;
        if standings.is_empty() {
            return None;
        }
        Some(match self.unanswered(type_) {
            Some(reason) => Finding::unknown(type_, &reason.reason, reason.message),
            None => objectives::met(standings, self.view),
        })
    }
}

#[cfg(test)]
mod tests;
