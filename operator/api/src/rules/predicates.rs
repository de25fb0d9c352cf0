//! The rules that compare one field with another, in Rust; the table names each beside the same rule in CEL.

use std::borrow::Cow;

use serde_json::Value;

use crate::Amount;

/// A text, or a number as Kubernetes writes it.
pub(super) fn text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(text.into()),
        Value::Number(number) => Some(number.to_string().into()),
        _ => None,
    }
}

pub(super) fn keys(value: &Value) -> impl Iterator<Item = &str> {
    value
        .as_object()
        .into_iter()
        .flat_map(|map| map.keys().map(String::as_str))
}

pub(super) fn quantity(value: &Value) -> Option<Amount> {
    text(value)?.parse().ok()
}

fn has(value: &Value, field: &str) -> bool {
    value.get(field).is_some()
}

fn items<'a>(value: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> {
    value.get(field).and_then(Value::as_array).into_iter().flatten()
}

pub(super) fn minimum_is_not_above_maximum(autoscaling: &Value) -> bool {
    let bound = |field: &str| autoscaling[field].as_i64();
    bound("maxReplicas").is_none_or(|most| bound("minReplicas").is_none_or(|least| least <= most))
}

pub(super) fn value_or_value_from(variable: &Value) -> bool {
    !has(variable, "valueFrom") || variable.get("value").is_none_or(|value| value == "")
}

pub(super) fn one_sub_path(mount: &Value) -> bool {
    !has(mount, "subPath") || !has(mount, "subPathExpr")
}

pub(super) fn mounts_name_volumes(spec: &Value) -> bool {
    items(spec, "volumeMounts")
        .all(|mount| items(spec, "volumes").any(|volume| volume.get("name") == mount.get("name")))
}

pub(super) fn parents_differ(parents: &Value) -> bool {
    let same = |a: &Value, b: &Value| {
        let sections = (a.get("sectionName"), b.get("sectionName"));
        let clash = !matches!(sections, (Some(one), Some(other)) if one != other);
        a.get("name") == b.get("name") && a.get("namespace") == b.get("namespace") && clash
    };
    let parents = parents.as_array().map(Vec::as_slice).unwrap_or_default();
    parents
        .iter()
        .all(|a| parents.iter().filter(|b| same(a, b)).count() == 1)
}

pub(super) fn requests_within_limits(resources: &Value) -> bool {
    let of = |side: &str, key: &str| resources.get(side)?.get(key).and_then(quantity);
    keys(&resources["requests"]).all(|key| match (of("requests", key), of("limits", key)) {
        (Some(request), Some(limit)) => request <= limit,
        _ => true,
    })
}

pub(super) fn no_root_unless_allowed(context: &Value) -> bool {
    context["runAsNonRoot"] != true || context["runAsUser"] != 0
}

/// A count of zero or more, or a percentage.
pub(super) fn count_or_percentage(value: &Value, percentage: &'static str) -> bool {
    match value {
        Value::String(text) => crate::patterns::matches(percentage, text),
        _ => value.as_i64().is_some_and(|count| count >= 0),
    }
}

fn is_zero(value: &Value) -> bool {
    text(value).is_some_and(|text| ["0", "0%", "00%"].contains(&text.as_ref()))
}

pub(super) fn a_pod_can_be_replaced(rollout: &Value) -> bool {
    !is_zero(&rollout["maxSurge"]) || !is_zero(&rollout["maxUnavailable"])
}

pub(super) fn a_release_can_be_tried(rollout: &Value) -> bool {
    !has(rollout, "guard") || !is_zero(&rollout["maxSurge"])
}

pub(super) fn node_port_is_possible(service: &Value) -> bool {
    !has(service, "nodePort") || service["type"] != "ClusterIP"
}

pub(super) fn block_or_selectors(peer: &Value) -> bool {
    let selects = has(peer, "podSelector") || has(peer, "namespaceSelector");
    has(peer, "ipBlock") != selects
}

/// An address range such as `10.0.0.0/8` or `fd00::/8`.
pub(super) fn is_cidr(value: &Value) -> bool {
    let Some((address, bits)) = value.as_str().and_then(|text| text.split_once('/')) else {
        return false;
    };
    // As Go's netip: no sign, no leading zeros.
    let is_plain = bits.bytes().all(|b| b.is_ascii_digit()) && (bits == "0" || !bits.starts_with('0'));
    match (address.parse::<std::net::IpAddr>(), bits.parse::<u8>()) {
        (Ok(address), Ok(bits)) if is_plain => bits <= if address.is_ipv4() { 32 } else { 128 },
        _ => false,
    }
}

fn sets_variable_of(spec: &Value, capability: &str) -> bool {
    let name = spec.get(capability).and_then(|capability| capability.get("env"));
    name.is_some() && items(spec, "env").any(|variable| variable.get("name") == name)
}

pub(super) fn env_leaves_out_the_databases(spec: &Value) -> bool {
    !sets_variable_of(spec, "database")
}

pub(super) fn env_leaves_out_the_caches(spec: &Value) -> bool {
    !sets_variable_of(spec, "cache")
}

pub(super) fn cache_and_database_differ(spec: &Value) -> bool {
    !has(spec, "cache") || !has(spec, "database") || spec["cache"].get("env") != spec["database"].get("env")
}

pub(super) fn is_percentage_between(objective: &Value) -> bool {
    objective
        .as_f64()
        .is_some_and(|percent| percent > 0.0 && percent < 100.0)
}

fn counts(spec: &Value, indicator: &str) -> bool {
    items(spec, "slos").any(|slo| slo.get("indicator").is_some_and(|given| has(given, indicator)))
}

pub(super) fn metrics_are_there_if_counted(spec: &Value) -> bool {
    has(spec, "metrics") || !(counts(spec, "availability") || counts(spec, "latency"))
}

pub(super) fn probe_is_there_if_counted(spec: &Value) -> bool {
    has(spec, "probe") || !counts(spec, "probe")
}

/// The labels that every alert carries already.
const ALERTS_OWN_LABELS: [&str; 4] = ["namespace", "app", "slo", "alertname"];

pub(super) fn alert_labels_are_free(labels: &Value) -> bool {
    keys(labels).all(|key| {
        crate::patterns::matches(crate::patterns::PROMETHEUS_LABEL, key) && !ALERTS_OWN_LABELS.contains(&key)
    })
}

/// The alerts that the operator makes.
const OWN_ALERTS: [&str; 9] = [
    "ErrorBudgetBurnFast",
    "ErrorBudgetBurnSlow",
    "HighCPUUsage",
    "HighMemoryUsage",
    "HighErrorRate",
    "ReplicasUnavailable",
    "MetricsAbsent",
    "DatabaseDown",
    "ProbeFailing",
];

pub(super) fn is_no_alert_of_the_operators(alert: &Value) -> bool {
    alert.as_str().is_none_or(|alert| !OWN_ALERTS.contains(&alert))
}
