//! Every record against the truth.

use crate::support::{SCRAPE, SLOW, Series, Traffic, UnitTest, record, rules, slo};

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;
const SLOT: u64 = 300;

/// Every slot of the traffic equals the truth, to a share of itself.
fn check_slots(traffic: &Traffic, series: Vec<Series>, may_differ: f64) {
    let mut test = UnitTest::new(&rules(&[slo("99.9", "30d")]), &["-slots"], SLOT, series);
    // The first slot has no sample before it to grow from.
    for at in (2 * SLOT..=traffic.seconds()).step_by(SLOT as usize) {
        let (failed, all) = traffic.seen_truth(at - SLOT..at);
        test.near(at, "slo:errors:slot5m", failed, (failed * may_differ).max(1e-6));
        test.near(at, "slo:events:slot5m", all, (all * may_differ).max(1e-6));
    }
    test.run();
}

/// Records that are read often, with the slots as the tests above prove them.
fn frequent(traffic: &Traffic, every: u64) -> UnitTest {
    let mut series = traffic.counters();
    series.extend(traffic.slots());
    UnitTest::new(&rules(&[slo("99.9", "30d")]), &["-fast", "-slow"], every, series)
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
fn slots_are_zero_failures_while_that_counter_is_unborn() {
    let traffic = Traffic::idle(2 * HOUR).during(0..2 * HOUR, 0.0, 100.0);
    let only_good = vec![traffic.counters().remove(1)];
    check_slots(&traffic, only_good, 1e-9);
}

#[test]
fn without_traffic_there_is_no_data_and_never_nan() {
    let hour = HOUR;
    let mut exposed = frequent(&Traffic::idle(hour), SLOW);
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

    let mut unscraped = UnitTest::new(
        &rules(&[slo("99.9", "30d")]),
        &["-fast", "-slots", "-slow"],
        SLOW,
        vec![],
    );
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
    let mut test = frequent(&traffic, 30);
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
fn an_error_series_that_is_born_late_does_not_count_the_clean_time_out() {
    let traffic =
        Traffic::idle(12 * HOUR)
            .during(0..12 * HOUR, 0.0, 100.0)
            .during(11 * HOUR..12 * HOUR, 5.0, 95.0);
    let mut series = traffic.counters_with_unborn_failures();
    series.extend(traffic.slots());
    let mut test = UnitTest::new(&rules(&[slo("99.9", "30d")]), &["-fast", "-slow"], SLOW, series);
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
        1e-9,
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
    let mut test = frequent(&traffic, SLOW);
    let truth = traffic.ratio(DAY, DAY);
    assert!(truth < 0.0001, "{truth}");
    test.near(DAY, "slo:error_ratio:period", truth, 1e-12);
    test.near(DAY, "slo:error_ratio:rate1d", traffic.known_ratio(DAY, DAY), 1e-9);
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
    let mut test = frequent(&traffic, SLOW);
    let truth = traffic.known_ratio(DAY, 6 * HOUR);
    assert!(truth > 0.3, "{truth}");
    test.near(DAY, "slo:error_ratio:rate6h", truth, 1e-9);
    for alert in ["ErrorBudgetBurnFast", "ErrorBudgetBurnSlow"] {
        test.never_fires(DAY, alert);
    }
    test.run();
}

#[test]
fn the_budget_of_a_young_slo_is_counted_against_its_whole_window() {
    // A total outage of 12 minutes in its first six hours.
    let traffic =
        Traffic::idle(6 * HOUR)
            .during(0..6 * HOUR, 0.0, 100.0)
            .during(HOUR..HOUR + 720, 100.0, 0.0);
    let mut test = frequent(&traffic, SLOW);
    // Each evaluation stands for the time until the next.
    let known = |at| (at + SLOW) as f64;
    for at in [SLOW, 2 * HOUR, 6 * HOUR] {
        let share = known(at) / (30 * DAY) as f64;
        test.near(at, "slo:window_coverage:ratio", share, 1e-9);
    }
    // 12 of the 43.2 minutes that 99.9 % of 30 days leave.
    let spent = 12.0 / 43.2 * known(6 * HOUR) / (6 * HOUR) as f64;
    test.near(6 * HOUR, "slo:budget_remaining:ratio", 1.0 - spent, 0.003);
    test.run();
}

#[test]
fn a_brand_new_slo_has_a_figure_before_its_first_slot() {
    let traffic = Traffic::idle(240).during(0..240, 1.0, 99.0);
    let mut test = frequent(&traffic, SLOW);
    test.near(240, "slo:error_ratio:period", 0.01, 1e-3);
    test.near(240, "slo:budget_remaining:ratio", 1.0, 0.01);
    test.run();
}

#[test]
fn an_hour_without_prometheus_is_left_out_and_the_rest_is_right() {
    let traffic = Traffic::idle(6 * HOUR)
        .during(0..6 * HOUR, 1.0, 99.0)
        .during(HOUR..2 * HOUR, 10.0, 90.0)
        .unseen(3 * HOUR + SCRAPE..4 * HOUR);
    let mut test = frequent(&traffic, SLOW);
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
fn every_record_has_the_three_labels_and_no_others() {
    let traffic = Traffic::idle(HOUR).during(0..HOUR, 1.0, 99.0);
    let mut test = frequent(&traffic, SLOW);
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
    let mut series = traffic.counters();
    series.extend(traffic.slots());
    let mut test = UnitTest::new(&rules(&[slo("95", "30d")]), &["-fast", "-slow"], SLOW, series);
    test.near(6 * HOUR, "slo:error_ratio:period", 0.01, 1e-9);
    test.near(6 * HOUR, "slo:burn_rate:rate1h", 0.2, 1e-6);
    test.run();
}

mod indicators {
    use observedapp_slo::{Histogram, Symptoms, parse_slos, rules_for, spec};

    use super::*;
    use crate::support::app;

    fn test_of(indicator: spec::Indicator, histogram: Histogram, series: Vec<Series>) -> UnitTest {
        let mut app = app();
        app.metrics.as_mut().unwrap().histogram = histogram;
        let slo = spec::Slo {
            indicator,
            ..slo("99", "30d")
        };
        let (slos, problems) = parse_slos(&[slo], &app);
        assert_eq!(problems, []);
        let rules = rules_for(&app, &slos, &Symptoms::default(), &[]);
        UnitTest::new(&rules, &["-fast", "-slots", "-slow"], SLOT, series)
    }

    /// A counter that grows by so much at each scrape, for two hours.
    fn growing(name: &str, by: f64) -> Series {
        let samples = (0..=2 * HOUR / SCRAPE)
            .map(|k| Some(1000.0 + k as f64 * by))
            .collect();
        Series {
            name: name.to_owned(),
            samples,
        }
    }

    fn latency(threshold: &str) -> spec::Indicator {
        spec::Indicator::Latency {
            threshold: threshold.to_owned(),
            matchers: r#"route="/tasks""#.to_owned(),
        }
    }

    fn buckets(le: &str) -> Vec<Series> {
        let labels = r#"namespace="shop",job="tasks",route="/tasks""#;
        vec![
            growing(&format!("http_request_duration_seconds_count{{{labels}}}"), 100.0),
            growing(
                &format!(r#"http_request_duration_seconds_bucket{{{labels},le="{le}"}}"#),
                90.0,
            ),
            growing(
                &format!(r#"http_request_duration_seconds_bucket{{{labels},le="+Inf"}}"#),
                100.0,
            ),
        ]
    }

    #[test]
    fn latency_reads_classic_buckets_in_every_spelling() {
        for (threshold, le) in [
            ("300ms", "0.3"),
            ("300ms", "0.30"),
            ("1s", "1"),
            ("1s", "1.0"),
            ("2500ms", "2.5"),
        ] {
            for histogram in [Histogram::Classic, Histogram::Either] {
                let mut test = test_of(latency(threshold), histogram, buckets(le));
                test.near(2 * HOUR, "slo:error_ratio:rate5m", 0.1, 1e-9);
                test.near(2 * HOUR, "slo:error_ratio:rate1h", 0.1, 1e-9);
                test.near(2 * HOUR, "slo:error_ratio:period", 0.1, 1e-9);
                test.near(2 * HOUR, "slo:events:slot5m", 2000.0, 1e-6);
                test.run();
            }
        }
    }

    #[test]
    fn a_threshold_that_is_no_bucket_gives_no_data() {
        let mut test = test_of(latency("300ms"), Histogram::Either, buckets("0.5"));
        test.near(2 * HOUR, "slo:events:rate5m", 100.0 / 15.0, 1e-6);
        test.absent(2 * HOUR, "slo:errors:rate5m");
        test.absent(2 * HOUR, "slo:error_ratio:period");
        test.run();
    }

    #[test]
    fn latency_reads_native_histograms() {
        // Schema 0: powers of two. Of 10 requests a scrape 8 took up to 0.25 s and 2 up to 0.5 s.
        let name = r#"http_request_duration_seconds{namespace="shop",job="tasks",route="/tasks"}"#;
        for (histogram, threshold, truth) in [
            (Histogram::Native, "250ms", 0.2),
            (Histogram::Either, "250ms", 0.2),
            (Histogram::Native, "500ms", 0.0),
        ] {
            let mut test = test_of(latency(threshold), histogram, vec![]);
            test.native_histogram(
                name,
                "{{schema:0 sum:0 count:0 buckets:[0 0] offset:-2}}+{{schema:0 sum:3 count:10 buckets:[8 2] offset:-2}}x480",
            );
            test.near(2 * HOUR, "slo:events:rate5m", 10.0 / 15.0, 1e-6);
            test.near(2 * HOUR, "slo:error_ratio:rate1h", truth, 1e-6);
            test.near(2 * HOUR, "slo:error_ratio:period", truth, 1e-6);
            test.run();
        }
    }

    #[test]
    fn an_idle_native_histogram_is_no_data() {
        let name = r#"http_request_duration_seconds{namespace="shop",job="tasks",route="/tasks"}"#;
        let mut test = test_of(latency("250ms"), Histogram::Either, vec![]);
        test.native_histogram(name, "{{schema:0 sum:3 count:10 buckets:[8 2] offset:-2}}x480");
        test.near(2 * HOUR, "slo:errors:rate5m", 0.0, 0.0);
        test.absent(2 * HOUR, "slo:error_ratio:rate5m");
        test.absent(2 * HOUR, "slo:error_ratio:period");
        test.run();
    }

    #[test]
    fn a_ratio_reads_the_users_counters_in_the_apps_namespace() {
        let indicator = spec::Indicator::Ratio {
            errors: r#"jobs_failed_total{queue="mail"}"#.to_owned(),
            total: r#"{"jobs.total","queue"="mail"}"#.to_owned(),
        };
        let series = vec![
            growing(r#"jobs_failed_total{namespace="shop",queue="mail"}"#, 1.0),
            growing(r#"jobs_failed_total{namespace="other",queue="mail"}"#, 50.0),
            growing(r#"{"jobs.total",namespace="shop",queue="mail"}"#, 50.0),
        ];
        let mut test = test_of(indicator, Histogram::Either, series);
        test.near(2 * HOUR, "slo:error_ratio:rate1h", 0.02, 1e-9);
        test.near(2 * HOUR, "slo:error_ratio:period", 0.02, 1e-9);
        test.run();
    }

    #[test]
    fn a_probe_counts_its_checks() {
        let checks = (0..=2 * HOUR / SCRAPE)
            .map(|k| Some(if k % 10 == 0 { 0.0 } else { 1.0 }))
            .collect();
        let name = r#"probe_success{namespace="shop",job="tasks-probe",instance="http://tasks"}"#.to_owned();
        let mut test = test_of(
            spec::Indicator::Probe {},
            Histogram::Either,
            vec![Series {
                name,
                samples: checks,
            }],
        );
        test.near(2 * HOUR, "slo:error_ratio:rate5m", 0.1, 1e-9);
        test.near(2 * HOUR, "slo:error_ratio:rate1h", 0.1, 1e-9);
        test.near(2 * HOUR, "slo:error_ratio:period", 0.1, 0.003);
        test.near(2 * HOUR, "slo:events:slot5m", 20.0, 1e-9);
        test.near(2 * HOUR, "slo:errors:slot5m", 2.0, 1e-9);
        test.near(2 * HOUR, "slo:burn_rate:rate1h", 10.0, 1e-9);
        test.run();
    }
}
