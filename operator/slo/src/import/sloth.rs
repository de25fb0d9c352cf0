//! Sloth's files (`version: prometheus/v1`) and its resource `PrometheusServiceLevel`.

use serde_json::Value;

use super::{Draft, Imported, at, either, items, labels, query, text};
use crate::names::alerts;
use crate::problem::Refusal;
use crate::spec::{Alerting, Notification};

pub(super) fn import(document: &Value) -> Imported {
    let mut imported = Imported::default();
    let spec = document.get("spec").unwrap_or(document);
    let service_labels = labels(spec.get("labels"));
    if !service_labels.is_empty() || document.pointer("/spec/service").is_some() {
        let service = text(spec, &["service"]).unwrap_or_default();
        imported.remark(
            "service",
            format!("{service:?} is the app here, and its labels are Kubernetes' own"),
        );
    }
    for (i, slo) in items(spec, &["slos"]).iter().enumerate() {
        let name = text(slo, &["name"]).unwrap_or_else(|| format!("slo-{i}"));
        let place = format!("slos[{i}] ({name})");
        if slo.get("labels").is_some() {
            imported.remark(
                &place,
                "its labels are left out: records carry namespace, app and slo alone",
            );
        }
        if let Some(alert) = text(slo, &["alerting", "name"]) {
            imported.remark(
                &place,
                format!(
                    "its alert name {alert} is left out: the alerts are {} and {} here, labelled slo={:?}",
                    alerts::ERROR_BUDGET_BURN_FAST,
                    alerts::ERROR_BUDGET_BURN_SLOW,
                    super::name(&name)
                ),
            );
        }
        let draft = Draft {
            name,
            description: text(slo, &["description"]).unwrap_or_default(),
            objective: text(slo, &["objective"]).unwrap_or_default(),
            window: None,
            alerting: alerting(slo.get("alerting")),
        };
        imported.push(&place, draft, indicator(slo));
    }
    imported
}

fn indicator(slo: &Value) -> Result<query::Found, Refusal> {
    let by_hand = "write the counters that it reads as a ratio";
    let Some(sli) = slo.get("sli") else {
        return Err(Refusal::new("it has no sli", by_hand));
    };
    let query = |keys| {
        at(sli, &["events"])
            .and_then(|events| either(events, keys))
            .and_then(Value::as_str)
    };
    match (
        query(["error_query", "errorQuery"]),
        query(["total_query", "totalQuery"]),
    ) {
        (Some(errors), Some(total)) => query::errors_and_total(errors, total),
        _ if sli.get("raw").is_some() => Err(Refusal::new(
            "a raw error ratio cannot be weighted by traffic",
            by_hand,
        )),
        _ if sli.get("plugin").is_some() => Err(Refusal::new("plugins are Go code", by_hand)),
        _ => Err(Refusal::new("its sli is of no known kind", by_hand)),
    }
}

fn alerting(value: Option<&Value>) -> Alerting {
    let Some(value) = value else {
        return Alerting::default();
    };
    let notification = |keys| {
        let alert = either(value, keys);
        let disabled = alert
            .and_then(|alert| alert.get("disable"))
            .and_then(Value::as_bool)
            .unwrap_or(false);
        Notification {
            enabled: !disabled,
            labels: labels(alert.and_then(|alert| alert.get("labels"))),
        }
    };
    let mut annotations = labels(value.get("annotations"));
    let runbook_url = annotations
        .remove("runbook_url")
        .or_else(|| annotations.remove("runbook"));
    Alerting {
        page: notification(["page_alert", "pageAlert"]),
        ticket: notification(["ticket_alert", "ticketAlert"]),
        min_failures: None,
        runbook_url,
        labels: labels(value.get("labels")),
        annotations,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::spec::Indicator;

    #[test]
    fn a_file_becomes_ratios() {
        let imported = import(&json!({
            "version": "prometheus/v1",
            "service": "shop",
            "slos": [{
                "name": "requests-availability",
                "objective": 99.9,
                "description": "Most requests succeed.",
                "sli": {"events": {
                    "error_query": "sum(rate(http_requests_total{job=\"shop\",code=~\"(5..|429)\"}[{{.window}}]))",
                    "total_query": "sum(rate(http_requests_total{job=\"shop\"}[{{.window}}]))",
                }},
                "alerting": {
                    "name": "ShopHighErrorRate",
                    "labels": {"team": "shop"},
                    "annotations": {"runbook": "https://example.com"},
                    "ticket_alert": {"disable": true},
                },
            }, {
                "name": "latency",
                "objective": 99,
                "sli": {"events": {
                    "error_query": "sum(rate(rpc_seconds_count{job=\"a\",m=\"x\"}[{{.window}}])) - sum(rate(rpc_seconds_bucket{job=\"a\",m=\"x\",le=\"0.25\"}[{{.window}}]))",
                    "total_query": "sum(rate(rpc_seconds_count{job=\"a\",m=\"x\"}[{{.window}}]))",
                }},
            }, {
                "name": "raw",
                "objective": 99,
                "sli": {"raw": {"error_ratio_query": "x"}},
            }],
        }));
        assert_eq!(imported.slos.len(), 2, "{:?}", imported.remarks);
        let first = &imported.slos[0];
        assert_eq!(first.objective, "99.9");
        assert_eq!(
            first.indicator,
            Indicator::Ratio {
                errors: r#"http_requests_total{code=~"(5..|429)"}"#.to_owned(),
                total: "http_requests_total".to_owned(),
            }
        );
        for left_out in [
            r#"job="shop" is left out"#,
            "its alert name ShopHighErrorRate is left out",
        ] {
            let remarks = imported.remarks.iter().filter(|remark| remark.contains(left_out));
            assert_eq!(remarks.count(), 1, "{left_out}: {:?}", imported.remarks);
        }
        assert!(first.alerting.page.enabled && !first.alerting.ticket.enabled);
        assert_eq!(first.alerting.runbook_url.as_deref(), Some("https://example.com"));
        assert_eq!(
            imported.slos[1].indicator,
            Indicator::Latency {
                threshold: "250ms".to_owned(),
                matchers: r#"m="x""#.to_owned()
            }
        );
        assert!(
            imported
                .remarks
                .iter()
                .any(|r| r.contains("(raw)") && r.contains("left out")),
            "{:?}",
            imported.remarks
        );
    }

    #[test]
    fn a_resource_is_the_same_in_camel_case() {
        let imported = import(&json!({
            "apiVersion": "sloth.slok.dev/v1", "kind": "PrometheusServiceLevel",
            "spec": {"service": "shop", "slos": [{
                "name": "a", "objective": 99.5,
                "sli": {"events": {"errorQuery": "sum(rate(e_total[{{.window}}])) OR vector(0)", "totalQuery": "sum(rate(t_total[{{.window}}]))"}},
                "alerting": {"pageAlert": {"disable": true}},
            }]},
        }));
        assert_eq!(
            imported.slos[0].indicator,
            Indicator::Ratio {
                errors: "e_total".to_owned(),
                total: "t_total".to_owned()
            }
        );
        assert!(!imported.slos[0].alerting.page.enabled);
    }
}
