//! Whole releases against a small model of a Deployment.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::comparison::{Counts, Interval, SloCounts};
use crate::{
    Counted, Guard, Measured, OldPods, Phase, Plan, Pod, Record, Running, Situation, Standing,
    WithoutTraffic, plan,
};

const GUARD: Guard = Guard {
    bake_time: Duration::from_mins(5),
    min_requests: 200.0,
    without_traffic: WithoutTraffic::Proceed,
    watch_time: Duration::from_hours(1),
    hold_below: None,
    scrape: Duration::from_secs(15),
    startup: Duration::from_mins(1),
    can_try: true,
};

/// An app of two replicas: what its spec asks for is one letter, and so is what each record holds.
struct World {
    guard: Guard,
    records: Vec<(Record, char)>,
    spec: char,
    running: Running,
    pods: Vec<Pod>,
    measured: Measured,
    anyway: Option<String>,
    replicas: i32,
    now: Timestamp,
    /// How the pods of these specs do.
    broken: BTreeSet<char>,
    /// The last plan.
    plan: Option<Plan>,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            guard: GUARD,
            records: Vec::new(),
            spec: 'a',
            running: Running::Nothing,
            pods: Vec::new(),
            measured: Measured {
                asked: true,
                burning: Some(BTreeSet::new()),
                budgets: [("availability".to_owned(), 1.0)].into(),
                counted: Counted::Unknown,
            },
            anyway: None,
            replicas: 2,
            now: Timestamp::from_second(1_800_000_000).unwrap(),
            broken: BTreeSet::new(),
            plan: None,
        };
        world.settle();
        assert_eq!(world.phase(), Phase::Stable, "the first release has no trial");
        world
    }

    fn decide(&mut self) -> Plan {
        let records: Vec<Record> = self.records.iter().map(|(record, _)| record.clone()).collect();
        let wanted = self.records.iter().filter(|(_, spec)| *spec == self.spec);
        let wanted: BTreeSet<u64> = wanted.map(|(record, _)| record.number).collect();
        let decided = plan(&Situation {
            guard: &self.guard,
            records: &records,
            wanted: &wanted,
            highest: records.last().map_or(0, |record| record.number),
            running: self.running,
            pods: &self.pods,
            replicas: self.replicas,
            measured: &self.measured,
            anyway: self.anyway.as_deref(),
            now: self.now,
        });
        let spec_of = |number| {
            let known = self.records.iter().find(|(record, _)| record.number == number);
            known.map_or(self.spec, |(_, spec)| *spec)
        };
        self.records = decided
            .records
            .iter()
            .map(|record| (record.clone(), spec_of(record.number)))
            .collect();
        self.plan = Some(decided.clone());
        decided
    }

    /// Decides, and has the Deployment follow.
    fn step(&mut self) {
        let decided = self.decide();
        self.running = Running::Release(decided.template);
        let spec = |number| {
            self.records
                .iter()
                .find(|(record, _)| record.number == number)
                .unwrap()
                .1
        };
        let new = |world: &Self, i: usize| Pod {
            name: format!("{}-{i}", decided.template),
            release: Some(decided.template),
            standing: if world.broken.contains(&spec(decided.template)) {
                Standing::Failing { since: world.now }
            } else {
                Standing::Ready
            },
            restarts: 0,
        };
        let is_new = |pod: &Pod| pod.release == Some(decided.template);
        if decided.trial.is_some() {
            if !self.pods.iter().any(is_new) {
                let pod = new(self, 0);
                self.pods.push(pod);
            }
        } else if self.pods.iter().filter(|pod| is_new(pod)).count() != 2 || self.pods.len() != 2 {
            self.pods = vec![new(self, 0), new(self, 1)];
        }
    }

    fn pass(&mut self, seconds: i64) {
        self.now += SignedDuration::from_secs(seconds);
    }

    /// Until nothing more happens without time going on.
    fn settle(&mut self) {
        for _ in 0..6 {
            self.step();
        }
    }

    fn run(&mut self, seconds: i64) {
        for _ in 0..seconds / 10 {
            self.pass(10);
            self.step();
        }
    }

    fn count(&mut self, new: (f64, f64), old: (f64, f64)) {
        // Some spans: nothing is told from the first alone.
        let spans = 4;
        let counts = |(events, failures)| Counts {
            events: events / spans as f64,
            failures: failures / spans as f64,
        };
        self.measured.counted = Counted::Known(vec![SloCounts {
            name: "availability".to_owned(),
            budget: 0.001,
            intervals: vec![
                Interval {
                    new: counts(new),
                    old: counts(old),
                };
                spans
            ],
        }]);
    }

    fn phase(&self) -> Phase {
        self.plan.as_ref().unwrap().current().unwrap().phase
    }

    fn current(&self) -> u64 {
        self.plan.as_ref().unwrap().current
    }

    fn runs(&self) -> char {
        let template = self.plan.as_ref().unwrap().template;
        self.records
            .iter()
            .find(|(record, _)| record.number == template)
            .unwrap()
            .1
    }

    fn record(&self, number: u64) -> &Record {
        &self
            .records
            .iter()
            .find(|(record, _)| record.number == number)
            .unwrap()
            .0
    }

    fn ship(&mut self, spec: char) {
        self.spec = spec;
        self.measured.counted = Counted::Unknown;
        self.settle();
    }
}

