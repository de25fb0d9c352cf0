//! An app's metrics, SLOs and alerts: the spec's texts, parsed and checked by the SLO engine.

use observedapp_api::AppRef;
use observedapp_api::{IndicatorSpec, MetricsSpec, ObservedAppSpec, ProbeSpec, SeveritySpec, SloSpec};
use observedapp_slo::spec as unchecked;
use observedapp_slo::{
    DatabaseDown, DatabaseSource, ExtraAlert, HighCpu, HighErrorRate, HighMemory, Links, PromDuration,
    Refusal, Slo, Symptoms,
};

use crate::names::dashboard_uid;
use crate::resources::{self, Limits};
use crate::{Problem, Problems, Settings};

/// The input of an app's recording rules and alerts.
#[derive(Clone, Debug)]
pub struct Objectives {
    /// What the rules must know of the app.
    pub app: observedapp_slo::App,
    pub slos: Vec<Slo>,
    pub symptoms: Symptoms,
    pub extra: Vec<ExtraAlert>,
}

impl Objectives {
    /// Checks all of it, and adds every problem; what is returned is complete only if none was added.
    pub(crate) fn check(
        app: &AppRef,
        spec: &ObservedAppSpec,
        settings: &Settings,
        problems: &mut Problems,
    ) -> Self {
        let mut checker = Checker { problems };
        let app = observedapp_slo::App {
            namespace: app.namespace.clone(),
            name: app.name.clone(),
            metrics: spec.metrics.as_ref().and_then(|metrics| checker.metrics(metrics)),
            probe: spec.probe.as_ref().and_then(|probe| checker.probe(probe)),
            links: Links {
                runbooks: Some(settings.runbook_url.clone()),
                dashboard: settings
                    .grafana_url
                    .as_ref()
                    .filter(|_| spec.dashboards.enabled)
                    .map(|url| format!("{}/d/{}", url.trim_end_matches('/'), dashboard_uid(app))),
                releases: spec.rollout.guard.is_some(),
            },
        };
        let slos = checker.slos(spec, &app);
        let symptoms = checker.symptoms(spec);
        let extra = checker.extra(spec, &app, &slos);
        Self {
            app,
            slos,
            symptoms,
            extra,
        }
    }
}

struct Checker<'a> {
    problems: &'a mut Problems,
}

