//! Comparing the pods of a release that is tried with those of the one before: what is asked, and what that counts.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use observedapp_api::AppRef;
use observedapp_desired::TrialQuery;
use observedapp_release::Counted;
use observedapp_release::comparison::{Counts, Interval, SloCounts};
use observedapp_slo::by_pod::{COUNTED_LABEL, ERRORS, SLO_LABEL};
use parking_lot::Mutex;

use super::client::Server;
use super::samples::Series;

/// As many spans as are compared; of a trial that lasts longer the newest count.
const SPANS: i64 = 240;

/// The trials that are under way.
#[derive(Debug, Default)]
pub struct Trials(Mutex<HashMap<AppRef, Trial>>);

#[derive(Debug)]
struct Trial {
    query: TrialQuery,
    counted: Counted,
}

impl Trials {
    /// From now on this is asked, or nothing; says whether that is new.
    pub fn set(&self, app: &AppRef, query: Option<TrialQuery>) -> bool {
        let mut trials = self.0.lock();
        let Some(query) = query else {
            trials.remove(app);
            return false;
        };
        if trials.get(app).is_some_and(|trial| trial.query == query) {
            return false;
        }
        // The pods of a trial may be replaced; until these were counted the others stand.
        let counted = trials.remove(app).map(|trial| trial.counted).unwrap_or_default();
        trials.insert(app.clone(), Trial { query, counted });
        true
    }

    pub fn counted(&self, app: &AppRef) -> Counted {
        let trials = self.0.lock();
        trials
            .get(app)
            .map(|trial| trial.counted.clone())
            .unwrap_or_default()
    }

    /// What is to be asked.
    pub fn queries(&self) -> Vec<(AppRef, TrialQuery)> {
        let trials = self.0.lock();
        trials
            .iter()
            .map(|(app, trial)| (app.clone(), trial.query.clone()))
            .collect()
    }

    /// Keeps an answer; says whether it is new.
    pub fn answer(&self, app: &AppRef, counted: Counted) -> bool {
        let mut trials = self.0.lock();
        let Some(trial) = trials.get_mut(app) else {
            return false;
        };
        let is_new = trial.counted != counted;
        trial.counted = counted;
        is_new
    }
}

/// Asks for the counts of a trial.
pub async fn ask(server: &Server, query: &TrialQuery, now: Timestamp) -> Counted {
    let window = window(query, now);
    let Window { begin, end, step, .. } = window;
    match server.query_range(&query.expression, begin, end, step).await {
        Ok(series) => Counted::Known(count(query, &window, &series)),
        Err(_) => Counted::Unknown,
    }
}

/// The moments at which the counters are read: always the same ones, so that a span counts the same whenever it is asked for.
struct Window {
    begin: i64,
    end: i64,
    step: i64,
    /// Whether it begins before the new pods served, so that they began at zero.
    is_whole: bool,
}

fn window(query: &TrialQuery, now: Timestamp) -> Window {
    let step = i64::try_from(query.step.as_secs()).unwrap_or(i64::MAX).max(1);
    // One step earlier, so that the old pods have something to grow from.
    let first = query.since.as_second() - step;
    let passed = ((now.as_second() - first) / step).max(0);
    let left_out = (passed - SPANS).max(0);
    Window {
        begin: first + left_out * step,
        end: first + passed * step,
        step,
        is_whole: left_out == 0,
    }
}

/// From counters to what happened in each span.
fn count(query: &TrialQuery, window: &Window, series: &[Series]) -> Vec<SloCounts> {
    // By objective and pod: the counters at each moment.
    let mut pods: BTreeMap<(&str, &str), BTreeMap<i64, Counters>> = BTreeMap::new();
    for one in series {
        let moments = pods.entry((one.label(SLO_LABEL), one.label("pod"))).or_default();
        let failed = one.label(COUNTED_LABEL) == ERRORS;
        for (at, value) in one.values() {
            let counters = moments.entry(at).or_default();
            if failed {
                counters.errors = Some(value);
            } else {
                counters.events = Some(value);
            }
        }
    }
    let mut spans: BTreeMap<&str, BTreeMap<i64, Interval>> = BTreeMap::new();
    for ((slo, pod), moments) in pods {
        let is_new = pod
            .rsplit_once('-')
            .is_some_and(|(set, _)| query.new.contains(set));
        for (at, counts) in growth(&moments, is_new && window.is_whole) {
            let span = spans.entry(slo).or_default().entry(at).or_default();
            let side = if is_new { &mut span.new } else { &mut span.old };
            side.events += counts.events;
            side.failures += counts.failures;
        }
    }
    let of = |slo: &String| {
        spans
            .get(slo.as_str())
            .map(|spans| spans.values().copied().collect())
    };
    let objectives = query.budgets.iter();
    objectives
        .map(|(slo, budget)| SloCounts {
            name: slo.clone(),
            budget: *budget,
            intervals: of(slo).unwrap_or_default(),
        })
        .collect()
}

