//! What the verdict promises, on simulated counts.
#![allow(clippy::unwrap_used)]

use observedapp_release::comparison::{Counts, Interval, SloCounts, compare};
use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use simulation::{Traffic, incident, span};

#[path = "../benches/support/simulation.rs"]
mod simulation;

const SEED: u64 = 20;
/// Ten requests a second to each pod in spans of 15 s, beside two old pods.
const TRAFFIC: Traffic = Traffic {
    requests: 150.0,
    old_pods: 2,
};

fn slo(intervals: Vec<Interval>) -> SloCounts {
    SloCounts {
        name: "availability".to_owned(),
        budget: 0.001,
        intervals,
    }
}

fn is_bad(intervals: &[Interval]) -> bool {
    compare(&[slo(intervals.to_vec())]).bad().is_some()
}

fn counts(events: f64, failures: f64) -> Counts {
    Counts { events, failures }
}

fn spans(rng: &mut SmallRng, number: usize, new: f64, old: f64) -> Vec<Interval> {
    (0..number).map(|_| span(rng, TRAFFIC, new, old)).collect()
}

#[test]
fn good_releases_are_rarely_told_bad() {
    let mut rng = SmallRng::seed_from_u64(SEED);
    // All fail more than allowed, so only the old pods speak for the release; or none of the old ones fail.
    for (new, old) in [(0.2, 0.2), (0.01, 0.01), (0.001, 0.0)] {
        let told = (0..3_000).filter(|_| is_bad(&spans(&mut rng, 60, new, old)));
        let told = told.count();
        assert!(told <= 3, "{told} of 3000 where {new} fail, and {old} before");
    }
}

#[test]
fn an_incident_that_hits_all_pods_is_no_evidence() {
    let mut rng = SmallRng::seed_from_u64(SEED);
    let told = (0..1_000).filter(|_| is_bad(&incident(&mut rng, 1)));
    assert_eq!(told.count(), 0);
}

#[test]
fn a_release_that_fails_much_is_told_within_a_minute() {
    let mut rng = SmallRng::seed_from_u64(SEED);
    for new in [0.2, 1.0] {
        for _ in 0..200 {
            assert!(is_bad(&spans(&mut rng, 4, new, 0.001)), "{new} fail");
        }
    }
}

#[test]
fn what_was_told_stays() {
    let mut rng = SmallRng::seed_from_u64(SEED);
    let mut intervals = spans(&mut rng, 4, 0.2, 0.001);
    assert!(is_bad(&intervals));
    intervals.extend(spans(&mut rng, 500, 0.0, 0.001));
    assert!(is_bad(&intervals));
}

#[test]
fn a_release_that_fails_within_the_budget_is_not_bad() {
    let mut rng = SmallRng::seed_from_u64(SEED);
    let comparison = compare(&[slo(spans(&mut rng, 500, 0.0005, 0.0))]);
    assert!(comparison.bad().is_none());
    assert!(comparison.slos[0].relative >= 1.0, "{comparison:?}");
}

#[test]
fn without_old_pods_nothing_is_told() {
    let span = Interval {
        new: counts(1000.0, 1000.0),
        old: counts(0.0, 0.0),
    };
    assert!(!is_bad(&[span; 100]));
}

#[test]
fn a_span_with_an_impossible_count_is_left_out() {
    let bad = Interval {
        new: counts(100.0, 50.0),
        old: counts(100.0, 0.0),
    };
    for wrong in [f64::NAN, f64::INFINITY, -1.0] {
        let unknown = Interval {
            old: counts(100.0, wrong),
            ..bad
        };
        let comparison = compare(&[slo(vec![unknown; 10])]);
        assert!(comparison.bad().is_none());
        assert!(comparison.requests_seen() == 0.0);
        assert!(is_bad(&[unknown, bad, unknown, bad, bad, bad]));
    }
}

#[test]
fn the_more_objectives_the_more_is_needed() {
    let mut rng = SmallRng::seed_from_u64(SEED);
    let bad = slo(spans(&mut rng, 3, 0.1, 0.001));
    let evidence = |others: usize| {
        let mut slos = vec![slo(Vec::new()); others];
        slos.push(bad.clone());
        compare(&slos).worst().unwrap().evidence
    };
    assert!((evidence(0) / evidence(19) - 20_000_f64.ln() / 1_000_f64.ln()).abs() < 1e-9);
}

