//! The records and alerts of one SLO, in four groups: the page, the figures that people read, the
//! five-minute slots, and the ticket's windows, which are sums of those.

use std::collections::BTreeMap;

use crate::app::App;
use crate::duration::PromDuration;
use crate::indicator::SLOT;
use crate::labels::UserLabels;
use crate::names::{self, alerts, severity};
use crate::promql::Matcher;
use crate::rule::{Alert, Group, Record, Rule};
use crate::slo::Slo;
use crate::template;
use crate::window::{BurnPair, Speed};

const FAST_INTERVAL: PromDuration = PromDuration::from_secs(30);
/// No figure is older than a minute.
const FIGURES_INTERVAL: PromDuration = PromDuration::from_minutes(1);
/// Below the five minutes after which a sample is stale, and not more often than that demands.
const SLOW_INTERVAL: PromDuration = PromDuration::from_minutes(4);
/// For so long what the slots' group has recorded holds: one evaluation may be missed.
const SLOT_HOLDS: PromDuration = PromDuration::from_minutes(15);
/// For so long a running total is carried on where nothing was evaluated. It is longer than
/// `SLOT_HOLDS`: a total that began anew less an older base would be taken for an untouched budget.
const TOTAL_HOLDS: PromDuration = PromDuration::from_hours(1);
/// Up to here every window is read from the raw series, beyond it from the slots.
const LONGEST_RAW: PromDuration = PromDuration::from_hours(1);
const SHORT_RATE: PromDuration = PromDuration::from_minutes(5);
const BURN_RATE: PromDuration = PromDuration::from_hours(1);
/// One evaluation that finds nothing does not resolve and fire again. All else that is kept longer is
/// told too late that it is over.
const KEEP_FAST: PromDuration = FAST_INTERVAL;
const KEEP_SLOW: PromDuration = SLOW_INTERVAL;
/// Every rule here gives one series.
const LIMIT: u32 = 1;

pub(crate) fn groups(app: &App, slo: &Slo) -> [Group; 4] {
    let builder = Builder::new(app, slo);
    [builder.fast(), builder.figures(), builder.slots(), builder.slow()]
}

struct Builder<'a> {
    app: &'a App,
    slo: &'a Slo,
    pairs: [BurnPair; 4],
    labels: BTreeMap<String, String>,
    /// What selects this SLO's own series, in braces.
    own: String,
}

impl<'a> Builder<'a> {
    fn new(app: &'a App, slo: &'a Slo) -> Self {
        let labels = [
            ("namespace", &app.namespace),
            ("app", &app.name),
            ("slo", &slo.name),
        ];
        let own = labels.map(|(label, value)| Matcher::equal(label, value).to_string());
        Self {
            app,
            slo,
            pairs: slo.burn_pairs(),
            labels: labels
                .map(|(label, value)| (label.to_owned(), value.clone()))
                .into(),
            own: format!("{{{}}}", own.join(",")),
        }
    }

    fn fast(&self) -> Group {
        let indicator = &self.slo.indicator;
        let mut rules = vec![
            self.record(names::EVENTS_RATE, indicator.events(SHORT_RATE)),
            self.record(names::ERRORS_RATE, indicator.errors(SHORT_RATE)),
            self.record(
                names::error_ratio(SHORT_RATE),
                format!(
                    "{} / ({} > 0)",
                    self.own(names::ERRORS_RATE),
                    self.own(names::EVENTS_RATE)
                ),
            ),
        ];
        rules.extend(self.ratios(Speed::Fast));
        rules.extend(self.alert(Speed::Fast));
        self.group("fast", FAST_INTERVAL, rules)
    }

    fn figures(&self) -> Group {
        let window = self.slo.window.length();
        let budget = self.slo.objective.budget();
        let [errors, events] = self.totals();
        let so_far = |total, base| format!("({} - {})", self.own(total), self.held(base, SLOT_HOLDS));
        let rules = vec![
            self.record(names::ERRORS_TOTAL, errors),
            self.record(names::EVENTS_TOTAL, events),
            self.record(names::BURN_RATE, self.burn_rate()),
            self.record(
                names::WINDOW_COVERAGE,
                format!(
                    "clamp_max((time() - {}) / {}, 1)",
                    self.held(names::WATCHED_BEGIN, SLOT_HOLDS),
                    window.seconds(),
                ),
            ),
            self.record(
                names::ERROR_RATIO_PERIOD,
                format!(
                    // Less than an event is what is left of a difference of large numbers.
                    "clamp_min({}, 0) / ({} >= 0.5)",
                    so_far(names::ERRORS_TOTAL, names::ERRORS_BASE),
                    so_far(names::EVENTS_TOTAL, names::EVENTS_BASE),
                ),
            ),
            self.record(
                names::BUDGET_REMAINING,
                format!(
                    "1 - {} * {} / {budget}",
                    self.own(names::ERROR_RATIO_PERIOD),
                    self.own(names::WINDOW_COVERAGE)
                ),
            ),
        ];
        self.group("figures", FIGURES_INTERVAL, rules)
    }

