//! The expected value of every figure, computed from the counts of the load generator.

use std::time::Instant;

use jiff::Timestamp;

use super::surfaces::{Shown, Surfaces};

const WINDOW: f64 = 86_400.0;
const SLOT: f64 = 300.0;
const MINUTE: f64 = 60.0;
/// Relative, if the last printed digit is finer.
const TOLERANCE: f64 = 0.02;

/// Counts of what happened, from sources other than Prometheus.
#[derive(Debug)]
pub struct Truth {
    /// Requests of the load generator.
    pub events: f64,
    /// Failed requests, as the load generator counted them.
    pub failed: f64,
    /// Requests above the threshold, as the app counts them.
    pub slow: f64,
    /// When the rules were first evaluated, in seconds since the epoch.
    pub rules_since: f64,
    pub last_request: Instant,
}

impl Truth {
    pub fn begin(rules_since: f64) -> Self {
        Self {
            events: 0.0,
            failed: 0.0,
            slow: 0.0,
            rules_since,
            last_request: Instant::now(),
        }
    }
}

/// The expected figures of one objective.
#[derive(Debug)]
struct Slo {
    name: &'static str,
    /// In percent.
    objective: f64,
    /// `None` without events.
    error_ratio: Option<f64>,
    /// Seconds since the rules were first evaluated.
    watched: f64,
    /// The covered part of the window in seconds, in whole slots, as Prometheus has recorded it.
    coverage: Option<f64>,
    alert_fires: bool,
}

impl Slo {
    fn of(name: &'static str, truth: &Truth, seen: &Surfaces) -> Self {
        #[allow(clippy::cast_precision_loss)]
        let now = Timestamp::now().as_millisecond() as f64 / 1000.0;
        let share = |of: f64| (truth.events > 0.0).then(|| of / truth.events);
        let (objective, error_ratio) = match name {
            "availability" => (99.9, share(truth.failed)),
            "latency" => (99.0, share(truth.slow)),
            "ratio" => (99.5, share(truth.failed)),
            // The pod is ready all the time, so every probe succeeds, whatever their number.
            _ => (99.0, Some(0.0)),
        };
        Self {
            name,
            objective,
            error_ratio,
            watched: now - truth.rules_since,
            coverage: seen.coverage.get(name).copied(),
            alert_fires: seen
                .firing
                .iter()
                .any(|alert| alert.get("slo").is_some_and(|slo| slo == name)),
        }
    }

    fn allowed(&self) -> f64 {
        1.0 - self.objective / 100.0
    }

    fn left(&self) -> Option<f64> {
        Some(1.0 - self.error_ratio? * self.coverage? / self.allowed())
    }

    fn burn(&self) -> Option<f64> {
        Some(self.error_ratio? / self.allowed())
    }

    fn exhausts_in(&self) -> Option<f64> {
        let (left, burn) = (self.left()?, self.burn()?);
        let seconds = left * WINDOW / burn;
        (left > 0.0 && burn > 0.0 && seconds < WINDOW).then_some(seconds)
    }

    fn state(&self) -> &'static str {
        match (self.left(), self.burn()) {
            (Some(left), _) if left <= 0.0 => "Violated",
            (Some(_), Some(burn)) if burn > 1.0 || self.alert_fires => "AtRisk",
            (Some(_), _) => "Met",
            (None, _) => "NoData",
        }
    }

    /// Compares a displayed figure of this objective with the expected one.
    fn check(&self, figure: &str, shown: Option<&str>) -> Result<(), String> {
        let left = self.left();
        match figure {
            "name" => same(shown, Some(self.name)),
            "objective" => same(shown, Some(&format!("{}%", self.objective))),
            "window" => same(shown, Some("1d")),
            "state" => same(shown, Some(self.state())),
            "windowCoverage" => {
                let recorded = self.coverage.unwrap_or(0.0) * WINDOW;
                if (recorded - self.watched).abs() > SLOT + MINUTE {
                    return Err(format!(
                        "{recorded:.0} s are recorded, {:.0} s have passed",
                        self.watched
                    ));
                }
                near(shown, Some(self.watched / WINDOW * 100.0), 1.0, 0.0)
            }
            "sli" => {
                let failed = self.error_ratio.map(|ratio| ratio * 100.0);
                near(
                    shown,
                    failed.map(|failed| 100.0 - failed),
                    0.01,
                    failed.unwrap_or(0.0),
                )
            }
            "budgetRemaining" => near(
                shown,
                left.map(|left| left * 100.0),
                1.0,
                left.map_or(0.0, |left| (1.0 - left) * 100.0),
            ),
            "burnRate" => {
                let burn = self.burn();
                near(
                    shown,
                    burn,
                    if burn.is_some_and(|burn| burn >= 100.0) {
                        1.0
                    } else {
                        0.1
                    },
                    burn.unwrap_or(0.0),
                )
            }
            "exhaustsIn" => spans(shown, self.exhausts_in()),
            "observedAt" => match (shown, self.error_ratio) {
                (Some(at), Some(_)) => not_in_the_future(at),
                (None, Some(_)) => Err("it is not displayed".to_owned()),
                (_, None) => Ok(()),
            },
            other => Err(format!("there is no expected value of {other}")),
        }
    }
}