#[test]
fn a_good_release_is_tried_promoted_watched_and_kept() {
    let mut world = World::new();
    world.ship('b');
    assert_eq!((world.current(), world.phase()), (2, Phase::Baking));
    let trial = world.plan.as_ref().unwrap().trial.unwrap();
    assert_eq!(trial.min_ready, Duration::from_mins(6));
    assert!(trial.progress_deadline > trial.min_ready + GUARD.startup);
    assert_eq!(world.pods.len(), 3, "one pod beside the old ones");
    let question = world.plan.as_ref().unwrap().question.clone().unwrap();
    assert_eq!(question.new, ["2".to_owned()].into());
    assert_eq!(question.old, OldPods::ReplicaSets(["1".to_owned()].into()));

    world.count((100.0, 0.0), (200.0, 0.0));
    world.run(290);
    assert_eq!(world.phase(), Phase::Baking, "not before the time is over");
    world.count((300.0, 0.0), (600.0, 0.0));
    world.run(40);
    assert_eq!(
        world.phase(),
        Phase::Baking,
        "nor before its last requests were counted"
    );
    world.run(30);
    world.settle();
    assert_eq!(world.phase(), Phase::Watching);
    assert!(
        world
            .record(2)
            .verdict
            .as_ref()
            .unwrap()
            .contains("0% of 300 failed")
    );
    assert!(world.plan.as_ref().unwrap().trial.is_none());
    world.run(3600);
    assert_eq!((world.phase(), world.runs()), (Phase::Stable, 'b'));
    world.run(120);
    assert_eq!(world.record(2).cost, Some(0.0));
}

#[test]
fn a_bad_release_is_taken_back_at_once_and_stays_so_until_the_spec_or_a_person_says_otherwise() {
    let mut world = World::new();
    world.ship('b');
    world.run(30);
    world.count((500.0, 100.0), (1000.0, 0.0));
    world.measured.budgets.insert("availability".to_owned(), 0.996);
    world.step();
    assert_eq!((world.phase(), world.runs()), (Phase::RolledBack, 'a'));
    world.settle();
    assert!(world.pods.iter().all(|pod| pod.release == Some(1)));
    assert_eq!(world.records.len(), 2);
    world.run(7200);
    assert_eq!(
        (world.phase(), world.runs()),
        (Phase::RolledBack, 'a'),
        "no release is judged twice"
    );
    let verdict = world.record(2).verdict.clone().unwrap();
    assert_eq!(
        verdict,
        "availability: 20% of 500 failed, and 0% of 1000 of the release before"
    );
    assert!((world.record(2).cost.unwrap() - 0.004).abs() < 1e-9);

    world.anyway = Some("it is the database".to_owned());
    world.measured.counted = Counted::Unknown;
    world.settle();
    assert_eq!((world.phase(), world.runs()), (Phase::Watching, 'b'));
    assert_eq!(world.record(2).anyway.as_deref(), Some("it is the database"));

    // The same reason does not count again.
    world.ship('c');
    world.count((500.0, 100.0), (1000.0, 0.0));
    world.settle();
    assert_eq!(
        (world.current(), world.phase(), world.runs()),
        (3, Phase::RolledBack, 'b')
    );
}