    /// The running totals: the one of a minute ago and what came since. After a missed evaluation it is
    /// the one of five minutes ago, or the last before a longer outage, and what came in five minutes.
    fn totals(&self) -> [String; 2] {
        let indicator = &self.slo.indicator;
        let total = |name: &str, lately: String, since: String, first: String| {
            let own = self.own(name);
            format!(
                "last_over_time({own}[{FAST_INTERVAL}] offset {FIGURES_INTERVAL}) + on () group_left () ({lately} or vector(0))\n\
                 or on ()\n\
                 last_over_time({own}[{TOTAL_HOLDS}] offset {SLOT}) + on () group_left () ({since} or vector(0))\n\
                 or on ()\n\
                 {first}"
            )
        };
        let (errors, events) = (indicator.more_errors(SLOT), indicator.more_events(SLOT));
        let errors = total(
            names::ERRORS_TOTAL,
            indicator.more_errors(FIGURES_INTERVAL),
            errors.clone(),
            // Begins with the events, though none has failed.
            format!("({errors} or on () {} * 0)", self.own(names::ERRORS_RATE)),
        );
        let events = total(
            names::EVENTS_TOTAL,
            indicator.more_events(FIGURES_INTERVAL),
            events.clone(),
            events,
        );
        let events = format!(
            "({events})\nand on () {}",
            self.just_recorded(names::ERRORS_TOTAL)
        );
        [errors, events]
    }

    fn slots(&self) -> Group {
        let window = self.slo.window.length();
        // What came since the last slot, however long ago that was.
        let slot = |total: &str, closed: &str| {
            let (total, closed) = (self.own(total), self.held(closed, TOTAL_HOLDS));
            format!("({total} - {closed} >= 0 or {total} - {total} offset {TOTAL_HOLDS} or {total})")
        };
        let events = format!(
            "{} and {}",
            slot(names::EVENTS_TOTAL, names::EVENTS_CLOSED),
            self.just_recorded(names::ERRORS_SLOT),
        );
        let closed = |name: &str, total: &str| {
            let expr = format!(
                "{} and {}",
                self.own(total),
                self.just_recorded(names::EVENTS_SLOT)
            );
            self.record(name, expr)
        };
        // From what is stored, whatever was missed since.
        let base = |name: &str, closed: &str, slot: &str| {
            let expr = format!(
                "{} - sum_over_time({}[{window}])",
                self.own(closed),
                self.own(slot)
            );
            self.record(name, expr)
        };
        let rules = vec![
            self.record(
                names::ERRORS_SLOT,
                slot(names::ERRORS_TOTAL, names::ERRORS_CLOSED),
            ),
            self.record(names::EVENTS_SLOT, events),
            closed(names::ERRORS_CLOSED, names::ERRORS_TOTAL),
            closed(names::EVENTS_CLOSED, names::EVENTS_TOTAL),
            base(names::ERRORS_BASE, names::ERRORS_CLOSED, names::ERRORS_SLOT),
            base(names::EVENTS_BASE, names::EVENTS_CLOSED, names::EVENTS_SLOT),
            self.record(names::SLOTS_MISSED, self.missed_slot()),
            self.record(
                names::WATCHED_BEGIN,
                // There is a slot for all time in which these rules run, and not only while the app has traffic.
                format!(
                    "time() - (count_over_time({slot}[{window}]) + (sum_over_time({}[{window}]) or {slot} * 0)) * {}",
                    self.own(names::SLOTS_MISSED),
                    SLOT.seconds(),
                    slot = self.own(names::EVENTS_SLOT),
                ),
            ),
        ];
        self.group("slots", SLOT, rules)
    }

    /// 1 where the slot before was not recorded, so that this one covers it.
    fn missed_slot(&self) -> String {
        let slot = self.own(names::EVENTS_SLOT);
        let before = |ago: PromDuration| format!("last_over_time({slot}[{FAST_INTERVAL}] offset {ago})");
        format!(
            "({slot} * 0 + 1 and {}) unless {}",
            before(SLOT.plus(SLOT)),
            before(SLOT)
        )
    }

    /// This record where it has been evaluated at this very moment: events must not be counted where their
    /// failures are not.
    fn just_recorded(&self, record: &str) -> String {
        format!("(timestamp({}) == time())", self.own(record))
    }

    fn slow(&self) -> Group {
        let mut rules = vec![
            self.record(
                names::OBJECTIVE,
                format!("vector({})", self.slo.objective.ratio()),
            ),
            self.info(),
        ];
        rules.extend(self.ratios(Speed::Slow));
        rules.extend(self.alert(Speed::Slow));
        self.group("slow", SLOW_INTERVAL, rules)
    }

