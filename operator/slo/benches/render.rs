//! How many SLOs one core renders a second, beside the floor of writing as many bytes.
//!
//! `cargo bench -p observedapp-slo --bench render`
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::fs;
use std::hint::black_box;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use observedapp_slo::{Symptoms, parse_slos, rules_for, spec};

/// The app and the SLO of the rules' own tests, which use more of it.
#[allow(dead_code)]
#[path = "../../../tests/golden/tests/rules/support/fixture.rs"]
mod fixture;
#[path = "../../../tests/promises.rs"]
mod promises;

const SLOS_AN_APP: usize = 4;
/// What one core renders a second at least.
const PROMISED: f64 = 20_000.0;
const LEAST: Duration = Duration::from_secs(2);

fn specs() -> Vec<spec::Slo> {
    let indicators: [spec::Indicator; SLOS_AN_APP] = [
        spec::Indicator::Availability {
            matchers: r#"route="/tasks""#.to_owned(),
        },
        spec::Indicator::Latency {
            threshold: "300ms".to_owned(),
            matchers: String::new(),
        },
        spec::Indicator::Ratio {
            errors: r#"jobs_failed_total{queue="mail"}"#.to_owned(),
            total: r#"jobs_total{queue="mail"}"#.to_owned(),
        },
        spec::Indicator::Probe {},
    ];
    indicators
        .into_iter()
        .enumerate()
        .map(|(i, indicator)| spec::Slo {
            name: format!("slo-{i}"),
            indicator,
            ..fixture::slo("99.9", "30d")
        })
        .collect()
}

/// The time that this thread has had a core, where the system reports it: what else runs must not count.
fn on_core() -> Option<Duration> {
    let schedstat = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    schedstat
        .split(' ')
        .next()?
        .parse()
        .ok()
        .map(Duration::from_nanos)
}

/// Runs it for a while and says how long one run takes a core.
fn time<T>(mut run: impl FnMut() -> T) -> Duration {
    let (begin, begin_on_core) = (Instant::now(), on_core());
    let mut runs = 0;
    while begin.elapsed() < LEAST {
        black_box(run());
        runs += 1;
    }
    let took = on_core()
        .zip(begin_on_core)
        .and_then(|(end, begin)| end.checked_sub(begin));
    took.unwrap_or_else(|| begin.elapsed()) / runs
}

fn main() -> ExitCode {
    let app = fixture::app();
    let specs = specs();
    let render = || {
        let (slos, problems) = parse_slos(black_box(&specs), &app);
        assert!(problems.is_empty());
        rules_for(&app, &slos, &Symptoms::default(), &[])
    };
    let bytes = serde_json::to_vec(&render()).unwrap();
    let rendering = time(render);
    let with_json = time(|| serde_json::to_vec(&render()).unwrap());
    let floor = time(|| {
        // One allocation for each text of the rules, and their bytes.
        bytes.chunks(120).map(<[u8]>::to_vec).collect::<Vec<_>>()
    });
    let a_second = |took: Duration| SLOS_AN_APP as f64 / took.as_secs_f64();
    println!(
        "SLOs rendered a second, parsing included: {:.0}",
        a_second(rendering)
    );
    println!(
        "                       and written as JSON: {:.0}",
        a_second(with_json)
    );
    println!(
        "times the floor of copying as many texts:   {:.1}",
        rendering.as_secs_f64() / floor.as_secs_f64()
    );
    promises::promise(
        &format!("at least {PROMISED} SLOs a second"),
        a_second(rendering) >= PROMISED,
    );
    promises::outcome()
}