#[test]
fn a_release_of_which_no_pod_answers_is_taken_back_within_its_startup_time_and_a_minute() {
    let mut world = World::new();
    world.broken.insert('b');
    world.ship('b');
    world.run(60);
    assert_eq!(world.phase(), Phase::Baking);
    world.run(60);
    assert_eq!((world.phase(), world.runs()), (Phase::NeverReady, 'a'));
    assert_eq!(
        world.record(2).verdict.as_deref(),
        Some("its pod 2-0 did not answer within 90 s")
    );
}

#[test]
fn without_requests_the_policy_decides_and_without_prometheus_only_after_the_watch_time() {
    for (policy, phase, runs) in [
        (WithoutTraffic::Proceed, Phase::Watching, 'b'),
        (WithoutTraffic::Hold, Phase::Baking, 'b'),
        (WithoutTraffic::RollBack, Phase::RolledBack, 'a'),
    ] {
        for away in [false, true] {
            let mut world = World::new();
            world.guard.without_traffic = policy;
            world.ship('b');
            if !away {
                world.count((1.0, 1.0), (2.0, 0.0));
            }
            world.run(360);
            if away {
                assert_eq!(world.phase(), Phase::Baking);
                world.run(3600);
            }
            world.settle();
            assert_eq!((world.phase(), world.runs()), (phase, runs), "{policy:?} {away}");
        }
    }
    let mut world = World::new();
    world.guard.without_traffic = WithoutTraffic::Hold;
    world.ship('b');
    world.count((1.0, 0.0), (2.0, 0.0));
    world.run(7200);
    let trial = world.plan.as_ref().unwrap().trial.unwrap();
    assert!(
        trial.min_ready > Duration::from_hours(2),
        "the Deployment must not go on by itself"
    );
    world.count((201.0, 0.0), (400.0, 0.0));
    world.run(10);
    world.settle();
    assert_eq!(world.phase(), Phase::Watching);
}

#[test]
fn an_operator_that_was_away_asks_before_it_judges() {
    let mut world = World::new();
    world.ship('b');
    world.measured.counted = Counted::NotAsked;
    world.run(20_000);
    assert_eq!(
        world.phase(),
        Phase::Baking,
        "it is not known that Prometheus does not answer"
    );
    world.count((500.0, 100.0), (1000.0, 0.0));
    world.step();
    assert_eq!(world.phase(), Phase::RolledBack);
}

#[test]
fn a_new_fast_burn_takes_a_release_back_while_it_is_watched_and_an_old_one_does_not() {
    for before in [false, true] {
        let mut world = World::new();
        let burning: BTreeSet<String> = ["availability".to_owned()].into();
        if before {
            world.measured.burning = Some(burning.clone());
        }
        world.ship('b');
        world.count((300.0, 0.0), (600.0, 0.0));
        world.run(370);
        world.settle();
        assert_eq!(world.phase(), Phase::Watching);
        world.measured.burning = Some(burning);
        world.settle();
        let expected = if before {
            (Phase::Watching, 'b')
        } else {
            (Phase::RolledBack, 'a')
        };
        assert_eq!((world.phase(), world.runs()), expected);
    }
}

#[test]
fn a_second_release_replaces_one_that_is_not_judged_yet() {
    let mut world = World::new();
    world.ship('b');
    world.run(30);
    world.ship('c');
    assert_eq!((world.current(), world.phase()), (3, Phase::Baking));
    assert_eq!(world.record(2).phase, Phase::Superseded);
    assert!(
        world.pods.iter().all(|pod| pod.release != Some(2)),
        "the pod of the one before ends first"
    );
    world.broken.insert('c');
    world.count((500.0, 100.0), (1000.0, 0.0));
    world.step();
    assert_eq!(world.runs(), 'a', "what was never judged good does not run again");
}

#[test]
fn going_back_needs_no_trial_and_asking_again_has_one() {
    let mut world = World::new();
    world.ship('b');
    world.count((500.0, 100.0), (1000.0, 0.0));
    world.settle();
    assert_eq!(world.phase(), Phase::RolledBack);
    world.ship('a');
    assert_eq!(
        (world.current(), world.phase(), world.runs()),
        (1, Phase::Stable, 'a')
    );
    assert_eq!(world.records.len(), 2);
    world.ship('b');
    assert_eq!((world.current(), world.phase()), (3, Phase::Baking));

    // In the middle of a rollout, too.
    world.count((500.0, 0.0), (1000.0, 0.0));
    world.run(370);
    assert_eq!(world.phase(), Phase::Watching);
    world.ship('a');
    world.run(10);
    assert_eq!((world.current(), world.runs()), (1, 'a'));
    assert_eq!(world.record(3).phase, Phase::Superseded);
    world.ship('c');
    assert_eq!(
        world.plan.as_ref().unwrap().base,
        Some(1),
        "the one that was left is no way back"
    );
}

