//! Every record against the truth.

use observedapp_slo::{Rule, names};

use crate::support::{FAST, SCRAPE, Series, Traffic, UnitTest, record, rules, slo};

const MINUTE: u64 = 60;
const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;
const SLOT: u64 = 300;

/// Every slot of the traffic equals the truth, to a share of itself.
fn check_slots(traffic: &Traffic, series: Vec<Series>, may_differ: f64) {
    let mut test = live(series);
    for at in (2 * SLOT..=traffic.seconds()).step_by(SLOT as usize) {
        let (failed, all) = traffic.seen_truth(at - SLOT..at);
        test.near(at, "slo:errors:slot5m", failed, (failed * may_differ).max(1e-6));
        test.near(at, "slo:events:slot5m", all, (all * may_differ).max(1e-6));
    }
    test.run();
}

/// All records, each group at its own interval.
fn live(series: Vec<Series>) -> UnitTest {
    UnitTest::live(&rules(&[slo("99.9", "30d")]), 0, &[], series)
}

#[test]
fn slots_add_up_to_what_happened() {
    let traffic = Traffic::idle(6 * HOUR)
        .during(0..6 * HOUR, 1.0, 99.0)
        .during(2 * HOUR..2 * HOUR + 45, 70.0, 3.0)
        .during(4 * HOUR..4 * HOUR + 15, 500.0, 0.0);
    check_slots(&traffic, traffic.counters(), 1e-9);
}

#[test]
fn slots_survive_idle_times() {
    let traffic =
        Traffic::idle(3 * HOUR)
            .during(0..HOUR, 2.0, 50.0)
            .during(HOUR + 2 * SLOT..3 * HOUR, 2.0, 50.0);
    check_slots(&traffic, traffic.counters(), 1e-9);
}

#[test]
fn slots_survive_resets_and_replicas_that_come_and_go() {
    let traffic = Traffic::idle(4 * HOUR).during(0..4 * HOUR, 4.0, 96.0);
    let mut series = traffic.replica("a", 0..4 * HOUR, 0.5);
    series.extend(traffic.replica("b", 0..2 * HOUR, 0.5));
    series.extend(traffic.replica("c", 2 * HOUR..4 * HOUR, 0.5));
    // The slot of the change extrapolates a replica's first and last scrape by at most one interval.
    check_slots(&traffic, series, 0.06);
}

#[test]
fn slots_survive_a_label_that_changes() {
    let traffic = Traffic::idle(3 * HOUR).during(0..3 * HOUR, 4.0, 96.0);
    let mut series: Vec<Series> = Vec::new();
    for (version, life) in [("1", 0..HOUR), ("2", HOUR..3 * HOUR)] {
        series.extend(traffic.replica("a", life, 1.0).into_iter().map(|series| {
            Series {
                name: series
                    .name
                    .replace("instance=", &format!("version=\"{version}\",instance=")),
                ..series
            }
        }));
    }
    check_slots(&traffic, series, 0.06);
}

#[test]
fn slots_are_zero_failures_while_that_counter_does_not_exist() {
    let traffic = Traffic::idle(2 * HOUR).during(0..2 * HOUR, 0.0, 100.0);
    let only_good = vec![traffic.counters().remove(1)];
    check_slots(&traffic, only_good, 1e-9);
}

#[test]
fn without_traffic_there_is_no_data_and_never_nan() {
    let hour = HOUR;
    let mut exposed = live(Traffic::idle(hour).counters());
    exposed.gives(
        hour,
        &record("slo:events:rate5m"),
        &record("slo:events:rate5m"),
        0.0,
    );
    exposed.gives(
        hour,
        &record("slo:errors:rate5m"),
        &record("slo:errors:rate5m"),
        0.0,
    );
    for name in [
        "rate5m", "rate30m", "rate1h", "rate2h", "rate6h", "rate1d", "rate3d", "period",
    ] {
        exposed.absent(hour, &format!("slo:error_ratio:{name}"));
    }
    exposed.absent(hour, "slo:budget_remaining:ratio");
    exposed.absent(hour, "slo:burn_rate:rate1h");
    exposed.gives(
        hour,
        &record("slo:objective:ratio"),
        &record("slo:objective:ratio"),
        0.999,
    );
    exposed.run();

    let mut unscraped = live(vec![]);
    for name in [
        "events:rate5m",
        "errors:rate5m",
        "events:slot5m",
        "errors:slot5m",
        "error_ratio:period",
    ] {
        unscraped.absent(hour, &format!("slo:{name}"));
    }
    unscraped.run();
}

