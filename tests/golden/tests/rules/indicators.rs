//! The records of each kind of indicator against the truth.

use observedapp_slo::{Histogram, Symptoms, parse_slos, rules_for, spec};

use crate::support::{SCRAPE, Series, UnitTest, app, slo};

const HOUR: u64 = 3600;

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
    UnitTest::live(&rules, 0, &[], series)
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

/// The classic histogram of one more replica, by its version: so many requests a scrape, and its buckets.
fn replica(version: &str, all: f64, buckets: &[(&str, f64)]) -> Vec<Series> {
    let labels = format!(r#"namespace="shop",job="tasks",route="/tasks",version="{version}""#);
    let name = "http_request_duration_seconds";
    let mut series = vec![growing(&format!("{name}_count{{{labels}}}"), all)];
    series.extend(buckets.iter().map(|(le, by)| {
        let name = format!(r#"{name}_bucket{{{labels},le="{le}"}}"#);
        growing(&name, *by)
    }));
    series
}

#[test]
fn a_replica_without_the_thresholds_bucket_is_not_judged() {
    for histogram in [Histogram::Classic, Histogram::Either] {
        let mut series = replica("new", 100.0, &[("0.3", 100.0), ("+Inf", 100.0)]);
        series.extend(replica("old", 100.0, &[("0.5", 100.0), ("+Inf", 100.0)]));
        let mut test = test_of(latency("300ms"), histogram, series);
        for record in [
            "error_ratio:rate5m",
            "error_ratio:rate1h",
            "error_ratio:period",
            "errors:rate5m",
        ] {
            test.near(2 * HOUR, &format!("slo:{record}"), 0.0, 1e-9);
        }
        test.near(2 * HOUR, "slo:events:slot5m", 2000.0, 1e-6);
        test.run();
    }
}

#[test]
fn a_bucket_that_changes_its_spelling_counts_once() {
    let mut series = replica("a", 100.0, &[("+Inf", 100.0)]);
    for (le, lived) in [("1", 0..HOUR), ("1.0", HOUR..3 * HOUR)] {
        let labels = r#"namespace="shop",job="tasks",route="/tasks",version="a""#;
        let name = format!(r#"http_request_duration_seconds_bucket{{{labels},le="{le}"}}"#);
        let mut bucket = growing(&name, 90.0);
        for (k, sample) in bucket.samples.iter_mut().enumerate() {
            *sample = sample.filter(|_| lived.contains(&(k as u64 * SCRAPE)));
        }
        series.push(bucket);
    }
    let mut test = test_of(latency("1s"), Histogram::Either, series);
    test.near(2 * HOUR, "slo:error_ratio:period", 0.1, 1e-3);
    test.run();
}

#[test]
fn native_and_classic_replicas_count_together() {
    // 100 requests a scrape of which 10 are slow, and 10 of which 2 are; one has both forms.
    let mut series = replica("classic", 100.0, &[("0.25", 90.0), ("+Inf", 100.0)]);
    series.extend(replica("both", 10.0, &[("0.25", 8.0), ("+Inf", 10.0)]));
    let mut test = test_of(latency("250ms"), Histogram::Either, series);
    for version in ["native", "both"] {
        let labels = format!(r#"namespace="shop",job="tasks",route="/tasks",version="{version}""#);
        test.native_histogram(
            &format!("http_request_duration_seconds{{{labels}}}"),
            "{{schema:0 sum:0 count:0 buckets:[0 0] offset:-2}}+{{schema:0 sum:3 count:10 buckets:[8 2] offset:-2}}x480",
        );
    }
    test.near(2 * HOUR, "slo:events:rate5m", 120.0 / 15.0, 1e-6);
    for record in ["rate5m", "rate1h", "period"] {
        test.near(2 * HOUR, &format!("slo:error_ratio:{record}"), 14.0 / 120.0, 1e-4);
    }
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
    // The totals of 3,570 seconds are 238 checks.
    let last_hour = 24.0 / 238.0;
    test.near(2 * HOUR, "slo:error_ratio:rate1h", last_hour, 1e-9);
    test.near(2 * HOUR, "slo:error_ratio:period", 0.1, 0.003);
    test.near(2 * HOUR, "slo:events:slot5m", 20.0, 1e-9);
    test.near(2 * HOUR, "slo:errors:slot5m", 2.0, 1e-9);
    test.near(2 * HOUR, "slo:burn_rate:rate1h", last_hour * 100.0, 1e-9);
    test.run();
}
