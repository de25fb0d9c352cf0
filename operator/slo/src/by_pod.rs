//! Counters by pod: what the pods of one release are compared with those of another by.

use crate::app::Histogram;
use crate::indicator::Latency;
use crate::promql::{Matcher, Selector};
use crate::slo::{Indicator, Slo};

/// The label that names the objective in the answer.
pub const SLO_LABEL: &str = "slo";
/// The label that says what is counted: [`EVENTS`] or [`ERRORS`].
pub const COUNTED_LABEL: &str = "counted";
pub const EVENTS: &str = "events";
pub const ERRORS: &str = "errors";

/// Whether there is an objective whose series may carry a pod.
pub fn any_by_pod(slos: &[Slo]) -> bool {
    slos.iter()
        .any(|slo| !matches!(slo.indicator, Indicator::Probe { .. }))
}

/// The counters of all events and of the failed ones by pod, of every objective whose series may carry one; none where
/// there is no such objective. `pods` are regexes of their names. What the counters grow by is up to whoever asks twice.
pub fn counters_by_pod(slos: &[Slo], pods: &[String]) -> Option<String> {
    let counters = slos.iter().filter_map(|slo| {
        let (events, errors) = slo.indicator.counters_by_pod(pods)?;
        let named = |counter: &str, counted: &str| {
            format!(
                r#"label_replace(label_replace({counter}, "{SLO_LABEL}", "{}", "", ""), "{COUNTED_LABEL}", "{counted}", "", "")"#,
                slo.name
            )
        };
        Some(format!("{} or {}", named(&events, EVENTS), named(&errors, ERRORS)))
    });
    let counters: Vec<String> = counters.collect();
    (!counters.is_empty()).then(|| counters.join(" or "))
}

impl Indicator {
    fn counters_by_pod(&self, pods: &[String]) -> Option<(String, String)> {
        let of_pods = |series: &Selector| series.clone().with([Matcher::matches("pod", pods.join("|"))]);
        match self {
            Self::Availability { errors, total, .. } | Self::Ratio { errors, total, .. } => Some((
                format!("sum by (pod) ({})", of_pods(total)),
                format!("sum by (pod) ({})", of_pods(errors)),
            )),
            Self::Latency {
                histogram,
                kind,
                threshold,
                ..
            } => {
                let histogram = of_pods(histogram);
                let latency = Latency::new(&histogram, *threshold);
                let now = ToString::to_string;
                let classic = (
                    format!("sum by (pod) ({})", latency.counted(&now)),
                    format!("sum by (pod) ({})", latency.failed(&now)),
                );
                let all = format!("sum by (pod) ({histogram})");
                let native = (format!("histogram_count({all})"), latency.native_errors_of(&all));
                Some(match kind {
                    Histogram::Classic => classic,
                    Histogram::Native => native,
                    Histogram::Either => (
                        format!("({} or {})", classic.0, native.0),
                        format!("({} or {})", classic.1, native.1),
                    ),
                })
            }
            Self::Probe { .. } => None,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{App, Links, Metrics, parse_slos, spec};

    fn parsed() -> Vec<Slo> {
        let app = App {
            namespace: "shop".to_owned(),
            name: "tasks".to_owned(),
            metrics: Some(Metrics {
                requests: "http_requests_total".parse().unwrap(),
                errors: r#"code=~"5..""#.parse().unwrap(),
                latency: "http_request_duration_seconds".parse().unwrap(),
                histogram: Histogram::Either,
                interval: "15s".parse().unwrap(),
            }),
            probe: None,
            links: Links::default(),
        };
        let slo = |name: &str, indicator| spec::Slo {
            name: name.to_owned(),
            description: String::new(),
            objective: "99.9".to_owned(),
            window: None,
            indicator,
            alerting: spec::Alerting::default(),
        };
        let matchers = String::new;
        let specs = [
            slo(
                "availability",
                spec::Indicator::Availability { matchers: matchers() },
            ),
            slo(
                "latency",
                spec::Indicator::Latency {
                    threshold: "300ms".to_owned(),
                    matchers: matchers(),
                },
            ),
            slo(
                "jobs",
                spec::Indicator::Ratio {
                    errors: "jobs_failed_total".to_owned(),
                    total: "jobs_total".to_owned(),
                },
            ),
        ];
        let (slos, problems) = parse_slos(&specs, &app);
        assert!(problems.is_empty(), "{problems:?}");
        slos
    }

    #[test]
    fn each_objective_of_pods_is_counted_twice() {
        let slos = parsed();
        let query = counters_by_pod(&slos, &["tasks-7f-.{5}".to_owned(), "tasks-8a-c".to_owned()]).unwrap();
        assert!(promql_parser::parser::parse(&query).is_ok(), "{query}");
        assert!(query.contains(r#"pod=~"tasks-7f-.{5}|tasks-8a-c""#), "{query}");
        assert_eq!(query.matches(ERRORS).count(), 3, "{query}");
        assert_eq!(query.matches("histogram_fraction").count(), 1, "{query}");
        assert_eq!(counters_by_pod(&[], &[]), None);
        assert!(any_by_pod(&slos) && !any_by_pod(&[]));
    }
}
