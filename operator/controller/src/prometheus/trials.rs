//! Comparing the pods of a release that is tried with those of the one before: what is asked, and what that counts.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use jiff::Timestamp;
use observedapp_api::AppRef;
use observedapp_desired::TrialQuery;
use observedapp_release::comparison::{Counts, Interval, SloCounts};
use observedapp_slo::by_pod::{COUNTED_LABEL, ERRORS, SLO_LABEL};
use parking_lot::Mutex;

use super::client::{Series, Server};

/// As many spans as are compared; of a trial that lasts longer the newest count.
const SPANS: u32 = 240;

/// The trials that are under way.
#[derive(Debug, Default)]
pub struct Trials(Mutex<HashMap<AppRef, Trial>>);

#[derive(Debug)]
struct Trial {
    query: TrialQuery,
    /// None until Prometheus has answered, and while it does not.
    counts: Option<Vec<SloCounts>>,
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
        let counts = trials.remove(app).and_then(|trial| trial.counts);
        trials.insert(app.clone(), Trial { query, counts });
        true
    }

    pub fn counts(&self, app: &AppRef) -> Option<Vec<SloCounts>> {
        self.0.lock().get(app)?.counts.clone()
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
    pub fn answer(&self, app: &AppRef, counts: Option<Vec<SloCounts>>) -> bool {
        let mut trials = self.0.lock();
        let Some(trial) = trials.get_mut(app) else {
            return false;
        };
        let is_new = trial.counts != counts;
        trial.counts = counts;
        is_new
    }
}

/// Asks for the counts of a trial; none where Prometheus does not answer.
pub async fn ask(server: &Server, query: &TrialQuery, now: Timestamp) -> Option<Vec<SloCounts>> {
    let step = query.step.as_secs().max(1);
    let reach = step * u64::from(SPANS);
    let now = now.as_second();
    let since = query.since.as_second();
    let begin = since.max(now.saturating_sub(i64::try_from(reach).ok()?));
    let series = server
        .query_range(&query.expression, begin, now, Duration::from_secs(step))
        .await
        .ok()?;
    Some(count(query, &series))
}

/// From counters to what happened in each span.
fn count(query: &TrialQuery, series: &[Series]) -> Vec<SloCounts> {
    let new: HashSet<&str> = query.new.iter().map(String::as_str).collect();
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
        let is_new = new.contains(pod);
        for (at, counts) in growth(&moments, is_new) {
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
    query
        .budgets
        .iter()
        .filter_map(|(slo, budget)| {
            Some(SloCounts {
                name: slo.clone(),
                budget: *budget,
                intervals: of(slo)?,
            })
        })
        .collect()
}

#[derive(Clone, Copy, Debug, Default)]
struct Counters {
    events: Option<f64>,
    errors: Option<f64>,
}

/// By how much the counters of one pod grew until each moment. A new pod began at zero; of an old one nothing is
/// known before its first sample. A counter that is smaller than before was reset.
fn growth(moments: &BTreeMap<i64, Counters>, is_new: bool) -> Vec<(i64, Counts)> {
    let mut before = is_new.then_some((0.0, 0.0));
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
            new: vec!["new".to_owned()],
            budgets: [("availability".to_owned(), 0.001), ("latency".to_owned(), 0.01)].into(),
        };
        let counts = count(
            &query,
            &[
                series("new", "events", &[(15, 7.0), (30, 10.0)]),
                series("new", "errors", &[(30, 2.0)]),
                series("old", "events", &[(0, 1000.0), (15, 1010.0), (30, 4.0)]),
                series("old", "errors", &[(0, 50.0), (15, 51.0), (30, 1.0)]),
            ],
        );
        let span = |new: (f64, f64), old: (f64, f64)| Interval {
            new: Counts {
                events: new.0,
                failures: new.1,
            },
            old: Counts {
                events: old.0,
                failures: old.1,
            },
        };
        assert_eq!(
            counts,
            [SloCounts {
                name: "availability".to_owned(),
                budget: 0.001,
                intervals: vec![span((7.0, 0.0), (10.0, 1.0)), span((3.0, 2.0), (4.0, 1.0))],
            }],
            "one without series of pods is not compared"
        );
    }

    #[test]
    fn what_was_counted_stays_while_the_question_changes_and_goes_when_nobody_answers() {
        let trials = Trials::default();
        let app = AppRef::new("shop", "tasks");
        let query = |step| TrialQuery {
            expression: String::new(),
            since: Timestamp::UNIX_EPOCH,
            step: Duration::from_secs(step),
            new: Vec::new(),
            budgets: BTreeMap::new(),
        };
        assert!(trials.set(&app, Some(query(15))));
        assert!(trials.answer(&app, Some(Vec::new())));
        assert!(!trials.answer(&app, Some(Vec::new())));
        assert!(!trials.set(&app, Some(query(15))));
        assert!(trials.set(&app, Some(query(30))));
        assert_eq!(trials.counts(&app), Some(Vec::new()));
        assert!(trials.answer(&app, None));
        trials.set(&app, None);
        assert_eq!(trials.queries(), []);
    }
}
