//! Pyrra's resource `ServiceLevelObjective`.

use serde_json::Value;

use super::{Draft, Imported, query, text};
use crate::problem::Refusal;
use crate::spec::{Alerting, Notification};

pub(super) fn import(document: &Value) -> Imported {
    let mut imported = Imported::default();
    let name = text(document, &["metadata", "name"]).unwrap_or_default();
    let place = format!("ServiceLevelObjective {name}");
    let spec = document.get("spec").unwrap_or(&Value::Null);
    let window = text(spec, &["window"]).map(|window| in_days(&window));
    let indicator = spec.get("indicator").unwrap_or(&Value::Null);
    if ["ratio", "latency", "latencyNative", "bool_gauge"]
        .iter()
        .any(|kind| {
            indicator
                .get(kind)
                .and_then(|kind| kind.get("grouping"))
                .is_some()
        })
    {
        imported.remark(
            &place,
            "its grouping is left out: write one SLO for each group that has a promise of its own",
        );
    }
    let draft = Draft {
        name,
        description: text(spec, &["description"]).unwrap_or_default(),
        objective: text(spec, &["target"]).unwrap_or_default(),
        window,
        alerting: alerting(spec.get("alerting")),
    };
    imported.push(&place, draft, read(indicator));
    imported
}

/// Two weeks are fourteen days, whatever the unit.
fn in_days(window: &str) -> String {
    window
        .parse::<crate::PromDuration>()
        .map_or_else(|_| window.to_owned(), |window| window.to_string())
}

fn read(indicator: &Value) -> Result<query::Found, Refusal> {
    let metric = |path: &[&str]| text(indicator, path);
    if let (Some(errors), Some(total)) = (
        metric(&["ratio", "errors", "metric"]),
        metric(&["ratio", "total", "metric"]),
    ) {
        return query::errors_and_total(&errors, &total);
    }
    if let (Some(good), Some(total)) = (
        metric(&["latency", "success", "metric"]),
        metric(&["latency", "total", "metric"]),
    ) {
        return query::good_and_total(&good, &total);
    }
    if let (Some(threshold), Some(total)) = (
        metric(&["latencyNative", "latency"]),
        metric(&["latencyNative", "total", "metric"]),
    ) {
        return query::native_latency(&threshold, &total);
    }
    let remedy = "use a probe SLO if it is a probe's gauge, else count its samples in two recorded counters";
    Err(Refusal::new(
        "its indicator is not of ratio, latency or latencyNative",
        remedy,
    ))
}

fn alerting(value: Option<&Value>) -> Alerting {
    let off = |key| value.and_then(|value| value.get(key)).and_then(Value::as_bool);
    let enabled = off("disabled") != Some(true) && off("burnrates") != Some(false);
    let notification = || Notification {
        enabled,
        ..Notification::default()
    };
    Alerting {
        page: notification(),
        ticket: notification(),
        ..Alerting::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::spec::Indicator;

    fn imported(indicator: &Value) -> Imported {
        import(&json!({
            "apiVersion": "pyrra.dev/v1alpha1", "kind": "ServiceLevelObjective",
            "metadata": {"name": "shop-api", "namespace": "monitoring"},
            "spec": {"target": "99.5", "window": "2w", "indicator": indicator},
        }))
    }

    #[test]
    fn every_kind_that_counts_is_read() {
        let ratio = imported(&json!({"ratio": {
            "errors": {"metric": "http_requests_total{job=\"shop\",code=~\"5..\"}"},
            "total": {"metric": "http_requests_total{job=\"shop\"}"},
            "grouping": ["route"],
        }}));
        assert_eq!(ratio.slos[0].window.as_deref(), Some("14d"));
        assert_eq!(ratio.slos[0].objective, "99.5");
        assert!(ratio.remarks[0].contains("grouping"));

        let latency = imported(&json!({"latency": {
            "success": {"metric": "http_seconds_bucket{route=\"/\",le=\"0.1\"}"},
            "total": {"metric": "http_seconds_count{route=\"/\"}"},
        }}));
        let expected = Indicator::Latency {
            threshold: "100ms".to_owned(),
            matchers: r#"route="/""#.to_owned(),
        };
        assert_eq!(latency.slos[0].indicator, expected);

        let native = imported(
            &json!({"latencyNative": {"latency": "100ms", "total": {"metric": "http_seconds{route=\"/\"}"}}}),
        );
        assert_eq!(native.slos[0].indicator, expected);

        let gauge = imported(&json!({"bool_gauge": {"metric": "probe_success{job=\"x\"}"}}));
        assert!(gauge.slos.is_empty() && gauge.remarks[0].contains("probe SLO"));
    }
}
