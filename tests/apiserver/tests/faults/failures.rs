//! Requests that fail: each class is told, and each is outlived, whatever the kind and the verb.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result};
use apiserver_tests::{
    Proxy, Running, Space, Verdict, answering, block_on, condition, ends_as, options, settled,
};
use futures::{StreamExt, TryStreamExt, stream};
use observedapp_desired::Kind;
use serde_json::{Value, json};

use super::small;

/// What every app has from the beginning to its end.
const NEVER_DELETED: [&str; 2] = ["serviceaccounts", "prometheusrules"];

#[test]
fn every_class_of_failure_is_told_and_outlived() -> Result<()> {
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
    let space = Space::new(&format!("fails-{code}")).await?;
    let (proxy, _operator) = Running::calm(&space).await?;
    proxy.judge(move |call| {
        if call.resource == resource && call.verb == "patch" {
            Verdict::Fail(code)
        } else {
            Verdict::Pass
        }
    });
    space.apply("tasks", small()).await?;
    let what = format!("{code} of {resource} is told");
    space
        .until("tasks", &what, |app| condition(app, "Applied").1 == reason)
        .await?;
    proxy.judge(|_| Verdict::Pass);
    // Whoever mends what is forbidden or rejected need not wait for the operator's patience to end.
    space
        .apply("tasks", json!({"image": "tasks:2", "replicas": 1}))
        .await?;
    space.applied("tasks").await.context(what)?;
    Ok(())
}

fn kinds() -> impl Iterator<Item = Kind> {
    // Of the optional kinds this server lacks one.
    Kind::ALL.iter().copied().filter(|kind| *kind != Kind::Cluster)
}

/// One app for each kind, which is the one that fails for it.
fn app_of(kind: Kind) -> String {
    format!("at-{}", kind.plural())
}

fn chapters(app: &str) -> [Value; 3] {
    let large = json!({
        "image": "tasks:1", "port": 5000, "autoscaling": {"maxReplicas": 5},
        "ingress": {"host": format!("{app}.example.com")},
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
fn every_verb_of_every_kind_may_fail() -> Result<()> {
    block_on(async {
        let (undisturbed, disturbed) = (Space::new("unfailing").await?, Space::new("failing").await?);
        let arguments = |space: &Space| {
            options(&[
                "--namespaces",
                &space.name,
                "--prober-url=blackbox.monitoring.svc:9115",
            ])
        };
        let proxies = [Proxy::start(&undisturbed).await?, Proxy::start(&disturbed).await?];
        let struck: Arc<Mutex<BTreeSet<(String, &str)>>> = Arc::default();
        let strike = Arc::clone(&struck);
        proxies[1].judge(move |call| {
            let verbs = ["get", "patch", "delete"];
            let Some(verb) = verbs.iter().position(|verb| *verb == call.verb) else {
                return Verdict::Pass;
            };
            let Some(number) = kinds().position(|kind| kind.plural() == call.resource) else {
                return Verdict::Pass;
            };
            let concerns = call
                .name
                .as_ref()
                .is_some_and(|name| name.starts_with(&format!("at-{}", call.resource)));
            if !concerns || !strike.lock().unwrap().insert((call.resource.clone(), call.verb)) {
                return Verdict::Pass;
            }
            match (number + verb) % 5 {
                0 => Verdict::Fail(409),
                1 => Verdict::Fail(429),
                2 => Verdict::Fail(500),
                3 => Verdict::Fail(403),
                _ => Verdict::Swallow,
            }
        });
        let _answering = [answering(&undisturbed), answering(&disturbed)];
        let _calm = Running::start(arguments(&undisturbed), proxies[0].config());
        let _failing = Running::start(arguments(&disturbed), proxies[1].config());
        for chapter in 0..3 {
            for space in [&undisturbed, &disturbed] {
                for app in kinds().map(app_of) {
                    space.apply(&app, chapters(&app)[chapter].clone()).await?;
                }
            }
            for app in kinds().map(app_of) {
                undisturbed.applied(&app).await?;
            }
            let expected = settled(&undisturbed).await?;
            ends_as(&disturbed, &expected)
                .await
                .with_context(|| format!("chapter {chapter}"))?;
        }
        let struck = struck.lock().unwrap().clone();
        for kind in kinds() {
            for verb in ["get", "patch", "delete"] {
                let resource = kind.plural();
                let never = verb == "delete" && NEVER_DELETED.contains(&resource);
                let was = struck.contains(&(resource.to_owned(), verb));
                assert_eq!(was, !never, "{verb} {resource}");
            }
        }
        Ok(())
    })
}
