//! Two replicas of the operator, of which one leads.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use apiserver_tests::{
    Gate, Proxy, Running, Space, Verdict, block_on, ends_as, eventually, hasty, options, settled,
};
use futures::{StreamExt, TryStreamExt, stream};
use observedapp_controller::Timing;
use serde_json::{Value, json};

use super::small;

fn candidate(space: &Space, proxy: &Proxy, identity: &str) -> Running {
    let arguments = [&space.elected()[..], &["--identity", identity]].concat();
    Running::start(options(&arguments), proxy.config())
}

/// A spec that differs from the next in every kind of object.
fn chapter(number: usize) -> Value {
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
fn of_two_operators_one_leads_and_the_other_takes_over() -> Result<()> {
    block_on(async {
        let space = Space::new("leaders").await?;
        let [one, two] = [Proxy::start(&space).await?, Proxy::start(&space).await?];
        let first = candidate(&space, &one, "one");
        space.apply("tasks", small()).await?;
        space.applied("tasks").await?;
        let _second = candidate(&space, &two, "two");
        // The leader is cut off from the API server in the middle of its life: it must stop before the other begins.
        one.judge(|_| Verdict::Swallow);
        space
            .apply("tasks", json!({"image": "tasks:2", "replicas": 1}))
            .await?;
        space.applied("tasks").await?;
        let by_first = one.writes().len();
        // It comes back to life, and has nothing to say.
        one.judge(|_| Verdict::Pass);
        space
            .apply("tasks", json!({"image": "tasks:3", "replicas": 1}))
            .await?;
        space.applied("tasks").await?;
        assert_eq!(one.writes().len(), by_first, "{:#?}", one.writes());
        first.kill().await;
        Ok(())
    })
}

/// A Lease cannot keep back a write that was sent while it was held. A leader freezes with any of its writes on the
/// way; that arrives only when another leader has done what came later.
#[test]
fn what_a_frozen_leader_had_sent_makes_no_difference_when_it_thaws() -> Result<()> {
    block_on(async {
        let calm = Space::new("undisturbed").await?;
        let (proxy, _operator) = Running::calm(&calm).await?;
        let mut writes = Vec::new();
        for number in 0..3 {
            calm.apply("tasks", chapter(number)).await?;
            calm.applied("tasks").await?;
            writes.push(proxy.writes().len());
        }
        let expected = &settled(&calm).await?;
        let written = writes[1] - writes[0];
        println!("{written} writes, each of them late once");
        stream::iter(0..written)
            .map(|passing| async move {
                freeze_after(passing, expected)
                    .await
                    .with_context(|| format!("frozen after {passing} writes"))
            })
            .buffer_unordered(8)
            .try_collect::<Vec<()>>()
            .await?;
        Ok(())
    })
}

async fn freeze_after(passing: usize, expected: &BTreeMap<String, String>) -> Result<()> {
    let space = Space::new("frozen").await?;
    let [one, two] = [Proxy::start(&space).await?, Proxy::start(&space).await?];
    let first = candidate(&space, &one, "one");
    space.apply("tasks", chapter(0)).await?;
    space.applied("tasks").await?;
    let gate = Gate::default();
    let held = gate.clone();
    let last = one.writes().len() + passing;
    let lost = Arc::new(AtomicBool::new(false));
    let is_lost = Arc::clone(&lost);
    one.judge(move |call| {
        if call.write.is_some_and(|write| write > last) {
            is_lost.store(true, Ordering::Relaxed);
        }
        let is_read = matches!(call.verb, "get" | "list" | "watch");
        match &*call.resource {
            _ if !is_lost.load(Ordering::Relaxed) => Verdict::Pass,
            // It never leads again: all that it writes from now on it had sent before.
            "leases" => Verdict::Swallow,
            _ if is_read => Verdict::Pass,
            _ => Verdict::Hold(held.clone()),
        }
    });
    space.apply("tasks", chapter(1)).await?;
    eventually("the leader has sent its last write", async || {
        Ok(if lost.load(Ordering::Relaxed) {
            Ok(())
        } else {
            Err(format!("{:#?}", one.writes().len()))
        })
    })
    .await?;
    let _second = candidate(&space, &two, "two");
    space.apply("tasks", chapter(2)).await?;
    space.applied("tasks").await?;
    gate.open();
    eventually("all that was sent has its answer", async || {
        let waiting = one.writes().into_iter().find(|call| call.answer.is_none());
        Ok(waiting.map_or(Ok(()), |call| Err(format!("{call:?}"))))
    })
    .await?;
    // What it makes is the app's and is deleted for that, and what it deletes nobody has changed since, and is made
    // again; but nothing goes back to what it was.
    let put_back: Vec<_> = one
        .writes()
        .into_iter()
        .skip(last)
        .filter(|call| call.verb == "patch" && call.answer == Some(200))
        .collect();
    ensure!(put_back.is_empty(), "late writes that were taken: {put_back:#?}");
    ends_as(&space, expected).await?;
    first.kill().await;
    Ok(())
}

/// A request for the Lease that nobody answers is given up in time for another: before, one cost the lead.
#[test]
fn a_request_for_the_lease_that_hangs_is_tried_again_in_time() -> Result<()> {
    block_on(async {
        let space = Space::new("hung").await?;
        let proxy = Proxy::start(&space).await?;
        let hang_once = || {
            let hung = AtomicBool::new(false);
            proxy.judge(move |call| {
                if call.resource == "leases" && !hung.swap(true, Ordering::Relaxed) {
                    Verdict::Swallow
                } else {
                    Verdict::Pass
                }
            });
        };
        let count = |verb: &str, resource: &str| {
            let calls = proxy.calls();
            let same = |call: &&apiserver_tests::Call| call.verb == verb && call.resource == resource;
            calls.iter().filter(same).count()
        };
        // It is no other limit that ends the request.
        let patient = Timing {
            silence: Duration::from_mins(5),
            ..hasty()
        };
        hang_once();
        let arguments = [&space.elected()[..], &["--identity", "one"]].concat();
        let _operator = Running::start_timed(options(&arguments), proxy.config(), patient);
        space.apply("tasks", small()).await?;
        space.applied("tasks").await?;

        let (lists, renewals) = (count("list", "services"), count("update", "leases"));
        hang_once();
        eventually("the lease is renewed again", async || {
            let now = count("update", "leases");
            Ok(if now >= renewals + 3 {
                Ok(())
            } else {
                Err(now.to_string())
            })
        })
        .await?;
        ensure!(
            count("list", "services") == lists,
            "the lead was lost: all has been listed again"
        );
        Ok(())
    })
}
