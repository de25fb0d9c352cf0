//! The operator is killed before and after each of its writes and restarted; every phase must converge to the state of
//! a run without a crash.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use apiserver_tests::{
    Crash, Proxy, RunningOperator, TestNamespace, block_on, converges_to, eventually, keep_ready, options,
    settled, survive_each,
};
use observedapp_desired::Kind;
use serde_json::{Value, json};

/// Runs side by side.
const CONCURRENCY: usize = 12;

/// The specs of a run: every capability, none, others.
fn phases(host: &str) -> [Value; 3] {
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

/// The state at the end of each phase, and the number of writes.
struct Outcome {
    ends: Vec<BTreeMap<String, String>>,
    writes: usize,
}

/// Runs all phases. If the states of another run are given, each phase is awaited until it ends in the same state.
async fn run_phases(crash: Crash, expected: Option<&[BTreeMap<String, String>]>) -> Result<Outcome> {
    let purpose = match crash {
        Crash::Never => "without-faults".to_owned(),
        Crash::Before(k) => format!("before-{k}"),
        Crash::After(k) => format!("after-{k}"),
    };
    let ns = TestNamespace::new(&purpose).await?;
    let proxy = Proxy::start(&ns).await?;
    let coming = crash.prepare(&proxy, |_| true);
    let arguments = [
        "--namespaces",
        &ns.name,
        "--prober-url=blackbox.monitoring.svc:9115",
    ];
    let _ready = keep_ready(&ns);
    let start = || RunningOperator::start(options(&arguments), proxy.config());
    let first = start();
    let ends = tokio::select! {
        ends = run_to_the_end(&ns, expected) => ends?,
        error = coming.kill_and_restart(&proxy, first, start) => match error? {},
    };
    Ok(Outcome {
        ends,
        writes: proxy.writes().len(),
    })
}

/// Applies the phases and deletes the app; returns the state at the end of each.
async fn run_to_the_end(
    ns: &TestNamespace,
    expected: Option<&[BTreeMap<String, String>]>,
) -> Result<Vec<BTreeMap<String, String>>> {
    let (mut ends, mut data) = (Vec::new(), Vec::new());
    for (number, spec) in phases(&format!("{}.example.com", ns.name))
        .into_iter()
        .enumerate()
    {
        ns.apply("tasks", spec).await?;
        ns.applied("tasks")
            .await
            .with_context(|| format!("phase {number}"))?;
        ends.push(phase_end(ns, expected.map(|ends| &ends[number])).await?);
        data.push(data_of(ns).await?);
    }
    ensure!(
        data.iter().all(|one| *one == data[0]),
        "the password or the claim has changed: {data:?}"
    );
    ns.delete("tasks").await?;
    let kept = [Kind::Secret, Kind::PersistentVolumeClaim];
    eventually(
        &format!("{}: only retained objects are left", ns.name),
        async || {
            let mut left = Vec::new();
            for kind in Kind::ALL.iter().filter(|kind| !kept.contains(kind)) {
                // The API may not be served.
                left.extend(ns.names(*kind).await.unwrap_or_default());
            }
            ensure!(left.is_empty(), "{left:?}");
            Ok(())
        },
    )
    .await?;
    ends.push(phase_end(ns, expected.map(|ends| &ends[ends.len() - 1])).await?);
    Ok(ends)
}

/// The password, and the uid of the claim: neither may change.
async fn data_of(ns: &TestNamespace) -> Result<(String, Option<String>)> {
    let secret = ns.objects(Kind::Secret).get("tasks-db-app").await?;
    let claim = ns.objects(Kind::PersistentVolumeClaim).get("tasks-db").await?;
    Ok((secret.data["data"]["password"].to_string(), claim.metadata.uid))
}

/// Waits for the expected state, or returns the state once it has stopped changing.
async fn phase_end(
    ns: &TestNamespace,
    expected: Option<&BTreeMap<String, String>>,
) -> Result<BTreeMap<String, String>> {
    let Some(expected) = expected else {
        return settled(ns).await;
    };
    converges_to(ns, expected).await?;
    Ok(expected.clone())
}

#[test]
fn a_crash_before_or_after_any_write_converges_to_the_same_state() -> Result<()> {
    block_on(async {
        let without_faults = run_phases(Crash::Never, None).await?;
        println!("a run without a crash has {} writes", without_faults.writes);
        let ends = &without_faults.ends;
        let crashes_survived = survive_each(without_faults.writes, CONCURRENCY, |crash| {
            run_phases(crash, Some(ends))
        })
        .await?;
        println!("recovered from {crashes_survived} crashes");
        Ok(())
    })
}
