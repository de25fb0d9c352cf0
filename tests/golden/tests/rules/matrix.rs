//! Every objective with every window: a total outage pages when the arithmetic says so, and the rules
//! are silent until then.

use observedapp_slo::names::alerts::ERROR_BUDGET_BURN_FAST as PAGE;
use observedapp_slo::{App, BurnPair, PromDuration, Speed, parse_slos};

use crate::support::{FAST, Traffic, UnitTest, app, rules_without_totals, slo};

const HOUR: u64 = 3600;
const OBJECTIVES: [&str; 8] = ["50", "90", "95", "99", "99.5", "99.9", "99.99", "99.999"];
const WINDOWS: [&str; 5] = ["1d", "7d", "28d", "30d", "90d"];
const START: u64 = 4 * HOUR;

fn seconds(duration: PromDuration) -> u64 {
    duration.millis() / 1000
}

fn pairs(app: &App, objective: &str, window: &str) -> Vec<BurnPair> {
    let (slos, _) = parse_slos(&[slo(objective, window)], app);
    slos[0]
        .burn_pairs()
        .into_iter()
        .filter(|pair| pair.speed == Speed::Fast)
        .collect()
}

/// When the first pair has both its windows above its threshold, from the events alone.
fn detection(traffic: &Traffic, pairs: &[BurnPair]) -> u64 {
    let trips = |pair: &BurnPair, at| {
        [pair.long, pair.short]
            .iter()
            .all(|w| traffic.ratio(at, seconds(*w)) > pair.threshold.as_f64())
    };
    (START..traffic.seconds())
        .step_by(FAST as usize)
        .find(|at| pairs.iter().any(|pair| trips(pair, *at)))
        .expect("a total outage trips a pair")
}

#[test]
fn a_total_outage_pages_at_the_computed_minute_whatever_the_objective_and_window() {
    let app = app();
    for window in WINDOWS {
        for objective in OBJECTIVES {
            let traffic =
                Traffic::idle(8 * HOUR)
                    .during(0..START, 0.0, 300.0)
                    .during(START..8 * HOUR, 300.0, 0.0);
            let detected = detection(&traffic, &pairs(&app, objective, window));
            let mut series = traffic.counters();
            series.extend(traffic.totals_and_slots());
            let rules = rules_without_totals(&[slo(objective, window)]);
            let mut test = UnitTest::new(&rules, &["-fast"], FAST, series);
            test.is_silent(START, PAGE);
            test.is_silent(START.max(detected - 2 * FAST), PAGE);
            test.fires(detected + 2 * FAST, PAGE);
            test.run();
        }
    }
}
