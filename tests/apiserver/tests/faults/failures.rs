//! Failed requests: each class is reported and recovered from, for every kind and verb.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result};
use apiserver_tests::{
    Action, Proxy, RunningOperator, TestNamespace, block_on, condition, converges_to, install_gateway_api,
    keep_ready, options, settled,
};
use futures::{StreamExt, TryStreamExt, stream};
use observedapp_desired::Kind;
use serde_json::{Value, json};

use super::small;

/// Kinds that every app has in all phases.
const NEVER_DELETED: [&str; 2] = ["serviceaccounts", "prometheusrules"];

#[test]
fn every_class_of_failure_is_reported_and_recovered_from() -> Result<()> {
    let cases = [
        (409, "Conflict", "services"),
        (429, "Throttled", "deployments"),
        (500, "ApiServerUnavailable", "networkpolicies"),
        (403, "Forbidden", "serviceaccounts"),
        (422, "Rejected", "deployments"),
    ];
    block_on(async {
        stream::iter(cases)
            .map(|(code, reason, resource)| fails_for_a_while(code, reason, resource))
            .buffer_unordered(cases.len())
            .try_collect::<Vec<()>>()
            .await?;
        Ok(())
    })
}

async fn fails_for_a_while(code: u16, reason: &str, resource: &'static str) -> Result<()> {
    let ns = TestNamespace::new(&format!("fails-{code}")).await?;
    let (proxy, _operator) = RunningOperator::behind_proxy(&ns).await?;
    proxy.on_request(move |call| {
        if call.resource == resource && call.verb == "patch" {
            Action::Fail(code)
        } else {
            Action::Pass
        }
    });
    ns.apply("tasks", small()).await?;
    let what = format!("{code} for {resource} is reported");
    ns.until("tasks", &what, |app| condition(app, "Applied").1 == reason)
        .await?;
    proxy.on_request(|_| Action::Pass);
    // Once the cause is removed, the app recovers without waiting for the longest backoff.
    ns.apply("tasks", json!({"image": "tasks:2", "replicas": 1}))
        .await?;
    ns.applied("tasks").await.context(what)?;
    Ok(())
}

fn kinds() -> impl Iterator<Item = Kind> {
    // One of the optional kinds is not served here; releases.rs interrupts each write of a record.
    let others = [Kind::Cluster, Kind::ControllerRevision];
    Kind::ALL
        .iter()
        .copied()
        .filter(move |kind| !others.contains(kind))
}

/// One app per kind, whose requests fail for that kind.
fn app_of(kind: Kind) -> String {
    format!("at-{}", kind.plural())
}

fn phases(app: &str) -> [Value; 3] {
    let large = json!({
        "image": "tasks:1", "port": 5000, "autoscaling": {"maxReplicas": 5},
        "ingress": {"host": format!("{app}.example.com")},
        "gateway": {"parentRefs": [{"name": "public"}], "hostnames": [format!("{app}.example.com")]},
        "database": {"builtin": {"deletionPolicy": "Delete"}}, "cache": {"builtin": {}},
        "metrics": {"port": 8000}, "probe": {"path": "/tasks"},
    });
    let bare = json!({
        "image": "tasks:2", "replicas": 1, "dashboards": {"enabled": false}, "networkPolicy": {"enabled": false},
        "alerts": {
            "highCPU": {"enabled": false}, "highMemory": {"enabled": false}, "replicasUnavailable": {"enabled": false},
        },
    });
    [large.clone(), bare, large]
}

#[test]
fn every_verb_of_every_kind_can_fail_once() -> Result<()> {
    block_on(async {
        let (without_faults, disturbed) = (
            TestNamespace::new("unfailing").await?,
            TestNamespace::new("failing").await?,
        );
        install_gateway_api(&disturbed.client).await?;
        let arguments = |ns: &TestNamespace| {
            options(&[
                "--namespaces",
                &ns.name,
                "--prober-url=blackbox.monitoring.svc:9115",
            ])
        };
        let proxies = [
            Proxy::start(&without_faults).await?,
            Proxy::start(&disturbed).await?,
        ];
        let failed_calls: Arc<Mutex<BTreeSet<(String, &str)>>> = Arc::default();
        let strike = Arc::clone(&failed_calls);
        proxies[1].on_request(move |call| {
            let verbs = ["get", "patch", "delete"];
            let Some(verb) = verbs.iter().position(|verb| *verb == call.verb) else {
                return Action::Pass;
            };
            let Some(number) = kinds().position(|kind| kind.plural() == call.resource) else {
                return Action::Pass;
            };
            let concerns = call
                .name
                .as_ref()
                .is_some_and(|name| name.starts_with(&format!("at-{}", call.resource)));
            if !concerns || !strike.lock().unwrap().insert((call.resource.clone(), call.verb)) {
                return Action::Pass;
            }
            match (number + verb) % 5 {
                0 => Action::Fail(409),
                1 => Action::Fail(429),
                2 => Action::Fail(500),
                3 => Action::Fail(403),
                _ => Action::DropRequest,
            }
        });
        let _ready = [keep_ready(&without_faults), keep_ready(&disturbed)];
        let _reference = RunningOperator::start(arguments(&without_faults), proxies[0].config());
        let _failing = RunningOperator::start(arguments(&disturbed), proxies[1].config());
        for phase in 0..3 {
            for ns in [&without_faults, &disturbed] {
                for app in kinds().map(app_of) {
                    ns.apply(&app, phases(&app)[phase].clone()).await?;
                }
            }
            for app in kinds().map(app_of) {
                without_faults.applied(&app).await?;
            }
            let expected = settled(&without_faults).await?;
            converges_to(&disturbed, &expected)
                .await
                .with_context(|| format!("phase {phase}"))?;
        }
        let failed_calls = failed_calls.lock().unwrap().clone();
        for kind in kinds() {
            for verb in ["get", "patch", "delete"] {
                let resource = kind.plural();
                let never = verb == "delete" && NEVER_DELETED.contains(&resource);
                let was = failed_calls.contains(&(resource.to_owned(), verb));
                assert_eq!(was, !never, "{verb} {resource}");
            }
        }
        Ok(())
    })
}
