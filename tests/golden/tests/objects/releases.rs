//! A release that is taken back leaves no trace in the pods of the one before.

use golden_tests::{default_observed, default_settings};
use jiff::Timestamp;
use observedapp_api::ObservedApp;
use observedapp_desired::{
    Desired, Kind, ObservedRelease, ObservedReleases, ReleaseFields, desired, validate,
};
use observedapp_release::{Measured, Phase, Record, Running};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::random::any_spec;

fn app(spec: &Value) -> ObservedApp {
    serde_json::from_value(json!({
        "apiVersion": "observedapp.dev/v1alpha1",
        "kind": "ObservedApp",
        "metadata": {"name": "a-b", "namespace": "n", "uid": "u"},
        "spec": spec,
    }))
    .unwrap()
}

fn guarded(mut spec: Value) -> Value {
    spec["rollout"] = json!({"guard": {}});
    spec["replicas"] = json!(2);
    spec
}

fn recorded(number: u64, phase: Phase, promoted: bool, spec: &Value) -> ObservedRelease {
    let since = Timestamp::UNIX_EPOCH;
    let record: Record = serde_json::from_value(json!({
        "phase": phase, "since": since, "began": since, "promoted": promoted,
    }))
    .unwrap();
    ObservedRelease {
        record: Record { number, ..record },
        fields: ReleaseFields::of(&app(spec).spec),
        version: 1,
        references_digest: None,
    }
}

fn with_records(spec: &Value, records: Vec<ObservedRelease>) -> Desired {
    let mut observed = default_observed();
    observed.releases = Some(ObservedReleases {
        highest: records.len() as u64,
        running: Running::Release(1),
        measured: Measured {
            asked: true,
            ..Measured::default()
        },
        records,
        ..ObservedReleases::default()
    });
    desired(&validate(&app(spec), observed, default_settings()).unwrap())
}

fn deployment(desired: &Desired) -> Value {
    let of_app =
        |object: &&observedapp_desired::Object| object.kind() == Kind::Deployment && object.name() == "a-b";
    serde_json::to_value(desired.objects.iter().find(of_app).unwrap()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_taken_back_to_is_what_ran(old in any_spec(), new in any_spec()) {
        let (old, new) = (guarded(old), guarded(new));
        let first = || recorded(1, Phase::Stable, true, &old);
        let ran = deployment(&with_records(&old, vec![first()]));
        let taken_back = with_records(&new, vec![first(), recorded(2, Phase::RolledBack, false, &new)]);
        if ReleaseFields::of(&app(&old).spec) != ReleaseFields::of(&app(&new).spec) {
            prop_assert_eq!(
                &deployment(&taken_back)["spec"]["template"],
                &ran["spec"]["template"],
                "not one pod is replaced"
            );
        }
    }
}

#[test]
fn a_trial_is_one_pod_and_keeps_what_the_old_pods_need() {
    let old = guarded(json!({
        "image": "tasks:1", "port": 5000, "metrics": {"port": 8000}, "cache": {"builtin": {}},
        "env": [{"name": "A", "value": "1"}],
    }));
    let new = guarded(json!({"image": "tasks:2", "port": 5001, "metrics": {"port": 8001}}));
    let records = vec![
        recorded(1, Phase::Stable, true, &old),
        recorded(2, Phase::Baking, false, &new),
    ];
    let desired = with_records(&new, records);
    let trial = deployment(&desired);
    let spec = &trial["spec"];
    assert_eq!(
        spec["template"]["metadata"]["labels"]["observedapp.dev/release"],
        "2"
    );
    assert_eq!(spec["template"]["spec"]["containers"][0]["image"], "tasks:2");
    assert_eq!(
        spec["strategy"]["rollingUpdate"],
        json!({"maxSurge": 1, "maxUnavailable": 0})
    );
    assert_eq!(spec["minReadySeconds"], 360);
    assert!(spec["progressDeadlineSeconds"].as_i64() > spec["minReadySeconds"].as_i64());
    assert!(desired.keeps_all, "the old pods use the cache");

    let policy = desired
        .objects
        .iter()
        .find(|object| object.kind() == Kind::NetworkPolicy);
    let policy = serde_json::to_value(policy.unwrap()).unwrap();
    let ports = |rule: usize| {
        let ports = policy["spec"]["ingress"][rule]["ports"].as_array().unwrap();
        ports
            .iter()
            .map(|port| port["port"].as_i64().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!((ports(0), ports(1)), (vec![5000, 5001], vec![8000, 8001]));
}

#[test]
fn what_shapes_no_pod_is_no_release() {
    let before = guarded(json!({"image": "tasks:1"}));
    let mut after = before.clone();
    for (field, value) in [
        ("replicas", json!(5)),
        (
            "slos",
            json!([{"name": "a", "objective": 99, "indicator": {"probe": {}}}]),
        ),
        ("probe", json!({})),
        ("ingress", json!({"host": "a.example.com"})),
        ("service", json!({"port": 81})),
        ("dashboards", json!({"enabled": false})),
        ("networkPolicy", json!({"enabled": false})),
        ("rollout", json!({"guard": {"bakeTime": "1m"}, "maxSurge": 2})),
    ] {
        after[field] = value;
        let fields = |spec: &Value| ReleaseFields::of(&app(spec).spec);
        assert_eq!(fields(&after), fields(&before), "{field}");
    }
}
