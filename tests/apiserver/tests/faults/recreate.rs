//! Objects and apps that go and come back under one name, while an answer about the former is still on its way.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;
use apiserver_tests::{Gate, Proxy, Running, Space, Verdict, block_on, ends_as, eventually};
use kube::ResourceExt;
use kube::api::DeleteParams;
use observedapp_desired::Kind;

use super::{small, undisturbed};

/// The first answer to the Service of `tasks` comes only when the gate opens.
fn hold_the_answer(proxy: &Proxy) -> Gate {
    let gate = Gate::default();
    let (held, first) = (gate.clone(), AtomicBool::new(true));
    proxy.judge(move |call| {
        let concerned =
            call.verb == "patch" && call.resource == "services" && call.name.as_deref() == Some("tasks");
        if concerned && first.swap(false, Ordering::Relaxed) {
            Verdict::HoldAnswer(held.clone())
        } else {
            Verdict::Pass
        }
    });
    gate
}

async fn made(space: &Space, name: &str, before: Option<&str>) -> Result<String> {
    eventually(
        &format!("{}: the Service {name} is made", space.name),
        async || {
            let service = space.objects(Kind::Service).get_opt(name).await?;
            let uid = service.and_then(|service| service.uid());
            Ok(match uid {
                Some(uid) if before != Some(&uid) => Ok(uid),
                other => Err(format!("{other:?}")),
            })
        },
    )
    .await
}

async fn delete_service(space: &Space, name: &str) -> Result<()> {
    space
        .objects(Kind::Service)
        .delete(name, &DeleteParams::background())
        .await?;
    Ok(())
}

/// Returns when the operator knows of all that happened to Services until now: it has repaired what happened last.
async fn watch_caught_up(space: &Space) -> Result<()> {
    let before = made(space, "other", None).await?;
    delete_service(space, "other").await?;
    made(space, "other", Some(&before)).await?;
    Ok(())
}

#[test]
fn an_answer_about_an_object_that_is_gone_leaves_no_ghost() -> Result<()> {
    block_on(async {
        let space = Space::new("ghost").await?;
        let (proxy, _operator) = Running::calm(&space).await?;
        space.apply("other", small()).await?;
        space.applied("other").await?;
        let gate = hold_the_answer(&proxy);
        space.apply("tasks", small()).await?;
        let first = made(&space, "tasks", None).await?;
        delete_service(&space, "tasks").await?;
        watch_caught_up(&space).await?;
        gate.open();
        made(&space, "tasks", Some(&first)).await?;
        space.applied("tasks").await?;
        Ok(())
    })
}

#[test]
fn an_app_made_again_under_its_name_is_not_kept_by_its_former_life() -> Result<()> {
    block_on(async {
        let expected = undisturbed(small()).await?;
        let space = Space::new("again").await?;
        let (proxy, _operator) = Running::calm(&space).await?;
        space.apply("other", small()).await?;
        space.applied("other").await?;
        let gate = hold_the_answer(&proxy);
        space.apply("tasks", small()).await?;
        let first = made(&space, "tasks", None).await?;
        space.delete("tasks").await?;
        eventually("the Service of the former life is gone", async || {
            let service = space.objects(Kind::Service).get_opt("tasks").await?;
            Ok(service.map_or(Ok(()), |service| Err(format!("{:?}", service.metadata))))
        })
        .await?;
        watch_caught_up(&space).await?;
        space.apply("tasks", small()).await?;
        gate.open();
        made(&space, "tasks", Some(&first)).await?;
        space.applied("tasks").await?;
        space.delete("other").await?;
        ends_as(&space, &expected).await
    })
}
