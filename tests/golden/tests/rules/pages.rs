//! The page: it fires when it must, at the computed minute, and stays silent when it must.

use observedapp_slo::names::alerts::ERROR_BUDGET_BURN_FAST as PAGE;
use observedapp_slo::spec;
use serde_json::json;

use crate::support::{FAST, Series, Traffic, UnitTest, app, rules, rules_of, slo};

const HOUR: u64 = 3600;

fn test(slo: spec::Slo, traffic: &Traffic) -> UnitTest {
    UnitTest::new(&rules(&[slo]), &["-fast"], FAST, traffic.counters())
}

/// The second at which both windows of the fastest pair are above its threshold, from the events alone.
fn detection(traffic: &Traffic, from: u64, threshold: f64) -> u64 {
    (from..=traffic.seconds())
        .step_by(FAST as usize)
        .find(|at| traffic.ratio(*at, HOUR) > threshold && traffic.ratio(*at, 300) > threshold)
        .expect("the traffic burns fast enough")
}

#[test]
fn a_short_total_outage_pages_at_the_computed_minute_and_clears() {
    let start = 6 * HOUR;
    let end = start + 120;
    let traffic = Traffic::idle(8 * HOUR)
        .during(0..8 * HOUR, 0.0, 150.0)
        .during(start..end, 150.0, 0.0);
    // 1.44 % of an hour is 52 seconds.
    let detected = detection(&traffic, start, 0.0144);
    assert!(
        (start + 30..=start + 90).contains(&detected),
        "{}",
        detected - start
    );
    let mut test = test(slo("99.9", "30d"), &traffic);
    test.is_silent(detected - 2 * FAST, PAGE);
    test.fires(detected + FAST, PAGE);
    test.fires(end, PAGE);
    // The five-minute window forgets within five minutes; the alert is kept for one evaluation more.
    test.is_silent(end + 5 * 60 + 2 * FAST, PAGE);
    test.is_silent(8 * HOUR, PAGE);
    test.run();
}

#[test]
fn a_longer_outage_clears_with_the_second_pair() {
    // Twenty minutes are 5.6 % of six hours: the half-hour window decides when it is over.
    let (start, end) = (6 * HOUR, 6 * HOUR + 1200);
    let traffic = Traffic::idle(8 * HOUR)
        .during(0..8 * HOUR, 0.0, 150.0)
        .during(start..end, 150.0, 0.0);
    let mut test = test(slo("99.9", "30d"), &traffic);
    test.fires(end + 29 * 60, PAGE);
    test.is_silent(end + 30 * 60 + 2 * FAST, PAGE);
    test.run();
}

#[test]
fn the_page_says_what_users_feel_and_where_to_go() {
    let start = 2 * HOUR;
    let traffic = Traffic::idle(3 * HOUR)
        .during(0..start, 0.0, 100.0)
        .during(start..3 * HOUR, 50.0, 50.0);
    let mut slo = slo("99.9", "30d");
    slo.description = "Requests {{ succeed }}.".to_owned();
    slo.alerting.labels.insert("team".to_owned(), "shop".to_owned());
    let mut test = test(slo, &traffic);
    test.fires_as(
        3 * HOUR,
        PAGE,
        json!({"namespace": "shop", "app": "tasks", "slo": "availability", "severity": "critical", "team": "shop"}),
        json!({
            "summary": "tasks: 50% of availability events fail, and users feel it now",
            "description": "Requests {{ succeed }}. At this rate the error budget of availability (99.9% over 30d) is gone \
                            within days or hours. 50% failed in the longer of the two windows that tripped.",
            "runbook_url": "https://example.com/runbooks/ErrorBudgetBurnFast.md",
            "dashboard_url": "https://grafana.example.com/d/tasks",
        }),
    );
    test.run();
}

#[test]
fn the_page_names_the_release_that_began_within_the_day() {
    let start = 2 * HOUR;
    let traffic = Traffic::idle(3 * HOUR)
        .during(0..start, 0.0, 100.0)
        .during(start..3 * HOUR, 50.0, 50.0);
    let mut guarded = app();
    guarded.links.releases = true;
    let rules = rules_of(&guarded, &[slo("99.9", "30d")]);
    // promtool's time begins with 1970: a release of a negative second is one of the days before.
    for (began, said) in [
        (Some(start as f64 - 240.0), " Release 7 began 1h 4m 0s ago."),
        (Some(-90_000.0), ""),
        (None, ""),
    ] {
        let mut series = traffic.counters();
        series.extend(began.map(|began| {
            let name =
                r#"observedapp_release_began_timestamp_seconds{namespace="shop",app="tasks",release="7"}"#;
            Series::constant(name, began, 3 * HOUR)
        }));
        let mut test = UnitTest::new(&rules, &["-fast"], FAST, series);
        test.fires_as(
            3 * HOUR,
            PAGE,
            json!({"namespace": "shop", "app": "tasks", "slo": "availability", "severity": "critical"}),
            json!({
                "summary": "tasks: 50% of availability events fail, and users feel it now",
                "description": format!(
                    "At this rate the error budget of availability (99.9% over 30d) is gone within days or hours. 50% \
                     failed in the longer of the two windows that tripped.{said}"
                ),
                "runbook_url": "https://example.com/runbooks/ErrorBudgetBurnFast.md",
                "dashboard_url": "https://grafana.example.com/d/tasks",
            }),
        );
        test.run();
    }
}

