//! The records and alerts of one SLO, in four groups: the figures that people read with the page, the
//! five-minute slots, what depends on the whole window, and the ticket.

mod alert;
mod totals;

use std::collections::BTreeMap;

use crate::app::App;
use crate::duration::PromDuration;
use crate::names;
use crate::promql::Matcher;
use crate::rule::{Group, Record, Rule};
use crate::slo::{Indicator, Slo};
use crate::window::{BurnPair, Speed};

/// With the operator's poll every 15 s and a scrape every 15 s no figure is older than a minute.
const FAST_INTERVAL: PromDuration = PromDuration::from_secs(30);
/// Below the five minutes after which a sample is stale, and not more often than that demands.
const SLOW_INTERVAL: PromDuration = PromDuration::from_minutes(4);
const SLOT: PromDuration = PromDuration::from_minutes(5);
/// The longest window of an alert that is read from the running totals, beyond it slots are cheaper.
const LONGEST_OF_TOTALS: PromDuration = PromDuration::from_hours(6);
const SHORT_RATE: PromDuration = PromDuration::from_minutes(5);
const BURN_RATE: PromDuration = PromDuration::from_hours(1);
/// Every rule here gives one series.
const LIMIT: u32 = 1;

pub(crate) fn groups(app: &App, slo: &Slo) -> [Group; 4] {
    let builder = Builder::new(app, slo);
    [builder.fast(), builder.slots(), builder.window(), builder.slow()]
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
        let budget = self.slo.objective.budget();
        let [errors_total, events_total] = self.totals();
        let mut rules = vec![
            self.record(names::EVENTS_RATE, indicator.events_rate(SHORT_RATE)),
            self.record(names::ERRORS_RATE, self.errors_rate()),
            self.record(names::ERRORS_TOTAL, errors_total),
            self.record(names::EVENTS_TOTAL, events_total),
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
        rules.extend([
            self.record(names::BURN_RATE, self.burn_rate()),
            self.record(names::WINDOW_COVERAGE, self.coverage()),
            self.record(names::ERROR_RATIO_PERIOD, self.period()),
            self.record(
                names::BUDGET_REMAINING,
                format!(
                    "1 - {} * {} / {budget}",
                    self.own(names::ERROR_RATIO_PERIOD),
                    self.own(names::WINDOW_COVERAGE)
                ),
            ),
        ]);
        rules.extend(self.alert(Speed::Fast));
        self.group("fast", FAST_INTERVAL, rules)
    }

    /// 0, not absent, while there are events: a counter of failures may not exist before the first.
    fn errors_rate(&self) -> String {
        let growth = self.slo.indicator.growth_of_errors(SHORT_RATE);
        let rate = format!("{growth} / {}", SHORT_RATE.seconds());
        match self.slo.indicator {
            Indicator::Availability { .. } | Indicator::Ratio { .. } => {
                format!("{rate} or on () {} * 0", self.own(names::EVENTS_RATE))
            }
            // Without a bucket of the threshold it is not known what failed.
            Indicator::Latency { .. } | Indicator::Probe { .. } => rate,
        }
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

    /// One record for each window of the pairs of this speed that no faster pair has recorded.
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

    fn burn_rate(&self) -> String {
        let budget = self.slo.objective.budget();
        if self
            .pairs
            .iter()
            .any(|pair| pair.speed == Speed::Fast && pair.long == BURN_RATE)
        {
            format!("{} / {budget}", self.own(&names::error_ratio(BURN_RATE)))
        } else {
            format!("{} / {budget}", self.error_ratio(BURN_RATE))
        }
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
