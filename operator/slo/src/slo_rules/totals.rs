//! Running totals of failed and all events, and what follows from them: the share of failed events over
//! any window, the period and how much of it is known.

use super::{Builder, FAST_INTERVAL, LONGEST_OF_TOTALS, SHORT_RATE, SLOT};
use crate::duration::PromDuration;
use crate::names;
use crate::rule::Group;

/// For so long a total is continued from its own last sample where evaluations were missed.
const TOTAL_HOLDS: PromDuration = PromDuration::from_hours(1);
/// For so long an outage of Prometheus leaves the figures as they were. After a longer one there are none
/// until the slots of the window have been summed.
const OUTAGE: PromDuration = PromDuration::from_days(1);
/// What is summed over the whole window is summed each thousandth of it, but not more rarely than this.
const LONGEST_SUM_INTERVAL: PromDuration = PromDuration::from_minutes(30);
/// By then the sums of a new SLO have been made, if not at their first evaluation.
const NEW: PromDuration = PromDuration::from_hours(2);
/// A group may be evaluated while another writes: sums are made of what both have written by then.
const WRITTEN: PromDuration = PromDuration::from_minutes(1);

impl Builder<'_> {
    /// The total of the evaluation before plus what came since. After a missed evaluation it is the total
    /// of five minutes ago, or the last before a longer outage, plus what came in five minutes.
    pub(super) fn totals(&self) -> [String; 2] {
        let indicator = &self.slo.indicator;
        let total = |name: &str, closed: &str, growth: String, rate: String| {
            let own = self.own(name);
            let of_five_minutes = format!("{rate} * {}", SHORT_RATE.seconds());
            format!(
                "last_over_time({own}[{FAST_INTERVAL}] offset {FAST_INTERVAL}) + on () group_left () ({growth} or vector(0))\n\
                 or on ()\n\
                 (last_over_time({own}[{TOTAL_HOLDS}] offset {SLOT}) or {}) + on () group_left () ({of_five_minutes} or on () vector(0))\n\
                 or on ()\n\
                 {of_five_minutes}",
                self.held(closed, OUTAGE),
            )
        };
        let errors_rate = self.own(names::ERRORS_RATE);
        // Events of which it is not known whether they failed have a rate, too.
        let events_rate = format!("({} and {errors_rate})", self.own(names::EVENTS_RATE));
        let errors = total(
            names::ERRORS_TOTAL,
            names::ERRORS_CLOSED,
            indicator.growth_of_errors(FAST_INTERVAL),
            errors_rate,
        );
        let events = total(
            names::EVENTS_TOTAL,
            names::EVENTS_CLOSED,
            indicator.growth_of_events(FAST_INTERVAL),
            events_rate,
        );
        let events = format!(
            "({events})\nand on () {}",
            self.just_recorded(names::ERRORS_TOTAL)
        );
        [errors, events]
    }

    /// The share of failed events in the window of an alert, absent without events. It ends now, and is up
    /// to a slot shorter than its name, never longer.
    pub(super) fn error_ratio(&self, window: PromDuration) -> String {
        let [errors, events] = if window <= LONGEST_OF_TOTALS {
            // Both totals are extrapolated alike: `rate` would know that one begins at zero.
            [names::ERRORS_TOTAL, names::EVENTS_TOTAL]
                .map(|total| format!("delta({}[{window}])", self.own(total)))
        } else {
            [
                self.errors_until_now(window),
                self.slots_until_now(
                    window,
                    names::EVENTS_SLOT,
                    names::EVENTS_TOTAL,
                    names::EVENTS_CLOSED,
                ),
            ]
        };
        format!("{errors} / ({events} > 0)")
    }

    /// How many events have failed in the window of an alert.
    pub(super) fn failures(&self, window: PromDuration) -> String {
        if window <= LONGEST_OF_TOTALS {
            // `rate` extrapolates what it saw between its first and last sample to the whole range.
            format!(
                "rate({}[{window}]) * {}",
                self.own(names::ERRORS_TOTAL),
                window.minus(FAST_INTERVAL).seconds()
            )
        } else {
            self.errors_until_now(window)
        }
    }

    fn errors_until_now(&self, window: PromDuration) -> String {
        self.slots_until_now(
            window,
            names::ERRORS_SLOT,
            names::ERRORS_TOTAL,
            names::ERRORS_CLOSED,
        )
    }

    /// The slots that lie in the window with all that followed them, and what came since the last.
    fn slots_until_now(&self, window: PromDuration, slot: &str, total: &str, closed: &str) -> String {
        format!(
            "(sum_over_time({}[{}]) + {} - {})",
            self.own(slot),
            window.minus(SLOT),
            self.own(total),
            self.held(closed, TOTAL_HOLDS)
        )
    }

    /// The share of failed events in the period: the totals less what they were where it begins, which is
    /// zero for a new SLO.
    pub(super) fn period(&self) -> String {
        let so_far = |total, base| {
            format!(
                "({} - on () group_left () ({} or on () vector(0)))",
                self.own(total),
                self.held(base, OUTAGE)
            )
        };
        format!(
            // Less than an event is what is left of a difference of large numbers.
            "clamp_min({}, 0) / ({} >= 0.5) and {}",
            so_far(names::ERRORS_TOTAL, names::ERRORS_BASE),
            so_far(names::EVENTS_TOTAL, names::EVENTS_BASE),
            self.own(names::WINDOW_COVERAGE),
        )
    }

    /// Of a new SLO, of which no slot has been summed in all of its window, the time that its totals have.
    pub(super) fn coverage(&self) -> String {
        let window = self.slo.window.length();
        format!(
            "clamp_max((time() - {} or count_over_time({}[{NEW}]) * {} unless on () {}) / {}, 1)",
            self.held(names::WATCHED_BEGIN, OUTAGE),
            self.own(names::EVENTS_TOTAL),
            FAST_INTERVAL.seconds(),
            self.held(names::WATCHED_BEGIN, window),
            window.seconds(),
        )
    }

    pub(super) fn slots(&self) -> Group {
        // What came since the last slot, however long ago that was.
        let slot = |total: &str, closed: &str| {
            format!(
                "clamp_min({} - on () group_left () ({} or on () vector(0)), 0)",
                self.own(total),
                self.held(closed, OUTAGE)
            )
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
        let rules = vec![
            self.record(
                names::ERRORS_SLOT,
                slot(names::ERRORS_TOTAL, names::ERRORS_CLOSED),
            ),
            self.record(names::EVENTS_SLOT, events),
            closed(names::ERRORS_CLOSED, names::ERRORS_TOTAL),
            closed(names::EVENTS_CLOSED, names::EVENTS_TOTAL),
            self.record(names::SLOTS_MISSED, self.missed_slot()),
        ];
        self.group("slots", SLOT, rules)
    }

    /// What is summed over the whole window, anew each time from what is stored.
    pub(super) fn window(&self) -> Group {
        let window = self.slo.window.length();
        let base = |name: &str, closed: &str, slot: &str| {
            let expr = format!(
                "last_over_time({}[{TOTAL_HOLDS}] offset {WRITTEN}) - sum_over_time({}[{window}] offset {WRITTEN})",
                self.own(closed),
                self.own(slot)
            );
            self.record(name, expr)
        };
        let slot = self.own(names::EVENTS_SLOT);
        let rules = vec![
            base(names::ERRORS_BASE, names::ERRORS_CLOSED, names::ERRORS_SLOT),
            base(names::EVENTS_BASE, names::EVENTS_CLOSED, names::EVENTS_SLOT),
            self.record(
                names::WATCHED_BEGIN,
                // There is a slot for all time in which these rules run, and not only while the app has traffic.
                // Without a base, whose slot may not be closed yet, the period would begin anew.
                format!(
                    "time() - (count_over_time({slot}[{window}]) + on () group_left () (sum_over_time({}[{window}]) or on () vector(0))) * {}\n\
                     and {} and {}",
                    self.own(names::SLOTS_MISSED),
                    SLOT.seconds(),
                    self.just_recorded(names::ERRORS_BASE),
                    self.just_recorded(names::EVENTS_BASE),
                ),
            ),
        ];
        self.group("window", self.sum_interval(), rules)
    }

    /// A thousandth of the window, in whole minutes.
    fn sum_interval(&self) -> PromDuration {
        let minutes = self.slo.window.length().millis() / PromDuration::from_minutes(1).millis();
        PromDuration::from_minutes(minutes / 1000).clamp(SLOT, LONGEST_SUM_INTERVAL)
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
}
