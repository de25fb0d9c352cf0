//! What was found of a release, for people.

use crate::comparison::{Comparison, SloComparison};

/// What is wrong with the new pods.
pub fn bad(comparison: &Comparison) -> Option<String> {
    let slo = comparison.bad()?;
    Some(format!("{}: {}", slo.name, shares(slo)))
}

/// The objective that looks worst, in a sentence.
pub fn summary(comparison: &Comparison) -> String {
    match comparison.worst() {
        Some(slo) => format!("{}: {}", slo.name, shares(slo)),
        None => "no objective has figures of its pods".to_owned(),
    }
}

fn shares(slo: &SloComparison) -> String {
    format!(
        "{} of {:.0} failed, and {} of {:.0} of the release before",
        percent(slo.new.failures, slo.new.events),
        slo.new.events,
        percent(slo.old.failures, slo.old.events),
        slo.old.events
    )
}

fn percent(failures: f64, events: f64) -> String {
    if events <= 0.0 {
        return "0%".to_owned();
    }
    let percent = failures / events * 100.0;
    if percent >= 1.0 || percent == 0.0 {
        format!("{percent:.0}%")
    } else {
        format!("{percent:.2}%")
    }
}