#[derive(Clone, Copy, Debug, Default)]
struct Counters {
    events: Option<f64>,
    errors: Option<f64>,
}

/// By how much the counters of one pod grew until each moment. Of one that did not begin at zero nothing is known before
/// its first sample. A counter that is smaller than before was reset.
fn growth(moments: &BTreeMap<i64, Counters>, began_at_zero: bool) -> Vec<(i64, Counts)> {
    let mut before = began_at_zero.then_some((0.0, 0.0));
    let mut growth = Vec::new();
    for (at, counters) in moments {
        let Some(events) = counters.events else {
            continue;
        };
        // A counter of failures may appear with the first of them.
        let errors = counters.errors.unwrap_or_default();
        if let Some((events_before, errors_before)) = before {
            let grown = |now: f64, before: f64| if now < before { now } else { now - before };
            growth.push((
                *at,
                Counts {
                    events: grown(events, events_before),
                    failures: grown(errors, errors_before),
                },
            ));
        }
        before = Some((events, errors));
    }
    growth
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    fn series(pod: &str, counted: &str, values: &[(i64, f64)]) -> Series {
        let values: Vec<_> = values
            .iter()
            .map(|(at, value)| json!([at, value.to_string()]))
            .collect();
        serde_json::from_value(json!({
            "metric": {"slo": "availability", "pod": pod, "counted": counted},
            "values": values,
        }))
        .unwrap()
    }

    #[test]
    fn new_pods_count_from_zero_and_old_ones_from_their_first_sample() {
        let query = TrialQuery {
            expression: String::new(),
            since: Timestamp::UNIX_EPOCH,
            step: Duration::from_secs(15),
            new: ["tasks-new".to_owned()].into(),
            budgets: [("availability".to_owned(), 0.001), ("latency".to_owned(), 0.01)].into(),
        };
        let series = [
            series("tasks-new-1", "events", &[(15, 7.0), (30, 10.0)]),
            series("tasks-new-1", "errors", &[(30, 2.0)]),
            series("tasks-old-1", "events", &[(0, 1000.0), (15, 1010.0), (30, 4.0)]),
            series("tasks-old-1", "errors", &[(0, 50.0), (15, 51.0), (30, 1.0)]),
        ];
        let span = |new: (f64, f64), old: (f64, f64)| {
            let counts = |(events, failures)| Counts { events, failures };
            Interval {
                new: counts(new),
                old: counts(old),
            }
        };
        let last = span((3.0, 2.0), (4.0, 1.0));
        for (now, first) in [
            (30, span((7.0, 0.0), (10.0, 1.0))),
            (30_000, span((0.0, 0.0), (10.0, 1.0))),
        ] {
            let window = window(&query, Timestamp::from_second(now).unwrap());
            let counts = count(&query, &window, &series);
            assert_eq!(counts[0].intervals, [first, last], "at {now}");
            assert_eq!(
                (counts[1].name.as_str(), counts[1].intervals.len()),
                ("latency", 0),
                "one without series of pods is an objective still"
            );
        }
    }

    #[test]
    fn a_span_is_the_same_whenever_it_is_asked_for() {
        let query = TrialQuery {
            expression: String::new(),
            since: Timestamp::from_second(1007).unwrap(),
            step: Duration::from_secs(15),
            new: BTreeSet::new(),
            budgets: BTreeMap::new(),
        };
        for now in [1007, 1021, 1022, 5000, 100_000] {
            let Window {
                begin,
                end,
                step,
                is_whole,
            } = window(&query, Timestamp::from_second(now).unwrap());
            assert_eq!(((begin - 1007) % step, (end - 1007) % step), (0, 0), "at {now}");
            assert!(
                end <= now && now - end < step && (end - begin) / step <= SPANS,
                "at {now}"
            );
            assert_eq!(is_whole, begin == 992, "at {now}");
        }
    }

    #[test]
    fn what_was_counted_stays_while_the_question_changes_and_goes_when_nobody_answers() {
        let trials = Trials::default();
        let app = AppRef::new("shop", "tasks");
        let query = |step| TrialQuery {
            expression: String::new(),
            since: Timestamp::UNIX_EPOCH,
            step: Duration::from_secs(step),
            new: BTreeSet::new(),
            budgets: BTreeMap::new(),
        };
        assert!(trials.set(&app, Some(query(15))));
        assert!(trials.answer(&app, Counted::Known(Vec::new())));
        assert!(!trials.answer(&app, Counted::Known(Vec::new())));
        assert!(!trials.set(&app, Some(query(15))));
        assert!(trials.set(&app, Some(query(30))));
        assert_eq!(trials.counted(&app), Counted::Known(Vec::new()));
        assert!(trials.answer(&app, Counted::Unknown));
        trials.set(&app, None);
        assert_eq!(trials.queries(), []);
    }
}