#[test]
fn a_burn_below_the_factors_never_pages() {
    // 5 x the budget, for a day: a ticket, not a page.
    let traffic = Traffic::idle(24 * HOUR).during(0..24 * HOUR, 5.0, 995.0);
    let mut test = test(slo("99.9", "30d"), &traffic);
    test.never_fires(24 * HOUR, PAGE);
    test.near(24 * HOUR, "slo:error_ratio:rate1h", 0.005, 1e-5);
    test.run();
}

/// Ten times the budget from hour 12 on: above six times over six hours after 3.6 hours.
fn ten_times_the_budget() -> (u64, Traffic) {
    let start = 12 * HOUR;
    let traffic =
        Traffic::idle(18 * HOUR)
            .during(0..start, 0.0, 1000.0)
            .during(start..18 * HOUR, 10.0, 990.0);
    (start, traffic)
}

#[test]
fn six_times_the_budget_pages_by_the_second_pair() {
    let (start, traffic) = ten_times_the_budget();
    let mut moments = (start..traffic.seconds()).step_by(FAST as usize);
    let due = moments
        .find(|at| traffic.recorded_ratio(*at, 6 * HOUR) > 0.006)
        .unwrap();
    let mut test = test(slo("99.9", "30d"), &traffic);
    test.is_silent(due - FAST, PAGE);
    test.fires(due, PAGE);
    test.run();
}

#[test]
fn the_long_window_of_a_page_is_right_at_every_evaluation() {
    let (start, traffic) = ten_times_the_budget();
    let mut test = test(slo("99.9", "30d"), &traffic);
    for at in (start + HOUR..=start + HOUR + 600).step_by(FAST as usize) {
        let truth = traffic.recorded_ratio(at, 6 * HOUR);
        test.near(at, "slo:error_ratio:rate6h", truth, 1e-9);
    }
    test.run();
}

#[test]
fn few_failures_never_page_however_large_their_share() {
    // A request every five minutes, all of the last hour's failed: four at a time are too few.
    let mut traffic = Traffic::idle(6 * HOUR);
    for k in 0..4 {
        let at = 3 * HOUR + k * 900;
        traffic = traffic.during(at..at + 15, 1.0, 0.0);
    }
    let mut test = test(slo("99.9", "30d"), &traffic);
    test.never_fires(6 * HOUR, PAGE);
    test.run();
}

#[test]
fn enough_failures_page_at_low_traffic() {
    // One request a minute, all failed from hour 3 on: the fifth failure is seen at minute five.
    let mut traffic = Traffic::idle(4 * HOUR);
    for minute in 0..240 {
        let at = minute * 60;
        let (failed, good) = if at >= 3 * HOUR { (1.0, 0.0) } else { (0.0, 1.0) };
        traffic = traffic.during(at..at + 15, failed, good);
    }
    let mut test = test(slo("99.9", "30d"), &traffic);
    test.is_silent(3 * HOUR + 3 * 60, PAGE);
    test.fires(3 * HOUR + 11 * 60, PAGE);
    test.run();
}

#[test]
fn min_failures_can_be_raised_and_dropped() {
    let traffic =
        Traffic::idle(3 * HOUR)
            .during(0..3 * HOUR, 0.0, 1.0)
            .during(2 * HOUR..2 * HOUR + 60, 5.0, 0.0);
    for (min_failures, pages) in [(0, true), (20, true), (30, false)] {
        let mut slo = slo("99.9", "30d");
        slo.alerting.min_failures = Some(min_failures);
        let mut test = test(slo, &traffic);
        if pages {
            test.fires(2 * HOUR + 300, PAGE);
        } else {
            test.never_fires(3 * HOUR, PAGE);
        }
        test.run();
    }
}

#[test]
fn a_page_that_is_switched_off_is_not_made() {
    let traffic = Traffic::idle(2 * HOUR).during(0..2 * HOUR, 100.0, 0.0);
    let mut slo = slo("99.9", "30d");
    slo.alerting.page.enabled = false;
    let mut test = test(slo, &traffic);
    test.never_fires(2 * HOUR, PAGE);
    test.gives(2 * HOUR, "count(slo:error_ratio:rate1h)", "{}", 1.0);
    test.run();
}

#[test]
fn prometheus_down_for_an_hour_neither_pages_nor_hides_a_burn() {
    // Down from hour 3 to 4; an outage begins at 4:30.
    let start = 4 * HOUR + 1800;
    let traffic = Traffic::idle(6 * HOUR)
        .during(0..6 * HOUR, 0.0, 100.0)
        .during(start..6 * HOUR, 100.0, 0.0)
        .unseen(3 * HOUR..4 * HOUR);
    let mut test = test(slo("99.9", "30d"), &traffic);
    test.is_silent(start, PAGE);
    test.fires(start + 120, PAGE);
    test.run();
}

#[test]
fn a_rollout_that_resets_every_counter_does_not_page() {
    let reset = 2 * HOUR;
    let traffic = Traffic::idle(4 * HOUR).during(0..4 * HOUR, 0.0, 100.0);
    let mut series = traffic.replica("old", 0..reset, 1.0);
    series.extend(traffic.replica("new", reset..4 * HOUR, 1.0));
    let mut test = UnitTest::new(&rules(&[slo("99.9", "30d")]), &["-fast"], FAST, series);
    test.never_fires(4 * HOUR, PAGE);
    test.near(4 * HOUR, "slo:error_ratio:rate1h", 0.0, 0.0);
    test.run();
}
