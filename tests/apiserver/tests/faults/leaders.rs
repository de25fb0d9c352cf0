//! Leader election between two replicas of the operator.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use apiserver_tests::{
    Action, Gate, Proxy, RunningOperator, TestNamespace, block_on, converges_to, eventually, options,
    settled, short_intervals,
};
use futures::{StreamExt, TryStreamExt, stream};
use observedapp_controller::Timing;
use serde_json::{Value, json};

use super::small;

fn candidate(ns: &TestNamespace, proxy: &Proxy, identity: &str) -> RunningOperator {
    let arguments = [&ns.elected()[..], &["--identity", identity]].concat();
    RunningOperator::start(options(&arguments), proxy.config())
}

/// Consecutive specs differ in every kind of object.
fn phase(number: usize) -> Value {
    match number {
        0 => json!({"image": "tasks:1", "replicas": 3, "cache": {"builtin": {}}, "metrics": {"port": 8000}}),
        1 => {
            json!({"image": "tasks:2", "replicas": 4, "database": {"builtin": {"deletionPolicy": "Delete"}}})
        }
        _ => {
            json!({"image": "tasks:3", "replicas": 2, "cache": {"builtin": {"memory": "128Mi"}}, "metrics": {"port": 9000}})
        }
    }
}

#[test]
fn one_of_two_operators_leads_and_the_other_takes_over() -> Result<()> {
    block_on(async {
        let ns = TestNamespace::new("leaders").await?;
        let [one, two] = [Proxy::start(&ns).await?, Proxy::start(&ns).await?];
        let first = candidate(&ns, &one, "one");
        ns.apply("tasks", small()).await?;
        ns.applied("tasks").await?;
        let _second = candidate(&ns, &two, "two");
        // The leader loses the API server in the middle of its work: it must stop before the other takes over.
        one.on_request(|_| Action::DropRequest);
        ns.apply("tasks", json!({"image": "tasks:2", "replicas": 1}))
            .await?;
        ns.applied("tasks").await?;
        let by_first = one.writes().len();
        // It can reach the API server again, and must not write.
        one.on_request(|_| Action::Pass);
        ns.apply("tasks", json!({"image": "tasks:3", "replicas": 1}))
            .await?;
        ns.applied("tasks").await?;
        assert_eq!(one.writes().len(), by_first, "{:#?}", one.writes());
        first.kill().await;
        Ok(())
    })
}

/// A Lease cannot stop a write that was sent while it was held. Each write of a leader is delayed in turn until another
/// leader has written later state.
#[test]
fn late_writes_of_a_former_leader_do_not_change_the_result() -> Result<()> {
    block_on(async {
        let reference = TestNamespace::new("without-faults").await?;
        let (proxy, _operator) = RunningOperator::behind_proxy(&reference).await?;
        let mut writes = Vec::new();
        for number in 0..3 {
            reference.apply("tasks", phase(number)).await?;
            reference.applied("tasks").await?;
            writes.push(proxy.writes().len());
        }
        let expected = &settled(&reference).await?;
        let written = writes[1] - writes[0];
        println!("{written} writes, each delayed once");
        stream::iter(0..written)
            .map(|passing| async move {
                delay_after(passing, expected)
                    .await
                    .with_context(|| format!("delayed after {passing} writes"))
            })
            .buffer_unordered(8)
            .try_collect::<Vec<()>>()
            .await?;
        Ok(())
    })
}

async fn delay_after(passing: usize, expected: &BTreeMap<String, String>) -> Result<()> {
    let ns = TestNamespace::new("late-writes").await?;
    let [one, two] = [Proxy::start(&ns).await?, Proxy::start(&ns).await?];
    let first = candidate(&ns, &one, "one");
    ns.apply("tasks", phase(0)).await?;
    ns.applied("tasks").await?;
    let gate = Gate::default();
    let held = gate.clone();
    let last = one.writes().len() + passing;
    let late = Arc::new(AtomicBool::new(false));
    let is_late = Arc::clone(&late);
    one.on_request(move |call| {
        if call.write.is_some_and(|write| write > last) {
            is_late.store(true, Ordering::Relaxed);
        }
        let is_read = matches!(call.verb, "get" | "list" | "watch");
        match &*call.resource {
            _ if !is_late.load(Ordering::Relaxed) => Action::Pass,
            // It never leads again: it sent every later write before it lost the Lease.
            "leases" => Action::DropRequest,
            _ if is_read => Action::Pass,
            _ => Action::Hold(held.clone()),
        }
    });
    ns.apply("tasks", phase(1)).await?;
    eventually("the leader has sent the write to delay", async || {
        ensure!(late.load(Ordering::Relaxed), "{:#?}", one.writes().len());
        Ok(())
    })
    .await?;
    let _second = candidate(&ns, &two, "two");
    ns.apply("tasks", phase(2)).await?;
    ns.applied("tasks").await?;
    gate.open();
    eventually("every delayed write has a response", async || {
        let waiting = one.writes().into_iter().find(|call| call.answer.is_none());
        ensure!(waiting.is_none(), "{waiting:?}");
        Ok(())
    })
    .await?;
    // Late creations are deleted again, and late deletions restored, because the owner reconciles them; but no late
    // update may succeed.
    let put_back: Vec<_> = one
        .writes()
        .into_iter()
        .skip(last)
        .filter(|call| call.verb == "patch" && call.answer == Some(200))
        .collect();
    ensure!(put_back.is_empty(), "late updates that succeeded: {put_back:#?}");
    converges_to(&ns, expected).await?;
    first.kill().await;
    Ok(())
}

/// A Lease request without a response is cancelled early enough for another one; it used to cost the leadership.
#[test]
fn a_hanging_lease_request_is_retried_before_the_lease_expires() -> Result<()> {
    block_on(async {
        let ns = TestNamespace::new("hung").await?;
        let proxy = Proxy::start(&ns).await?;
        let hang_once = || {
            let hung = AtomicBool::new(false);
            proxy.on_request(move |call| {
                if call.resource == "leases" && !hung.swap(true, Ordering::Relaxed) {
                    Action::DropRequest
                } else {
                    Action::Pass
                }
            });
        };
        let count = |verb: &str, resource: &str| {
            let calls = proxy.calls();
            let same = |call: &&apiserver_tests::Call| call.verb == verb && call.resource == resource;
            calls.iter().filter(same).count()
        };
        // No other timeout may cancel the request.
        let timing = Timing {
            silence: Duration::from_mins(5),
            ..short_intervals()
        };
        hang_once();
        let arguments = [&ns.elected()[..], &["--identity", "one"]].concat();
        let _operator = RunningOperator::start_timed(options(&arguments), proxy.config(), timing);
        ns.apply("tasks", small()).await?;
        ns.applied("tasks").await?;

        let (lists, renewals) = (count("list", "services"), count("update", "leases"));
        hang_once();
        eventually("the lease is renewed again", async || {
            let now = count("update", "leases");
            ensure!(now >= renewals + 3, "{now}");
            Ok(())
        })
        .await?;
        ensure!(
            count("list", "services") == lists,
            "the leadership was lost: objects were listed again"
        );
        Ok(())
    })
}
