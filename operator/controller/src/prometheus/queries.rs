//! What Prometheus is asked, once a poll for all apps together.
//!
//! `or`, `and` and `unless` compare labels without the metric's name: of two records of one objective, `or` drops the
//! second. Different records are therefore asked for by one matcher of their names.

use observedapp_slo::names;

/// How many targets of each job answer (`up="1"`), and how many do not.
pub const TARGETS: &str = r#"count_values by (namespace, job) ("up", up)"#;
/// The alerts that fire, and since when each has been active.
pub const ALERTS: &str = r#"{__name__=~"ALERTS|ALERTS_FOR_STATE",alertstate!="pending",app!=""}"#;
/// The groups with a rule that failed in the last three evaluations of the slowest group, which has five minutes; nothing
/// where Prometheus does not scrape itself. Whether the rule still fails is what its health says.
pub const FAILING: &str =
    "sum by (rule_group) (increase(prometheus_rule_evaluation_failures_total[15m])) > 0";

/// The figures of every objective.
pub fn figures() -> String {
    let records = [
        names::ERROR_RATIO_PERIOD,
        names::BUDGET_REMAINING,
        names::BURN_RATE,
        names::WINDOW_COVERAGE,
    ];
    format!(r#"{{__name__=~"{}"}}"#, records.join("|"))
}

/// When the figures were recorded. Once the app had traffic the coverage is recorded at every evaluation, together
/// with the period and the budget; the burn rate may be recorded more often.
pub fn recorded_at() -> String {
    [names::WINDOW_COVERAGE, names::BURN_RATE]
        .map(|record| format!(r#"label_replace(timestamp({record}), "record", "{record}", "", "")"#))
        .join(" or ")
}

/// The objectives that have events, though nothing says which of them failed.
pub fn unmeasurable() -> String {
    format!("{} > 0 unless {}", names::EVENTS_RATE, names::ERRORS_RATE)
}
