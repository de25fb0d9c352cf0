//! Every record, alert and label name, once: they are promises.

use crate::duration::PromDuration;

/// Failed events a second over five minutes; 0, not absent, while there are events.
pub const ERRORS_RATE: &str = "slo:errors:rate5m";
/// All events a second over five minutes.
pub const EVENTS_RATE: &str = "slo:events:rate5m";
/// All failed events since five minutes before these rules began to run.
pub const ERRORS_TOTAL: &str = "slo:errors:total";
/// All events since then of which it is known whether they failed.
pub const EVENTS_TOTAL: &str = "slo:events:total";
/// `slo:errors:total` at the end of the last slot.
pub const ERRORS_CLOSED: &str = "slo:errors:closed";
/// `slo:events:total` at the end of the last slot.
pub const EVENTS_CLOSED: &str = "slo:events:closed";
/// `slo:errors:total` where the SLO's window begins.
pub const ERRORS_BASE: &str = "slo:errors:base";
/// `slo:events:total` where the SLO's window begins.
pub const EVENTS_BASE: &str = "slo:events:base";
/// 1 with each slot that covers a missed one before it.
pub const SLOTS_MISSED: &str = "slo:slots:missed";
/// Seconds since 1970: the present less the part of the SLO's window that these rules have watched.
pub const WATCHED_BEGIN: &str = "slo:watched:begin";
/// Failed events of one five-minute slot, recorded every five minutes: add them up, never average them.
pub const ERRORS_SLOT: &str = "slo:errors:slot5m";
/// All events of one five-minute slot.
pub const EVENTS_SLOT: &str = "slo:events:slot5m";
/// Share of failed events over the SLO's own window.
pub const ERROR_RATIO_PERIOD: &str = "slo:error_ratio:period";
/// The objective as a ratio: 0.999.
pub const OBJECTIVE: &str = "slo:objective:ratio";
/// 1 untouched, 0 spent, negative overspent.
pub const BUDGET_REMAINING: &str = "slo:budget_remaining:ratio";
/// How many times faster than sustainable the budget burns now.
pub const BURN_RATE: &str = "slo:burn_rate:rate1h";
/// Share of the SLO's window that these rules have watched.
pub const WINDOW_COVERAGE: &str = "slo:window_coverage:ratio";
/// 1, with `objective`, `window` and `kind`.
pub const INFO: &str = "slo:info";
/// 1, with `namespace`, `app` and `hash`: proves that these very rules are loaded.
pub const RULES_INFO: &str = "observedapp:rules:info";

/// The record of the share of failed events over one alert window: `slo:error_ratio:rate1h`.
pub fn error_ratio(window: PromDuration) -> String {
    format!("slo:error_ratio:rate{window}")
}

/// The operator's own metric that knows how many replicas are wanted and ready.
pub const APP_REPLICAS: &str = "observedapp_app_replicas";
/// The operator's own metric of an app's conditions: 1 for the `status` that each `condition` has.
pub const APP_CONDITION: &str = "observedapp_app_condition";
/// The operator's own metric of the release that an app's spec asks for: 1, with `release` and `image`.
pub const RELEASE_INFO: &str = "observedapp_release_info";
/// The operator's own metric of when the spec asked for it, in seconds since 1970, with `release`.
pub const RELEASE_BEGAN: &str = "observedapp_release_began_timestamp_seconds";

/// Values of the label `status` of [`APP_CONDITION`], in lower case as kube-state-metrics writes them.
pub mod condition_status {
    pub const TRUE: &str = "true";
    pub const FALSE: &str = "false";
    pub const UNKNOWN: &str = "unknown";
}

/// Labels that belong to the engine: no user may set them.
pub const RESERVED_LABELS: [&str; 3] = ["namespace", "app", "slo"];

/// The alerts, one runbook page each.
pub mod alerts {
    pub const ERROR_BUDGET_BURN_FAST: &str = "ErrorBudgetBurnFast";
    pub const ERROR_BUDGET_BURN_SLOW: &str = "ErrorBudgetBurnSlow";
    pub const HIGH_CPU_USAGE: &str = "HighCPUUsage";
    pub const HIGH_MEMORY_USAGE: &str = "HighMemoryUsage";
    pub const HIGH_ERROR_RATE: &str = "HighErrorRate";
    pub const REPLICAS_UNAVAILABLE: &str = "ReplicasUnavailable";
    pub const METRICS_ABSENT: &str = "MetricsAbsent";
    pub const DATABASE_DOWN: &str = "DatabaseDown";
    pub const PROBE_FAILING: &str = "ProbeFailing";

    pub const ALL: [&str; 9] = [
        ERROR_BUDGET_BURN_FAST,
        ERROR_BUDGET_BURN_SLOW,
        HIGH_CPU_USAGE,
        HIGH_MEMORY_USAGE,
        HIGH_ERROR_RATE,
        REPLICAS_UNAVAILABLE,
        METRICS_ABSENT,
        DATABASE_DOWN,
        PROBE_FAILING,
    ];
}

/// Severities as kube-prometheus has them, so that everybody's routes work.
pub mod severity {
    pub const CRITICAL: &str = "critical";
    pub const WARNING: &str = "warning";
}
