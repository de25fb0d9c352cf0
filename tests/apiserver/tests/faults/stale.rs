//! An operator that knows less than it thinks: events late, lost, out of order.

use std::collections::BTreeSet;
use std::sync::Mutex;

use anyhow::Result;
use apiserver_tests::{EventVerdict, Gate, Running, Space, Verdict, block_on, ends_as, eventually};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use observedapp_desired::Kind;
use serde_json::{Value, json};

use super::{small, undisturbed};

fn large() -> Value {
    json!({
        "image": "tasks:2", "port": 5000, "replicas": 2, "ingress": {"host": "tasks.example.com"},
        "database": {"builtin": {}}, "cache": {"builtin": {}}, "metrics": {"port": 8000},
    })
}

/// Changes that nobody told the operator of: some are taken back, and only what is there in the end counts.
async fn change_much(space: &Space) -> Result<()> {
    let services = space.objects(Kind::Service);
    services.delete("tasks", &DeleteParams::background()).await?;
    let theft = json!({"metadata": {"labels": {"app.kubernetes.io/part-of": "thief"}}});
    for kind in [Kind::NetworkPolicy, Kind::Deployment, Kind::ServiceAccount] {
        space
            .objects(kind)
            .patch("tasks", &PatchParams::default(), &Patch::Merge(&theft))
            .await?;
    }
    for image in ["tasks:3", "tasks:4"] {
        space
            .apply("tasks", json!({"image": image, "replicas": 5}))
            .await?;
    }
    space.apply("tasks", large()).await?;
    Ok(())
}

#[test]
fn an_operator_without_any_news_of_objects_goes_by_its_own_writes() -> Result<()> {
    block_on(async {
        let expected = undisturbed(large()).await?;
        let space = Space::new("blind").await?;
        let (proxy, _operator) = Running::calm(&space).await?;
        space.apply("tasks", small()).await?;
        space.applied("tasks").await?;
        let news = Gate::default();
        let held = news.clone();
        proxy.judge_events(move |call, _| match call.resource.as_str() {
            "observedapps" => EventVerdict::Pass,
            _ => EventVerdict::Hold(held.clone()),
        });
        for spec in [large(), small(), large()] {
            space.apply("tasks", spec).await?;
            space.applied("tasks").await?;
        }
        news.open();
        ends_as(&space, &expected).await
    })
}

#[test]
fn what_was_lost_is_made_up_for_when_the_watches_begin_anew() -> Result<()> {
    block_on(async {
        let expected = undisturbed(large()).await?;
        let space = Space::new("lost").await?;
        let (proxy, _operator) = Running::calm(&space).await?;
        space.apply("tasks", small()).await?;
        space.applied("tasks").await?;
        proxy.judge_events(|_, _| EventVerdict::Lose);
        change_much(&space).await?;
        // Every watch is told once that what it wants to begin with is forgotten.
        let told: Mutex<BTreeSet<String>> = Mutex::default();
        proxy.judge(move |call| {
            if call.verb == "watch" && told.lock().unwrap().insert(call.resource.clone()) {
                Verdict::Expired
            } else {
                Verdict::Pass
            }
        });
        proxy.judge_events(|_, _| EventVerdict::Pass);
        proxy.cut_watches();
        space.applied("tasks").await?;
        ends_as(&space, &expected).await
    })
}

#[test]
fn events_that_come_late_and_out_of_order_end_in_the_same() -> Result<()> {
    block_on(async {
        let expected = undisturbed(large()).await?;
        let space = Space::new("late").await?;
        let (proxy, _operator) = Running::calm(&space).await?;
        space.apply("tasks", small()).await?;
        space.applied("tasks").await?;
        // Each watch keeps its order; between them there is none. They are let go in the reverse of what happened.
        let order = [
            "observedapps",
            "serviceaccounts",
            "deployments",
            "networkpolicies",
            "services",
        ];
        let gates: Vec<Gate> = order.iter().map(|_| Gate::default()).collect();
        let held = gates.clone();
        proxy.judge_events(move |call, _| {
            order
                .iter()
                .position(|resource| call.resource == *resource)
                .map_or(EventVerdict::Pass, |place| {
                    EventVerdict::Hold(held[place].clone())
                })
        });
        change_much(&space).await?;
        for gate in gates.iter().rev() {
            gate.open();
        }
        space.applied("tasks").await?;
        ends_as(&space, &expected).await
    })
}

#[test]
fn an_app_that_went_and_came_back_unseen_keeps_its_data() -> Result<()> {
    block_on(async {
        let expected = undisturbed(large()).await?;
        let space = Space::new("unseen").await?;
        let (proxy, _operator) = Running::calm(&space).await?;
        space.apply("tasks", large()).await?;
        space.applied("tasks").await?;
        let secrets: Api<Secret> = Api::namespaced(space.client.clone(), &space.name);
        let password =
            async || anyhow::Ok(secrets.get("tasks-db-app").await?.data.unwrap()["password"].clone());
        let before = password().await?;
        let news = Gate::default();
        let held = news.clone();
        // The operator sees all objects go, and believes that it still has the app.
        proxy.judge_events(move |call, _| match call.resource.as_str() {
            "observedapps" => EventVerdict::Hold(held.clone()),
            _ => EventVerdict::Pass,
        });
        let service = space.objects(Kind::Service).get("tasks").await?.metadata.uid;
        space.delete("tasks").await?;
        space.gone("tasks").await?;
        eventually("the Service of the former life is gone", async || {
            let now = space.objects(Kind::Service).get_opt("tasks").await?;
            let now = now.and_then(|now| now.metadata.uid);
            Ok(if now == service {
                Err(format!("{now:?}"))
            } else {
                Ok(())
            })
        })
        .await?;
        space.apply("tasks", large()).await?;
        news.open();
        space.applied("tasks").await?;
        ends_as(&space, &expected).await?;
        assert_eq!(password().await?, before, "the same data, the same password");
        Ok(())
    })
}