#[test]
fn a_release_waits_for_budget_or_for_a_person() {
    let mut world = World::new();
    world.guard.hold_below = Some(0.1);
    world.measured.budgets.insert("availability".to_owned(), 0.03);
    world.ship('b');
    assert_eq!((world.phase(), world.runs()), (Phase::Held, 'a'));
    let message = world.plan.as_ref().unwrap().message.clone();
    assert!(
        message.contains("availability is at 3%, below the 10%"),
        "{message}"
    );
    world.measured.budgets.insert("availability".to_owned(), 0.2);
    world.settle();
    assert_eq!(world.phase(), Phase::Baking);

    let mut world = World::new();
    world.guard.hold_below = Some(0.1);
    world.measured.budgets.insert("availability".to_owned(), 0.03);
    world.anyway = Some("it mends the fault".to_owned());
    world.ship('b');
    assert_eq!((world.phase(), world.runs()), (Phase::Watching, 'b'));
}

#[test]
fn a_reason_that_was_heeded_does_not_count_again_many_releases_later() {
    let mut world = World::new();
    world.anyway = Some("once".to_owned());
    world.ship('b');
    assert_eq!(world.phase(), Phase::Watching, "it counts once");
    for spec in 'c'..='z' {
        world.ship(spec);
        assert_eq!(world.phase(), Phase::Baking, "release {spec}");
        world.count((500.0, 0.0), (1000.0, 0.0));
        world.run(370);
        assert_eq!(world.phase(), Phase::Watching);
    }
}

#[test]
fn without_pods_there_is_nothing_that_could_be_ready() {
    let mut world = World::new();
    world.guard.can_try = false;
    world.replicas = 0;
    world.spec = 'b';
    world.decide();
    world.pods.clear();
    world.pass(7200);
    world.step();
    world.step();
    assert_eq!((world.phase(), world.runs()), (Phase::Watching, 'b'));
}

#[test]
fn what_went_on_by_itself_is_called_unjudged() {
    let mut world = World::new();
    world.ship('b');
    for pod in &mut world.pods {
        pod.release = Some(2);
    }
    world.pods.pop();
    world.run(10);
    assert_eq!((world.phase(), world.runs()), (Phase::Unjudged, 'b'));
    world.ship('c');
    assert_eq!(world.plan.as_ref().unwrap().base, Some(2), "it is what runs");
}

#[test]
fn a_new_operator_waits_for_prometheus_before_a_trial_begins() {
    let mut world = World::new();
    world.measured.asked = false;
    world.ship('b');
    assert_eq!((world.phase(), world.runs()), (Phase::Held, 'a'));
    world.run(70);
    assert_eq!(world.phase(), Phase::Baking);
}

#[test]
fn an_app_that_ran_before_its_releases_were_recorded_gets_no_trial() {
    let mut world = World::new();
    world.records.clear();
    world.running = Running::Unrecorded;
    for pod in &mut world.pods {
        pod.release = None;
    }
    world.settle();
    assert_eq!((world.current(), world.phase()), (1, Phase::Stable));

    // Where all records are lost no pod is replaced.
    world.records.clear();
    world.running = Running::Release(7);
    for pod in &mut world.pods {
        pod.release = Some(7);
    }
    world.settle();
    assert_eq!((world.current(), world.phase()), (7, Phase::Stable));
}

#[test]
fn the_newest_ten_are_kept_and_what_runs() {
    let mut world = World::new();
    for spec in 'b'..='z' {
        world.ship(spec);
        world.count((500.0, 100.0), (1000.0, 0.0));
        world.settle();
        assert_eq!(world.phase(), Phase::RolledBack);
    }
    let numbers: Vec<u64> = world.records.iter().map(|(record, _)| record.number).collect();
    assert_eq!(numbers, [1, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26]);
}

#[test]
fn deciding_again_decides_the_same() {
    for spec in ['a', 'b'] {
        let mut world = World::new();
        world.ship(spec);
        let once = world.decide();
        let twice = world.decide();
        assert_eq!(once, twice);
    }
}