    fn info(&self) -> Rule {
        let mut labels = self.labels.clone();
        labels.insert("objective".to_owned(), self.slo.objective.to_string());
        labels.insert("window".to_owned(), self.slo.window.to_string());
        labels.insert("kind".to_owned(), self.slo.indicator.kind().to_owned());
        Rule::Record(Record {
            record: names::INFO.to_owned(),
            expr: "vector(1)".to_owned(),
            labels,
        })
    }

    /// One record for each window of the pairs of this speed, but none that the fast ones made already.
    fn ratios(&self, speed: Speed) -> Vec<Rule> {
        let mut made = vec![SHORT_RATE];
        let mut rules = Vec::new();
        for pair in &self.pairs {
            for window in [pair.long, pair.short] {
                if made.contains(&window) {
                    continue;
                }
                made.push(window);
                if pair.speed == speed {
                    rules.push(self.record(names::error_ratio(window), self.error_ratio(window)));
                }
            }
        }
        rules
    }

    fn error_ratio(&self, window: PromDuration) -> String {
        // The fastest page is exact, however long its window: it is the first that a burst can trip.
        if window <= LONGEST_RAW.max(self.pairs[0].long) {
            self.slo.indicator.error_ratio(window)
        } else {
            self.ratio_of_slots(window)
        }
    }

    /// The share of failed events in a window of an alert: slots, and the part of the slot that is still
    /// open at the present rate, so that the window ends now; it is up to a slot shorter, never longer.
    /// Where the last slot was missed, or nothing is scraped, it is what the totals have counted since.
    fn ratio_of_slots(&self, window: PromDuration) -> String {
        let until_now = |slots, rate, total, closed| {
            let (slots, rate, total) = (self.own(slots), self.own(rate), self.own(total));
            let whole = window.minus(SLOT);
            format!(
                "(sum_over_time({slots}[{whole}]) + ({rate} * (time() - timestamp({slots})) or {total} - {}))",
                self.held(closed, TOTAL_HOLDS)
            )
        };
        format!(
            "{} / ({} > 0)",
            until_now(
                names::ERRORS_SLOT,
                names::ERRORS_RATE,
                names::ERRORS_TOTAL,
                names::ERRORS_CLOSED
            ),
            until_now(
                names::EVENTS_SLOT,
                names::EVENTS_RATE,
                names::EVENTS_TOTAL,
                names::EVENTS_CLOSED
            ),
        )
    }

    fn burn_rate(&self) -> String {
        let budget = self.slo.objective.budget();
        if self
            .pairs
            .iter()
            .any(|pair| pair.speed == Speed::Fast && pair.long == BURN_RATE)
        {
            format!("{} / {budget}", self.own(&names::error_ratio(BURN_RATE)))
        } else {
            format!("({}) / {budget}", self.slo.indicator.error_ratio(BURN_RATE))
        }
    }

    fn alert(&self, speed: Speed) -> Option<Rule> {
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

    /// At least `min_failures` failed events within the window: the slots that lie in it entirely, or
    /// the last minutes alone. Both may count too few, by the age of the last slot; never too many.
    fn enough_failures(&self, window: PromDuration) -> Option<String> {
        let at_least = self.slo.alerting.min_failures.checked_sub(1)?;
        let whole_slots = window.minus(SLOT).max(SLOT);
        // `rate` extrapolates what it saw between its first and last sample to the whole range.
        let seen = SHORT_RATE
            .minus(self.slo.indicator.interval())
            .max(PromDuration::from_minutes(1));
        Some(format!(
            "(sum_over_time({}[{whole_slots}]) > {at_least}.5 or {} * {} > {at_least}.5)",
            self.own(names::ERRORS_SLOT),
            self.own(names::ERRORS_RATE),
            seen.seconds(),
        ))
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
            ("description".to_owned(), description),
        ]);
        self.app
            .links
            .annotate(&mut annotations, alert, slo.alerting.runbook_url.as_deref());
        annotations
    }

    fn record(&self, name: impl Into<String>, expr: String) -> Rule {
        Rule::Record(Record {
            record: name.into(),
            expr,
            labels: self.labels.clone(),
        })
    }

    /// This SLO's own series of a record, all of whose names need no quotes.
    fn own(&self, record: &str) -> String {
        [record, &self.own].concat()
    }

    /// The same, the last that was recorded within `span`.
    fn held(&self, record: &str, span: PromDuration) -> String {
        format!("last_over_time({}[{span}])", self.own(record))
    }

    fn group(&self, part: &str, interval: PromDuration, rules: Vec<Rule>) -> Group {
        Group {
            name: format!("slo-{}-{part}", self.slo.name),
            interval,
            limit: LIMIT,
            rules,
        }
    }
}

fn extend(map: &mut BTreeMap<String, String>, own: &UserLabels) {
    map.extend(own.iter().map(|(name, value)| (name.clone(), value.clone())));
}
