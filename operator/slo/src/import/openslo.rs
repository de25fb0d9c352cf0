//! OpenSLO's `SLO`, `openslo/v1` and `v1alpha`.

use serde_json::Value;

use super::{Draft, Imported, at, items, percent, query, text};
use crate::problem::Refusal;
use crate::spec::Alerting;

pub(super) fn import(document: &Value) -> Imported {
    let mut imported = Imported::default();
    let name = text(document, &["metadata", "name"]).unwrap_or_default();
    let spec = document.get("spec").unwrap_or(&Value::Null);
    let place = format!("SLO {name}");
    if let Some(method) = text(spec, &["budgetingMethod"]).filter(|method| method != "Occurrences") {
        imported.remark(
            &place,
            format!("budgetingMethod {method} is not known: events are counted here, not time slices"),
        );
    }
    let window = window(spec);
    if let Err(remark) = &window {
        imported.remark(&place, remark);
    }
    let window = window.ok().flatten();
    let objectives = items(spec, &["objectives"]);
    for (i, objective) in objectives.iter().enumerate() {
        let own = text(objective, &["displayName"]).filter(|own| !own.is_empty() && objectives.len() > 1);
        let draft = Draft {
            name: own.map_or_else(|| name.clone(), |own| format!("{name}-{own}")),
            description: text(spec, &["description"]).unwrap_or_default().trim().to_owned(),
            objective: text(objective, &["targetPercent"])
                .or_else(|| text(objective, &["target"]).map(|target| percent(&target)))
                .unwrap_or_default(),
            window: window.clone(),
            alerting: Alerting::default(),
        };
        let place = if objectives.len() > 1 {
            format!("{place}, objectives[{i}]")
        } else {
            place.clone()
        };
        imported.push(&place, draft, indicator(spec, objective));
    }
    if at(spec, &["alertPolicies"]).is_some() {
        imported.remark(
            &place,
            "its alertPolicies are left out: the two burn-rate alerts follow from the objective",
        );
    }
    imported
}

fn window(spec: &Value) -> Result<Option<String>, String> {
    let v1 = items(spec, &["timeWindow"]).first();
    let Some(window) = v1.or_else(|| items(spec, &["timeWindows"]).first()) else {
        return Ok(None);
    };
    let length = text(window, &["duration"]).or_else(|| {
        let unit = text(window, &["unit"])?.chars().next()?.to_ascii_lowercase();
        Some(format!("{}{unit}", text(window, &["count"])?))
    });
    let rolling = window
        .get("isRolling")
        .and_then(Value::as_bool)
        .unwrap_or(window.get("calendar").is_none());
    let length = length.map(
        |length| match length.strip_suffix('M').or(length.strip_suffix('Q')) {
            Some(_) => "30d".to_owned(),
            None => length
                .parse::<crate::PromDuration>()
                .map_or(length, |length| length.to_string()),
        },
    );
    match (rolling, length) {
        (true, length) => Ok(length),
        (false, _) => Err("its calendar window is not known: the window rolls over 30d here".to_owned()),
    }
}

fn indicator(spec: &Value, objective: &Value) -> Result<query::Found, Refusal> {
    let by_hand = "write the counters that it reads as a ratio";
    // In the objective in v1alpha, in the indicator in v1.
    let ratio = objective
        .get("ratioMetrics")
        .or_else(|| at(spec, &["indicator", "spec", "ratioMetric"]))
        .or_else(|| at(spec, &["indicator", "spec", "ratioMetrics"]));
    let Some(ratio) = ratio else {
        return Err(if spec.get("indicatorRef").is_some() {
            Refusal::new(
                "its indicator is in another document",
                "put the SLI into spec.indicator",
            )
        } else {
            Refusal::new("only ratio metrics count events", by_hand)
        });
    };
    let query = |part: &str| {
        let part = ratio.get(part)?;
        text(part, &["metricSource", "spec", "query"]).or_else(|| text(part, &["query"]))
    };
    match (query("bad"), query("good"), query("total")) {
        (Some(bad), _, Some(total)) => query::errors_and_total(&bad, &total),
        (None, Some(good), Some(total)) => query::good_and_total(&good, &total),
        _ => Err(Refusal::new("its queries are not given as PromQL", by_hand)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::spec::Indicator;

    #[test]
    fn good_events_become_failed_ones() {
        let source = |query: &str| json!({"metricSource": {"type": "Prometheus", "spec": {"query": query}}});
        let imported = import(&json!({
            "apiVersion": "openslo/v1", "kind": "SLO", "metadata": {"name": "shop-availability"},
            "spec": {
                "service": "shop",
                "indicator": {"metadata": {"name": "x"}, "spec": {"ratioMetric": {
                    "counter": true,
                    "good": source("sum(rate(http_requests_total{code!~\"5..\"}[5m]))"),
                    "total": source("sum(rate(http_requests_total[5m]))"),
                }}},
                "timeWindow": [{"duration": "4w", "isRolling": true}],
                "budgetingMethod": "Timeslices",
                "objectives": [{"target": 0.999}],
            },
        }));
        assert_eq!(imported.slos.len(), 1, "{:?}", imported.remarks);
        let slo = &imported.slos[0];
        assert_eq!(
            (slo.objective.as_str(), slo.window.as_deref()),
            ("99.9", Some("28d"))
        );
        assert_eq!(
            slo.indicator,
            Indicator::Ratio {
                errors: r#"http_requests_total{code=~"5.."}"#.to_owned(),
                total: "http_requests_total".to_owned(),
            }
        );
        assert!(imported.remarks[0].contains("Timeslices"));
    }

    #[test]
    fn the_alpha_version_is_read_too() {
        let imported = import(&json!({
            "apiVersion": "openslo/v1alpha", "kind": "SLO", "metadata": {"name": "a"},
            "spec": {
                "objectives": [{"target": 0.99, "ratioMetrics": {
                    "bad": {"source": "prometheus", "queryType": "promql", "query": "e_total"},
                    "total": {"source": "prometheus", "queryType": "promql", "query": "t_total"},
                }}],
                "timeWindows": [{"count": 7, "unit": "Day", "isRolling": true}],
            },
        }));
        assert_eq!(imported.slos[0].window.as_deref(), Some("7d"));
        assert_eq!(imported.slos[0].objective, "99");
    }
}