fn same(shown: Option<&str>, wanted: Option<&str>) -> Result<(), String> {
    if shown == wanted {
        Ok(())
    } else {
        Err(format!("{shown:?} is shown, {wanted:?} is true"))
    }
}

/// Equal within one printed digit, or within 2 % of `measured`.
fn near(shown: Option<&str>, wanted: Option<f64>, digit: f64, measured: f64) -> Result<(), String> {
    let number = shown.and_then(|text| text.trim_end_matches(['%', 'x']).parse::<f64>().ok());
    match (number, wanted) {
        (Some(shown), Some(wanted)) if (shown - wanted).abs() <= digit.max(measured * TOLERANCE) + 1e-9 => {
            Ok(())
        }
        (None, None) => Ok(()),
        _ => Err(format!("{shown:?} is shown, {wanted:?} is true")),
    }
}

/// Equal within one unit of the printed duration, or within 2 %.
fn spans(shown: Option<&str>, wanted: Option<f64>) -> Result<(), String> {
    let seconds = shown.and_then(|text| {
        let unit = match text.chars().last()? {
            'd' => 86_400.0,
            'h' => 3_600.0,
            'm' => 60.0,
            _ => return None,
        };
        Some((text[..text.len() - 1].parse::<f64>().ok()? * unit, unit))
    });
    match (seconds, wanted) {
        (Some((shown, unit)), Some(wanted)) if (shown - wanted).abs() <= unit.max(wanted * TOLERANCE) => {
            Ok(())
        }
        (None, None) => Ok(()),
        // At the edge of the window, one of them may be missing.
        (None, Some(wanted)) if wanted > WINDOW * (1.0 - TOLERANCE) => Ok(()),
        _ => Err(format!("{shown:?} is displayed, {wanted:?} seconds are expected")),
    }
}

fn not_in_the_future(at: &str) -> Result<(), String> {
    match at.parse::<Timestamp>() {
        Ok(at) if at <= Timestamp::now() => Ok(()),
        Ok(at) => Err(format!("{at} is in the future")),
        Err(error) => Err(format!("{at}: {error}")),
    }
}

/// Every figure that differs from the expected one, one line each.
pub fn disagreements(seen: &Surfaces, truth: &Truth) -> Vec<String> {
    let slos: Vec<Slo> = ["availability", "latency", "ratio", "probe"]
        .into_iter()
        .filter(|name| seen.slos.iter().any(|slo| slo == name))
        .map(|name| Slo::of(name, truth, seen))
        .collect();
    let least = slos.iter().filter_map(Slo::left).reduce(f64::min);
    let mut wrong = Vec::new();
    for Shown {
        surface,
        slo,
        figure,
        text,
    } in &seen.figures
    {
        let text = text.as_deref();
        let outcome = match (figure.as_str(), slo) {
            ("alerts", _) => same(text, Some(&seen.firing.len().to_string())),
            ("alert", _) => Ok(()),
            (figure, Some(name)) => match slos.iter().find(|slo| slo.name == name) {
                Some(slo) => slo.check(figure, text),
                None => Err(format!("the objective {name} does not exist")),
            },
            (figure, None) => Err(format!("{figure} belongs to no objective")),
        };
        if let Err(why) = outcome {
            wrong.push(format!(
                "  {surface} {} {figure}: {why}",
                slo.as_deref().unwrap_or("")
            ));
        }
    }
    wrong.extend(seen.alert_differences());
    // `worstSLO` must be the objective with the least budget left.
    if let (Some(least), Some(worst)) = (least, &seen.worst) {
        let left = slos.iter().find(|slo| slo.name == worst).and_then(Slo::left);
        if left.is_none_or(|left| left - least > TOLERANCE) {
            wrong.push(format!(
                "  worstSLO: {worst} has {left:?} of its budget left, another {least}"
            ));
        }
    }
    wrong
}