#[test]
fn a_ratio_is_weighted_by_traffic_after_an_idle_slot() {
    let traffic =
        Traffic::idle(2 * HOUR)
            .during(0..HOUR, 2.0, 198.0)
            .during(HOUR + SLOT..2 * HOUR, 0.0, 50.0);
    let mut test = live(traffic.counters());
    test.absent(HOUR + SLOT, "slo:error_ratio:rate5m");
    for at in [HOUR, HOUR + SLOT, HOUR + 1800, 2 * HOUR] {
        test.near(
            at,
            "slo:error_ratio:rate1h",
            traffic.ratio(at, HOUR - SCRAPE),
            0.01 * 0.01,
        );
        test.near(at, "slo:error_ratio:period", traffic.ratio(at, at), 1e-9);
    }
    test.run();
}

#[test]
fn an_error_series_that_begins_late_keeps_the_clean_time() {
    let traffic =
        Traffic::idle(12 * HOUR)
            .during(0..12 * HOUR, 0.0, 100.0)
            .during(11 * HOUR..12 * HOUR, 5.0, 95.0);
    let mut test = live(traffic.counters_without_failures_before_the_first());
    test.gives(
        10 * HOUR,
        &record("slo:errors:rate5m"),
        &record("slo:errors:rate5m"),
        0.0,
    );
    test.near(10 * HOUR, "slo:error_ratio:rate1h", 0.0, 0.0);
    test.near(12 * HOUR, "slo:error_ratio:rate1h", 0.05, 0.001);
    test.near(
        12 * HOUR,
        "slo:error_ratio:period",
        traffic.ratio(12 * HOUR, 12 * HOUR),
        // The first value of a counter is no growth.
        5.0 / (12.0 * 24_000.0) + 1e-9,
    );
    test.run();
}

#[test]
fn a_quiet_half_day_that_fails_half_its_requests_costs_what_it_cost() {
    // Twelve busy hours, then twelve with one request a quarter of an hour, every other one failed.
    let mut traffic = Traffic::idle(DAY).during(0..12 * HOUR, 0.0, 1500.0);
    for quarter in 0..48 {
        let at = 12 * HOUR + quarter * 900;
        let (failed, good) = if quarter % 2 == 0 { (1.0, 0.0) } else { (0.0, 1.0) };
        traffic = traffic.during(at..at + 15, failed, good);
    }
    let mut test = live(traffic.counters());
    let truth = traffic.ratio(DAY, DAY);
    assert!(truth < 0.0001, "{truth}");
    test.near(DAY, "slo:error_ratio:period", truth, 1e-12);
    test.near(
        DAY,
        "slo:error_ratio:rate1d",
        traffic.recorded_ratio(DAY, DAY),
        1e-9,
    );
    test.run();
}

#[test]
fn two_failed_requests_at_night_alert_nobody() {
    // A busy day, then one request an hour, every other one failed: two or three in any six hours.
    let mut traffic = Traffic::idle(DAY).during(0..12 * HOUR, 0.0, 1500.0);
    for hour in 12..24 {
        let (failed, good) = if hour % 2 == 0 { (1.0, 0.0) } else { (0.0, 1.0) };
        traffic = traffic.during(hour * HOUR..hour * HOUR + 15, failed, good);
    }
    let mut test = UnitTest::new(
        &rules(&[slo("99.9", "30d")]),
        &["-fast", "-slow"],
        FAST,
        traffic.counters(),
    );
    let truth = traffic.recorded_ratio(DAY, 6 * HOUR);
    assert!(truth > 0.3, "{truth}");
    test.near(DAY, "slo:error_ratio:rate6h", truth, 1e-9);
    for alert in ["ErrorBudgetBurnFast", "ErrorBudgetBurnSlow"] {
        test.never_fires(DAY, alert);
    }
    test.run();
}

