//! The ticket: slow leaks that no page may fire for, over days of virtual time.

use observedapp_slo::names::alerts::{ERROR_BUDGET_BURN_FAST as PAGE, ERROR_BUDGET_BURN_SLOW as TICKET};
use serde_json::json;

use crate::support::{SLOW, Traffic, UnitTest, rules_without_totals, slo};

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

fn test(objective: &str, window: &str, traffic: &Traffic) -> UnitTest {
    let mut series = traffic.counters();
    series.extend(traffic.totals_and_slots());
    UnitTest::new(
        &rules_without_totals(&[slo(objective, window)]),
        &["-fast", "-slow"],
        SLOW,
        series,
    )
}

#[test]
fn a_leak_of_one_and_a_half_budgets_is_a_ticket_and_never_a_page() {
    // Clean for a day, then 1.5 x: above 1 x over these three days after two.
    let start = DAY;
    let end = 3 * DAY + 2 * HOUR;
    let traffic = Traffic::idle(end)
        .during(0..start, 0.0, 2000.0)
        .during(start..end, 3.0, 1997.0);
    let due = start + 2 * DAY;
    let mut test = test("99.9", "30d", &traffic);
    // Windows that are up to a slot shorter tell it as much sooner, at the most.
    test.is_silent(due - 300 - SLOW, TICKET);
    test.fires(due + SLOW, TICKET);
    test.never_fires(end, PAGE);
    let failed = 100.0 * traffic.recorded_ratio(end, 3 * DAY);
    test.fires_as(
        end,
        TICKET,
        json!({"namespace": "shop", "app": "tasks", "slo": "availability", "severity": "warning"}),
        json!({
            "summary": format!("tasks: {failed:.4}% of availability events fail, more than it can afford"),
            "description": "It burns slowly, but going on like this breaks availability (99.9% over 30d) before its \
                            window ends. Mend it in working hours.",
            "runbook_url": "https://example.com/runbooks/ErrorBudgetBurnSlow.md",
            "dashboard_url": "https://grafana.example.com/d/tasks",
        }),
    );
    test.run();
}

#[test]
fn a_leak_below_the_budget_is_nothing() {
    let traffic = Traffic::idle(4 * DAY).during(0..4 * DAY, 1.9, 1998.1);
    let mut test = test("99.9", "30d", &traffic);
    test.never_fires(4 * DAY, TICKET);
    test.never_fires(4 * DAY, PAGE);
    test.run();
}

#[test]
fn the_ticket_clears_when_the_leak_is_mended() {
    let (start, end) = (DAY, 2 * DAY);
    let traffic = Traffic::idle(3 * DAY)
        .during(0..3 * DAY, 0.0, 1000.0)
        .during(start..end, 4.0, 996.0);
    let mut test = test("99.9", "30d", &traffic);
    test.fires(end, TICKET);
    // The six-hour window of the last pair forgets it down to its threshold after 4.5 hours.
    let forgotten = end + 6 * HOUR * 3 / 4;
    test.fires(forgotten - 300 - SLOW, TICKET);
    test.is_silent(forgotten + 2 * SLOW, TICKET);
    test.run();
}