impl Checker<'_> {
    fn take(&mut self, problems: Vec<Problem>) {
        self.problems
            .0
            .extend(problems.into_iter().map(|problem| Problem {
                field: format!("spec.{}", problem.field),
                ..problem
            }));
    }

    /// A text with a grammar of its own.
    fn parse<T: std::str::FromStr<Err = E>, E: Into<Refusal>>(
        &mut self,
        field: &str,
        text: &str,
    ) -> Option<T> {
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                let refusal: Refusal = error.into();
                self.problems.add(field, refusal.problem, refusal.remedy);
                None
            }
        }
    }

    fn duration(&mut self, field: &str, text: &str) -> Option<PromDuration> {
        let parsed = text.parse();
        if parsed.is_err() {
            self.problems.add(
                field,
                format!("{text:?} is no duration"),
                "write one as Prometheus does: 30s, 5m, 1h30m",
            );
        }
        parsed.ok()
    }

    fn metrics(&mut self, metrics: &MetricsSpec) -> Option<observedapp_slo::Metrics> {
        let names = metrics.names();
        let requests = self.parse("spec.metrics.requests", names.requests);
        let errors = self.parse("spec.metrics.errors", names.errors);
        let latency = self.parse("spec.metrics.latency", names.latency);
        let interval = self.duration("spec.metrics.interval", &metrics.interval);
        Some(observedapp_slo::Metrics {
            requests: requests?,
            errors: errors?,
            latency: latency?,
            histogram: observedapp_slo::Histogram::Either,
            interval: interval?,
        })
    }

    fn probe(&mut self, probe: &ProbeSpec) -> Option<observedapp_slo::Probe> {
        let interval = self.duration("spec.probe.interval", &probe.interval)?;
        Some(observedapp_slo::Probe { interval })
    }

    fn slos(&mut self, spec: &ObservedAppSpec, app: &observedapp_slo::App) -> Vec<Slo> {
        let mut unchecked = Vec::with_capacity(spec.slos.len());
        for (i, slo) in spec.slos.iter().enumerate() {
            match indicator(&slo.indicator) {
                Some(indicator) => unchecked.push(unchecked_slo(slo, indicator)),
                None => self.problems.add(
                    format!("spec.slos[{i}].indicator"),
                    "exactly one of availability, latency, ratio, probe must be given",
                    "keep one of them",
                ),
            }
        }
        if unchecked.len() < spec.slos.len() {
            // Their places have moved: what the engine says of them would name the wrong fields.
            return Vec::new();
        }
        let (slos, problems) = observedapp_slo::parse_slos(&unchecked, app);
        self.take(problems);
        slos
    }

    fn extra(&mut self, spec: &ObservedAppSpec, app: &observedapp_slo::App, slos: &[Slo]) -> Vec<ExtraAlert> {
        let unchecked: Vec<_> = spec.alerts.extra.iter().map(unchecked_extra).collect();
        let (extra, problems) =
            observedapp_slo::parse_extra_alerts(&unchecked, app, observedapp_slo::longest_window(slos));
        self.take(problems);
        extra
    }

    fn symptoms(&mut self, spec: &ObservedAppSpec) -> Symptoms {
        let alerts = &spec.alerts;
        let Limits { cpu, memory } = resources::app_limits(spec);
        let mut wait = |field: &str, enabled: bool, text: &str| {
            let wait = self.duration(&format!("spec.alerts.{field}.for"), text);
            wait.filter(|_| enabled)
        };
        let high_cpu = wait("highCPU", alerts.high_cpu.enabled, &alerts.high_cpu.for_);
        let high_memory = wait("highMemory", alerts.high_memory.enabled, &alerts.high_memory.for_);
        let high_error_rate = wait(
            "highErrorRate",
            alerts.high_error_rate.enabled,
            &alerts.high_error_rate.for_,
        );
        let replicas_unavailable = wait(
            "replicasUnavailable",
            alerts.replicas_unavailable.enabled,
            &alerts.replicas_unavailable.for_,
        );
        let metrics_absent = wait(
            "metricsAbsent",
            alerts.metrics_absent.enabled,
            &alerts.metrics_absent.for_,
        );
        let database_down = wait(
            "databaseDown",
            alerts.database_down.enabled,
            &alerts.database_down.for_,
        );
        let probe_failing = wait(
            "probeFailing",
            alerts.probe_failing.enabled,
            &alerts.probe_failing.for_,
        );
        let percent = |given: i32| u32::try_from(given).unwrap_or_default();
        let source = spec.database.as_ref().and_then(|database| {
            let builtin = database.builtin.as_ref().map(|_| DatabaseSource::Exporter);
            let cluster = database
                .cloud_native_pg
                .as_ref()
                .map(|_| DatabaseSource::Condition);
            builtin.or(cluster)
        });
        Symptoms {
            high_cpu: high_cpu.map(|for_| HighCpu {
                percent: percent(alerts.high_cpu.percent),
                limit_millicores: cpu,
                for_,
            }),
            high_memory: high_memory.map(|for_| HighMemory {
                percent: percent(alerts.high_memory.percent),
                limit_bytes: memory,
                for_,
            }),
            high_error_rate: high_error_rate.map(|for_| HighErrorRate {
                per_second: alerts.high_error_rate.per_second,
                for_,
            }),
            replicas_unavailable,
            metrics_absent: metrics_absent.filter(|_| spec.metrics.is_some()),
            database_down: database_down
                .zip(source)
                .map(|(for_, source)| DatabaseDown { source, for_ }),
            probe_failing: probe_failing.filter(|_| spec.probe.is_some()),
        }
    }
}

fn indicator(indicator: &IndicatorSpec) -> Option<unchecked::Indicator> {
    let given = [
        indicator
            .availability
            .as_ref()
            .map(|availability| unchecked::Indicator::Availability {
                matchers: availability.matchers.clone(),
            }),
        indicator
            .latency
            .as_ref()
            .map(|latency| unchecked::Indicator::Latency {
                threshold: latency.threshold.clone(),
                matchers: latency.matchers.clone(),
            }),
        indicator.ratio.as_ref().map(|ratio| unchecked::Indicator::Ratio {
            errors: ratio.errors.clone(),
            total: ratio.total.clone(),
        }),
        indicator.probe.as_ref().map(|_| unchecked::Indicator::Probe {}),
    ];
    let mut given = given.into_iter().flatten();
    given.next().filter(|_| given.next().is_none())
}

fn unchecked_slo(slo: &SloSpec, indicator: unchecked::Indicator) -> unchecked::Slo {
    let alerting = &slo.alerting;
    unchecked::Slo {
        name: slo.name.clone(),
        description: slo.description.clone(),
        objective: slo.objective.to_string(),
        window: Some(slo.window.clone()),
        indicator,
        alerting: unchecked::Alerting {
            page: notification(&alerting.page),
            ticket: notification(&alerting.ticket),
            min_failures: u32::try_from(alerting.min_failures).ok(),
            runbook_url: alerting.runbook_url.clone(),
            labels: alerting.labels.clone(),
            annotations: alerting.annotations.clone(),
        },
    }
}

fn notification(severity: &SeveritySpec) -> unchecked::Notification {
    unchecked::Notification {
        enabled: severity.enabled,
        labels: severity.labels.clone(),
    }
}

fn unchecked_extra(extra: &observedapp_api::ExtraAlert) -> unchecked::ExtraAlert {
    unchecked::ExtraAlert {
        alert: extra.alert.clone(),
        expr: extra.expr.clone(),
        for_: extra.for_.clone(),
        keep_firing_for: extra.keep_firing_for.clone(),
        labels: extra.labels.clone(),
        annotations: extra.annotations.clone(),
    }
}