#[test]
fn the_budget_of_a_new_slo_is_counted_against_its_whole_window() {
    // A total outage of 12 minutes in its first six hours.
    let traffic =
        Traffic::idle(6 * HOUR)
            .during(0..6 * HOUR, 0.0, 100.0)
            .during(HOUR..HOUR + 720, 100.0, 0.0);
    let mut test = live(traffic.counters());
    // Of a slot it is not known when in it the rules began to run.
    for at in [2 * HOUR, 2 * HOUR + 3 * MINUTE, 6 * HOUR] {
        let share = |seconds| seconds as f64 / (30 * DAY) as f64;
        test.near(at, "slo:window_coverage:ratio", share(at), share(SLOT) + 1e-9);
    }
    // 12 of the 43.2 minutes that 99.9 % of 30 days leave.
    test.near(6 * HOUR, "slo:budget_remaining:ratio", 1.0 - 12.0 / 43.2, 0.005);
    test.run();
}

#[test]
fn the_figures_of_a_new_slo_are_right_from_its_second_scrape_on() {
    let traffic =
        Traffic::idle(3 * SLOT)
            .during(0..3 * SLOT, 0.0, 100.0)
            .during(2 * MINUTE..4 * MINUTE, 100.0, 0.0);
    // The first slot is closed after four minutes.
    let mut test = UnitTest::live(&rules(&[slo("99.9", "30d")]), 4 * MINUTE, &[], traffic.counters());
    let share = |seconds: u64| seconds as f64 / (30 * DAY) as f64;
    for at in (FAST..=3 * SLOT).step_by(FAST as usize) {
        let failed = traffic.ratio(at, at);
        test.near(at, "slo:error_ratio:period", failed, 1e-9);
        test.near(at, "slo:window_coverage:ratio", share(at), share(MINUTE) + 1e-9);
        let spent = |seconds| failed * share(seconds) / 0.001;
        test.near(
            at,
            "slo:budget_remaining:ratio",
            1.0 - spent(at),
            spent(MINUTE) + 1e-9,
        );
    }
    test.run();
}

#[test]
fn an_hour_without_prometheus_is_left_out_and_the_rest_is_right() {
    let traffic = Traffic::idle(6 * HOUR)
        .during(0..6 * HOUR, 1.0, 99.0)
        .during(HOUR..2 * HOUR, 10.0, 90.0)
        .unseen(3 * HOUR + SCRAPE..4 * HOUR);
    let down = 3 * HOUR + SCRAPE..4 * HOUR;
    let mut test = UnitTest::live(&rules(&[slo("99.9", "30d")]), 0, &[down], traffic.counters());
    let (failed, all) = traffic.seen_truth(0..6 * HOUR);
    test.near(
        6 * HOUR,
        "slo:error_ratio:period",
        failed / all,
        0.01 * failed / all,
    );
    test.near(6 * HOUR, "slo:error_ratio:rate1h", 0.01, 1e-6);
    test.run();
}

#[test]
fn a_restart_at_a_slots_evaluation_loses_nothing() {
    let restart = HOUR - 30..HOUR + 30;
    let traffic = Traffic::idle(2 * HOUR)
        .during(0..2 * HOUR, 1.0, 99.0)
        .during(HOUR - 45..HOUR + 15, 50.0, 50.0)
        .unseen(HOUR - 30..HOUR + 45);
    let rules = rules(&[slo("99.9", "30d")]);
    let mut test = UnitTest::live(&rules, 0, &[restart], traffic.counters());
    let (failed, all) = traffic.truth(HOUR - SLOT..HOUR + SLOT);
    test.near(HOUR + SLOT, "slo:errors:slot5m", failed, 1e-6);
    test.near(HOUR + SLOT, "slo:events:slot5m", all, 1e-6);
    // Nor is any figure absent or wrong until then.
    for at in (HOUR + MINUTE..HOUR + 3 * SLOT).step_by(MINUTE as usize) {
        test.near(at, "slo:error_ratio:period", traffic.ratio(at, at), 1e-9);
        for record in ["burn_rate:rate1h", "window_coverage:ratio"] {
            test.gives(at, &format!("count(slo:{record})"), "{}", 1.0);
        }
    }
    test.run();
}