#[test]
fn the_worst_objective_is_named() {
    let mut rng = SmallRng::seed_from_u64(SEED);
    let of = |name: &str, intervals| SloCounts {
        name: name.to_owned(),
        ..slo(intervals)
    };
    let fails = of("fails", spans(&mut rng, 10, 0.3, 0.0));
    let fails_more = of("fails more", spans(&mut rng, 10, 0.6, 0.0));
    let well = of("well", spans(&mut rng, 20, 0.0, 0.0));
    let unseen = of("unseen", Vec::new());
    let comparison = compare(&[well.clone(), fails.clone(), fails_more, unseen.clone()]);
    assert_eq!(comparison.bad().unwrap().name, "fails more");
    assert!(comparison.requests_seen() > 2_500.0);
    let some = of("some", spans(&mut rng, 20, 0.01, 0.01));
    let comparison = compare(&[unseen.clone(), some, well]);
    assert_eq!(comparison.worst().unwrap().name, "some");
    assert!(comparison.bad().is_none());
    assert!(compare(&[unseen]).worst().is_none());
    assert!(compare(&[]).worst().is_none());
}

#[test]
fn days_are_compared_as_well() {
    let mut rng = SmallRng::seed_from_u64(SEED);
    let mut intervals = spans(&mut rng, 20_000, 0.001, 0.001);
    assert!(!is_bad(&intervals));
    intervals.extend(spans(&mut rng, 200, 0.2, 0.001));
    assert!(is_bad(&intervals));
}

fn any_count() -> impl Strategy<Value = f64> {
    prop_oneof![any::<f64>(), Just(0.0), 0.0..100.0]
}

fn any_interval<S: Strategy<Value = f64>>(count: fn() -> S) -> impl Strategy<Value = Interval> {
    [count(), count(), count(), count()].prop_map(|[events, failures, old_events, old_failures]| Interval {
        new: counts(events, failures),
        old: counts(old_events, old_failures),
    })
}

proptest! {
    #[test]
    fn any_counts_have_an_answer(
        budget in prop_oneof![any::<f64>(), 0.0..1.0],
        intervals in prop::collection::vec(any_interval(any_count), 0..50),
    ) {
        let slo = SloCounts { budget, ..slo(intervals) };
        let comparison = compare(&[slo.clone(), slo]);
        prop_assert!(comparison.requests_seen() >= 0.0);
        prop_assert!(comparison.bad().is_none() || comparison.worst().is_some());
        for slo in comparison.slos {
            for figure in [slo.relative, slo.absolute, slo.evidence] {
                prop_assert!(figure >= 0.0 && figure.is_finite());
            }
        }
    }

    #[test]
    fn a_failure_more_never_speaks_for_its_side(
        mut intervals in prop::collection::vec(any_interval(|| 0.0..100.0), 1..50),
        at in any::<prop::sample::Index>(),
        more in 0.0..1.0,
    ) {
        let at = at.index(intervals.len());
        let compared = |intervals: &[Interval]| compare(&[slo(intervals.to_vec())]).slos.remove(0);
        let before = compared(&intervals);
        let unchanged = intervals.clone();
        let fail_more = |counts: &mut Counts| {
            let failures = counts.failures.min(counts.events);
            counts.failures = failures + more * (counts.events - failures);
        };
        fail_more(&mut intervals[at].new);
        let after = compared(&intervals);
        prop_assert!(after.relative >= before.relative - 1e-9);
        prop_assert!(after.absolute >= before.absolute - 1e-9);
        prop_assert!(after.evidence >= before.evidence - 1e-9);
        intervals = unchanged;
        fail_more(&mut intervals[at].old);
        let after = compared(&intervals);
        prop_assert!(after.relative <= before.relative + 1e-9);
        prop_assert!(after.absolute <= before.absolute);
        prop_assert!(after.evidence <= before.evidence + 1e-9);
    }
}
