//! Objects and apps that are deleted and recreated under one name while a response about the old one is outstanding.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, ensure};
use apiserver_tests::{
    Action, Gate, Proxy, RunningOperator, TestNamespace, block_on, converges_to, eventually,
};
use kube::ResourceExt;
use kube::api::DeleteParams;
use observedapp_desired::Kind;

use super::{small, without_faults};

/// Holds back the first response about the Service of `tasks`.
fn hold_the_response(proxy: &Proxy) -> Gate {
    let gate = Gate::default();
    let (held, first) = (gate.clone(), AtomicBool::new(true));
    proxy.on_request(move |call| {
        let concerned =
            call.verb == "patch" && call.resource == "services" && call.name.as_deref() == Some("tasks");
        if concerned && first.swap(false, Ordering::Relaxed) {
            Action::HoldResponse(held.clone())
        } else {
            Action::Pass
        }
    });
    gate
}

async fn created(ns: &TestNamespace, name: &str, before: Option<&str>) -> Result<String> {
    eventually(
        &format!("{}: the Service {name} is created", ns.name),
        async || {
            let service = ns.objects(Kind::Service).get_opt(name).await?;
            let uid = service.and_then(|service| service.uid());
            uid.filter(|uid| before != Some(uid)).context("it does not exist")
        },
    )
    .await
}

/// Applies `other` and then `tasks`, of whose Service the operator has no response yet: its UID.
async fn created_behind_a_gate(ns: &TestNamespace, proxy: &Proxy) -> Result<(Gate, String)> {
    ns.apply("other", small()).await?;
    ns.applied("other").await?;
    let gate = hold_the_response(proxy);
    ns.apply("tasks", small()).await?;
    let first = created(ns, "tasks", None).await?;
    Ok((gate, first))
}

async fn delete_service(ns: &TestNamespace, name: &str) -> Result<()> {
    ns.objects(Kind::Service)
        .delete(name, &DeleteParams::background())
        .await?;
    Ok(())
}

/// Waits until the operator's watch of Services is up to date: it has repaired the last change.
async fn watch_caught_up(ns: &TestNamespace) -> Result<()> {
    let before = created(ns, "other", None).await?;
    delete_service(ns, "other").await?;
    created(ns, "other", Some(&before)).await?;
    Ok(())
}

#[test]
fn a_late_response_about_a_deleted_object_is_ignored() -> Result<()> {
    block_on(async {
        let ns = TestNamespace::new("late-response").await?;
        let (proxy, _operator) = RunningOperator::behind_proxy(&ns).await?;
        let (gate, first) = created_behind_a_gate(&ns, &proxy).await?;
        delete_service(&ns, "tasks").await?;
        watch_caught_up(&ns).await?;
        gate.open();
        created(&ns, "tasks", Some(&first)).await?;
        ns.applied("tasks").await?;
        Ok(())
    })
}

#[test]
fn a_recreated_app_does_not_reuse_state_of_the_deleted_one() -> Result<()> {
    block_on(async {
        let expected = without_faults(small()).await?;
        let ns = TestNamespace::new("recreated").await?;
        let (proxy, _operator) = RunningOperator::behind_proxy(&ns).await?;
        let (gate, first) = created_behind_a_gate(&ns, &proxy).await?;
        ns.delete("tasks").await?;
        eventually("the old Service is deleted", async || {
            let service = ns.objects(Kind::Service).get_opt("tasks").await?;
            ensure!(service.is_none(), "it still exists");
            Ok(())
        })
        .await?;
        watch_caught_up(&ns).await?;
        ns.apply("tasks", small()).await?;
        gate.open();
        created(&ns, "tasks", Some(&first)).await?;
        ns.applied("tasks").await?;
        ns.delete("other").await?;
        converges_to(&ns, &expected).await
    })
}
