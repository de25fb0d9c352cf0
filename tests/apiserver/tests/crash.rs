//! A crash at every write: the operator is killed before and after each single write of one full life, and started
//! again. Whatever it left half done, the end of every chapter must be that of a life without a crash.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use apiserver_tests::{
    Proxy, Running, Space, Verdict, answering, block_on, ends_as, eventually, options, settled,
};
use futures::{StreamExt, TryStreamExt, stream};
use observedapp_desired::Kind;
use serde_json::{Value, json};
use tokio::sync::Notify;

/// How many lives are lived side by side.
const SIDE_BY_SIDE: usize = 12;

/// Where in a life the operator is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Crash {
    Never,
    /// Its k-th write never reaches the API server.
    Before(usize),
    /// Its k-th write reaches the API server, and the answer never comes back.
    After(usize),
}

/// The chapters of a life, each a spec: everything on, everything off, other things on.
fn chapters(host: &str) -> [Value; 3] {
    [
        json!({
            "image": "tasks:1", "port": 5000,
            "ingress": {"host": host},
            "autoscaling": {"maxReplicas": 5},
            "database": {"builtin": {}}, "cache": {"builtin": {}},
            "metrics": {"port": 8000}, "probe": {"path": "/tasks"},
            "slos": [{"name": "availability", "objective": 99.9, "indicator": {"availability": {}}}],
        }),
        json!({"image": "tasks:2", "replicas": 1, "dashboards": {"enabled": false}, "networkPolicy": {"enabled": false}}),
        json!({
            "image": "tasks:2", "replicas": 3,
            "database": {"builtin": {}}, "metrics": {},
            "slos": [{"name": "latency", "objective": 99, "indicator": {"latency": {"threshold": "300ms"}}}],
        }),
    ]
}

/// What a life left behind at the end of each chapter, and how many writes it took.
struct Life {
    ends: Vec<BTreeMap<String, String>>,
    writes: usize,
}

/// Lives one life. With the ends of another given, each chapter is awaited until it ends as that one's did.
async fn live(crash: Crash, expected: Option<&[BTreeMap<String, String>]>) -> Result<Life> {
    let purpose = match crash {
        Crash::Never => "undisturbed".to_owned(),
        Crash::Before(k) => format!("before-{k}"),
        Crash::After(k) => format!("after-{k}"),
    };
    let space = Space::new(&purpose).await?;
    let proxy = Proxy::start(&space).await?;
    let struck = Arc::new(Notify::new());
    let strike = Arc::clone(&struck);
    proxy.judge(move |call| match (crash, call.write) {
        (Crash::Before(k), Some(write)) if write == k => {
            strike.notify_one();
            Verdict::Swallow
        }
        (Crash::After(k), Some(write)) if write == k => {
            // The answer is lost with the operator; that the write arrived is what matters.
            strike.notify_one();
            Verdict::LoseAnswer
        }
        _ => Verdict::Pass,
    });
    let arguments = [
        "--namespaces",
        &space.name,
        "--prober-url=blackbox.monitoring.svc:9115",
    ];
    let _answering = answering(&space);
    let first = Running::start(options(&arguments), proxy.config());
    let config = proxy.config();
    let again = options(&arguments);
    let operator = tokio::spawn(async move {
        if crash == Crash::Never {
            std::future::pending::<()>().await;
        }
        struck.notified().await;
        // After: the write is on its way to the API server now; it must not be cut off with the operator.
        tokio::time::sleep(Duration::from_millis(if matches!(crash, Crash::After(_)) {
            200
        } else {
            0
        }))
        .await;
        first.kill().await;
        let _second = Running::start(again, config);
        std::future::pending::<()>().await;
    });
    let operator = tokio_util::task::AbortOnDropHandle::new(operator);

    let (mut ends, mut data) = (Vec::new(), Vec::new());
    for (number, spec) in chapters(&format!("{}.example.com", space.name))
        .into_iter()
        .enumerate()
    {
        space.apply("tasks", spec).await?;
        space
            .applied("tasks")
            .await
            .with_context(|| format!("chapter {number}"))?;
        ends.push(ending(&space, expected.map(|ends| &ends[number])).await?);
        data.push(data_of(&space).await?);
    }
    ensure!(
        data.iter().all(|one| *one == data[0]),
        "the password or the claim is not what it was: {data:?}"
    );
    space.delete("tasks").await?;
    let kept = [Kind::Secret, Kind::PersistentVolumeClaim];
    eventually(
        &format!("{}: only what is kept is left", space.name),
        async || {
            let mut left = Vec::new();
            for kind in Kind::ALL.iter().filter(|kind| !kept.contains(kind)) {
                // An API that is not served holds nothing.
                left.extend(space.names(*kind).await.unwrap_or_default());
            }
            Ok(if left.is_empty() {
                Ok(())
            } else {
                Err(format!("{left:?}"))
            })
        },
    )
    .await?;
    ends.push(ending(&space, expected.map(|ends| &ends[ends.len() - 1])).await?);
    drop(operator);
    Ok(Life {
        ends,
        writes: proxy.writes().len(),
    })
}

/// What must never be another: the password, and the claim that was made with it.
async fn data_of(space: &Space) -> Result<(String, Option<String>)> {
    let secret = space.objects(Kind::Secret).get("tasks-db-app").await?;
    let claim = space.objects(Kind::PersistentVolumeClaim).get("tasks-db").await?;
    Ok((secret.data["data"]["password"].to_string(), claim.metadata.uid))
}

/// What a chapter ends with: what is expected, or what exists once it has stopped changing.
async fn ending(
    space: &Space,
    expected: Option<&BTreeMap<String, String>>,
) -> Result<BTreeMap<String, String>> {
    let Some(expected) = expected else {
        return settled(space).await;
    };
    ends_as(space, expected).await?;
    Ok(expected.clone())
}

#[test]
fn a_crash_before_or_after_any_write_changes_nothing_in_the_end() -> Result<()> {
    block_on(async {
        let undisturbed = live(Crash::Never, None).await?;
        println!("one life takes {} writes", undisturbed.writes);
        // A crash can make a life longer, but a crash beyond its end is none.
        let crashes = (1..=undisturbed.writes).flat_map(|k| [Crash::Before(k), Crash::After(k)]);
        let ends = &undisturbed.ends;
        let lived = stream::iter(crashes)
            .map(|crash| async move {
                live(crash, Some(ends))
                    .await
                    .with_context(|| format!("{crash:?}"))
            })
            .buffer_unordered(SIDE_BY_SIDE)
            .try_fold(0, |count, _| async move { Ok(count + 1) })
            .await?;
        println!("{lived} crashes, all survived");
        Ok(())
    })
}
