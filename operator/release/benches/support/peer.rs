//! The test that people use: two shares are compared once, after a number of requests that was fixed beforehand. Here
//! it is looked at after each span, as a release is that must be stopped early.

use observedapp_release::comparison::SloCounts;

/// Whether the new pods ever fail more than the old ones at this level, and more than allowed.
pub fn is_bad(slo: &SloCounts, level: f64) -> bool {
    let [mut new, mut failed, mut old, mut old_failed] = [0.0; 4];
    slo.intervals.iter().any(|interval| {
        new += interval.new.events;
        failed += interval.new.failures;
        old += interval.old.events;
        old_failed += interval.old.failures;
        let pooled = (failed + old_failed) / (new + old);
        let deviation = (pooled * (1.0 - pooled) * (1.0 / new + 1.0 / old)).sqrt();
        let z = (failed / new - old_failed / old) / deviation;
        z > 0.0 && tail(z) < level && failed / new > slo.budget
    })
}

/// The chance that a standard normal variable is larger: Abramowitz and Stegun, 26.2.17.
fn tail(z: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.231_641_9 * z);
    let series = [
        0.319_381_530,
        -0.356_563_782,
        1.781_477_937,
        -1.821_255_978,
        1.330_274_429,
    ];
    let sum = series.iter().rev().fold(0.0, |sum, factor| (sum + factor) * t);
    (-z * z / 2.0).exp() / std::f64::consts::TAU.sqrt() * sum
}
