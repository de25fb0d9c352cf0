//! The page and the ticket of one SLO.

use std::collections::BTreeMap;

use super::{Builder, FAST_INTERVAL, SLOW_INTERVAL};
use crate::duration::PromDuration;
use crate::labels::UserLabels;
use crate::names::{self, alerts, severity};
use crate::rule::{Alert, Rule};
use crate::template;
use crate::window::{BurnPair, Speed};

/// One evaluation that finds nothing does not resolve an alert and fire it again. Whatever is kept longer
/// resolves later than it ends.
const KEEP_FAST: PromDuration = FAST_INTERVAL;
const KEEP_SLOW: PromDuration = SLOW_INTERVAL;

impl Builder<'_> {
    pub(super) fn alert(&self, speed: Speed) -> Option<Rule> {
        let slo = self.slo;
        let (alert, severity, keep, own) = match speed {
            Speed::Fast => (
                alerts::ERROR_BUDGET_BURN_FAST,
                severity::CRITICAL,
                KEEP_FAST,
                &slo.alerting.page,
            ),
            Speed::Slow => (
                alerts::ERROR_BUDGET_BURN_SLOW,
                severity::WARNING,
                KEEP_SLOW,
                &slo.alerting.ticket,
            ),
        };
        let own = own.as_ref()?;
        let pairs: Vec<String> = self
            .pairs
            .iter()
            .filter(|pair| pair.speed == speed)
            .map(|pair| self.condition(pair))
            .collect();
        let mut labels: BTreeMap<String, String> = [("severity".to_owned(), severity.to_owned())].into();
        extend(&mut labels, &slo.alerting.labels);
        extend(&mut labels, own);
        labels.extend(self.labels.clone());
        let mut annotations = self.annotations(alert, speed);
        extend(&mut annotations, &slo.alerting.annotations);
        Some(Rule::Alert(Alert {
            alert: alert.to_owned(),
            expr: pairs.join("\nor\n"),
            for_: None,
            keep_firing_for: Some(keep),
            labels,
            annotations,
        }))
    }

    /// All operands carry the same labels, so that `and` matches them as they are.
    fn condition(&self, pair: &BurnPair) -> String {
        let over = |window| format!("{} > {}", self.own(&names::error_ratio(window)), pair.threshold);
        let enough = self
            .enough_failures(pair.long)
            .map(|enough| format!(" and {enough}"))
            .unwrap_or_default();
        format!("({} and {}{enough})", over(pair.long), over(pair.short))
    }

    /// At least `min_failures` failed events within the window.
    fn enough_failures(&self, window: PromDuration) -> Option<String> {
        let at_least = self.slo.alerting.min_failures.checked_sub(1)?;
        Some(format!("{} > {at_least}.5", self.failures(window)))
    }

    fn annotations(&self, alert: &str, speed: Speed) -> BTreeMap<String, String> {
        let slo = self.slo;
        let (app, name) = (&self.app.name, &slo.name);
        let promise = format!("{}% over {}", slo.objective, slo.window);
        let (summary, description) = match speed {
            Speed::Fast => (
                format!(
                    "{app}: {{{{ $value | humanizePercentage }}}} of {name} events fail, and users feel it now"
                ),
                format!(
                    "At this rate the error budget of {name} ({promise}) is gone within days or hours. \
                     {{{{ $value | humanizePercentage }}}} failed in the longer of the two windows that tripped."
                ),
            ),
            Speed::Slow => (
                format!(
                    "{app}: {{{{ $value | humanizePercentage }}}} of {name} events fail, more than it can afford"
                ),
                format!(
                    "It burns slowly, but going on like this breaks {name} ({promise}) before its \
                     window ends. Mend it in working hours."
                ),
            ),
        };
        let description = if slo.description.is_empty() {
            description
        } else {
            format!("{} {description}", template::literal(&slo.description))
        };
        let mut annotations = BTreeMap::from([
            ("summary".to_owned(), summary),
            ("description".to_owned(), description + &self.app.newest_release()),
        ]);
        self.app
            .links
            .annotate(&mut annotations, alert, slo.alerting.runbook_url.as_deref());
        annotations
    }
}

fn extend(map: &mut BTreeMap<String, String>, own: &UserLabels) {
    map.extend(own.iter().map(|(name, value)| (name.clone(), value.clone())));
}
