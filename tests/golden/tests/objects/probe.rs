//! The check from outside begins when there is something to check.

use std::collections::BTreeSet;

use golden_tests::{Case, default_observed, default_settings};
use observedapp_desired::{Desired, Kind, Observed, desired, validate};

fn of_everything(observed: Observed) -> Desired {
    let cases = Case::all().unwrap();
    let everything = cases.iter().find(|case| case.name == "everything").unwrap();
    desired(&validate(&everything.app, observed, default_settings()).unwrap())
}

fn names(desired: &Desired) -> BTreeSet<(Kind, String)> {
    let objects = desired.objects.iter();
    objects
        .map(|object| (object.kind(), object.name().to_owned()))
        .collect()
}

#[test]
fn an_app_that_has_not_answered_yet_has_all_but_its_probe() {
    let all = names(&of_everything(default_observed()));
    let before = names(&of_everything(Observed {
        has_answered: false,
        ..default_observed()
    }));
    let later: Vec<_> = all.difference(&before).collect();
    assert_eq!(later.len(), 1, "{later:?}");
    assert_eq!(later[0].0, Kind::Probe);
    assert!(before.is_subset(&all));
}

#[test]
fn that_probes_cannot_be_made_is_told_at_once() {
    let mut observed = Observed {
        has_answered: false,
        ..default_observed()
    };
    observed.optional_kinds.remove(&Kind::Probe);
    assert_eq!(of_everything(observed).missing, [Kind::Probe]);
}