#[test]
fn a_spent_budget_never_looks_untouched_after_an_outage_of_prometheus() {
    for outage in [10 * MINUTE, 50 * MINUTE, 3 * HOUR, 26 * HOUR] {
        let back = 4 * HOUR + outage;
        let traffic = Traffic::idle(back + HOUR)
            .during(0..back + HOUR, 0.0, 100.0)
            .during(HOUR..HOUR + 50 * MINUTE, 100.0, 0.0)
            .unseen(4 * HOUR..back + SCRAPE);
        let rules = rules(&[slo("99.9", "30d")]);
        // The slots' group has its turn four minutes later.
        let down = 4 * HOUR..back;
        let mut test = UnitTest::live(
            &rules,
            4 * MINUTE,
            std::slice::from_ref(&down),
            traffic.counters(),
        );
        for at in (back..=back + HOUR).step_by(MINUTE as usize) {
            test.absent(at, "slo:budget_remaining:ratio > 0");
        }
        let (failed, all) = traffic.seen_truth(0..back + HOUR);
        test.near(
            back + HOUR,
            "slo:error_ratio:period",
            failed / all,
            0.05 * failed / all,
        );
        // The slots of the whole window are summed every half an hour, once the first is closed.
        let again = if outage > DAY { 35 * MINUTE } else { SLOT };
        test.gives(back + again, "count(slo:budget_remaining:ratio)", "{}", 1.0);
        test.run();
    }
}

#[test]
fn time_whose_errors_cannot_be_evaluated_is_left_out() {
    let unjudged = 2 * HOUR..4 * HOUR;
    let traffic = Traffic::idle(6 * HOUR).during(0..6 * HOUR, 1.0, 99.0).during(
        2 * HOUR..4 * HOUR - 2 * SLOT,
        50.0,
        50.0,
    );
    let mut rules = rules(&[slo("99.9", "30d")]);
    for rule in rules.groups.iter_mut().flat_map(|group| &mut group.rules) {
        if let Rule::Record(record) = rule
            && record.record == names::ERRORS_TOTAL
        {
            let unjudged = format!("vector(time()) >= {} < {}", unjudged.start, unjudged.end);
            record.expr = format!("({}) unless on () ({unjudged})", record.expr);
        }
    }
    let mut test = UnitTest::live(&rules, 0, &[], traffic.counters());
    test.near(6 * HOUR, "slo:error_ratio:period", 0.01, 1e-4);
    test.run();
}

#[test]
fn every_record_has_the_three_labels_and_no_others() {
    let traffic = Traffic::idle(HOUR).during(0..HOUR, 1.0, 99.0);
    let mut test = live(traffic.counters());
    test.gives(
        HOUR,
        r#"count(count by (namespace, app, slo) ({__name__=~"slo:.*",__name__!="slo:info"}))"#,
        "{}",
        1.0,
    );
    let others = r#"{__name__=~"slo:.*",__name__!="slo:info"}"#;
    // Without these three nothing is left to tell them apart.
    test.gives(
        HOUR,
        &format!("count(count without (namespace, app, slo) ({others}))"),
        "{}",
        1.0,
    );
    test.gives(
        HOUR,
        "slo:info",
        r#"slo:info{app="tasks",kind="availability",namespace="shop",objective="99.9",slo="availability",window="30d"}"#,
        1.0,
    );
    test.run();
}

#[test]
fn changing_the_objective_keeps_what_was_spent() {
    // The records do not carry the objective: the same slots serve the new one.
    let traffic = Traffic::idle(6 * HOUR).during(0..6 * HOUR, 1.0, 99.0);
    let mut test = UnitTest::live(&rules(&[slo("95", "30d")]), 0, &[], traffic.counters());
    test.near(6 * HOUR, "slo:error_ratio:period", 0.01, 1e-9);
    test.near(6 * HOUR, "slo:burn_rate:rate1h", 0.2, 1e-6);
    test.run();
}
