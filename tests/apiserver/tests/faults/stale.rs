//! A stale cache: events late, lost, out of order.

use std::collections::BTreeSet;
use std::sync::Mutex;

use anyhow::{Result, ensure};
use apiserver_tests::{
    Action, EventAction, Gate, RunningOperator, TestNamespace, block_on, converges_to, eventually,
};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use observedapp_desired::Kind;
use serde_json::{Value, json};

use super::{small, without_faults};

fn large() -> Value {
    json!({
        "image": "tasks:2", "port": 5000, "replicas": 2, "ingress": {"host": "tasks.example.com"},
        "database": {"builtin": {}}, "cache": {"builtin": {}}, "metrics": {"port": 8000},
    })
}

/// Changes without watch events; some are reverted, and only the last state counts.
async fn change_much(ns: &TestNamespace) -> Result<()> {
    let services = ns.objects(Kind::Service);
    services.delete("tasks", &DeleteParams::background()).await?;
    let theft = json!({"metadata": {"labels": {"app.kubernetes.io/part-of": "thief"}}});
    for kind in [Kind::NetworkPolicy, Kind::Deployment, Kind::ServiceAccount] {
        ns.objects(kind)
            .patch("tasks", &PatchParams::default(), &Patch::Merge(&theft))
            .await?;
    }
    for image in ["tasks:3", "tasks:4"] {
        ns.apply("tasks", json!({"image": image, "replicas": 5})).await?;
    }
    ns.apply("tasks", large()).await?;
    Ok(())
}

#[test]
fn an_operator_without_watch_events_relies_on_its_own_writes() -> Result<()> {
    block_on(async {
        let expected = without_faults(large()).await?;
        let ns = TestNamespace::new("blind").await?;
        let (proxy, _operator) = RunningOperator::behind_proxy(&ns).await?;
        ns.apply("tasks", small()).await?;
        ns.applied("tasks").await?;
        let news = Gate::default();
        let held = news.clone();
        proxy.on_event(move |call, _| match call.resource.as_str() {
            "observedapps" => EventAction::Pass,
            _ => EventAction::Hold(held.clone()),
        });
        for spec in [large(), small(), large()] {
            ns.apply("tasks", spec).await?;
            ns.applied("tasks").await?;
        }
        news.open();
        converges_to(&ns, &expected).await
    })
}

#[test]
fn lost_events_are_recovered_by_a_relist() -> Result<()> {
    block_on(async {
        let expected = without_faults(large()).await?;
        let ns = TestNamespace::new("lost").await?;
        let (proxy, _operator) = RunningOperator::behind_proxy(&ns).await?;
        ns.apply("tasks", small()).await?;
        ns.applied("tasks").await?;
        proxy.on_event(|_, _| EventAction::Drop);
        change_much(&ns).await?;
        // Every watch gets one 410 Gone.
        let expired: Mutex<BTreeSet<String>> = Mutex::default();
        proxy.on_request(move |call| {
            if call.verb == "watch" && expired.lock().unwrap().insert(call.resource.clone()) {
                Action::Expired
            } else {
                Action::Pass
            }
        });
        proxy.on_event(|_, _| EventAction::Pass);
        proxy.cut_watches();
        ns.applied("tasks").await?;
        converges_to(&ns, &expected).await
    })
}

#[test]
fn late_and_reordered_events_converge_to_the_same_state() -> Result<()> {
    block_on(async {
        let expected = without_faults(large()).await?;
        let ns = TestNamespace::new("late").await?;
        let (proxy, _operator) = RunningOperator::behind_proxy(&ns).await?;
        ns.apply("tasks", small()).await?;
        ns.applied("tasks").await?;
        // Each watch keeps its order; the watches are released in reverse order.
        let order = [
            "observedapps",
            "serviceaccounts",
            "deployments",
            "networkpolicies",
            "services",
        ];
        let gates: Vec<Gate> = order.iter().map(|_| Gate::default()).collect();
        let held = gates.clone();
        proxy.on_event(move |call, _| {
            order
                .iter()
                .position(|resource| call.resource == *resource)
                .map_or(EventAction::Pass, |place| EventAction::Hold(held[place].clone()))
        });
        change_much(&ns).await?;
        for gate in gates.iter().rev() {
            gate.open();
        }
        ns.applied("tasks").await?;
        converges_to(&ns, &expected).await
    })
}

#[test]
fn an_app_recreated_between_two_events_keeps_its_data() -> Result<()> {
    block_on(async {
        let expected = without_faults(large()).await?;
        let ns = TestNamespace::new("unseen").await?;
        let (proxy, _operator) = RunningOperator::behind_proxy(&ns).await?;
        ns.apply("tasks", large()).await?;
        ns.applied("tasks").await?;
        let secrets: Api<Secret> = Api::namespaced(ns.client.clone(), &ns.name);
        let password =
            async || anyhow::Ok(secrets.get("tasks-db-app").await?.data.unwrap()["password"].clone());
        let before = password().await?;
        let news = Gate::default();
        let held = news.clone();
        // The operator sees the objects' deletion, and not the app's.
        proxy.on_event(move |call, _| match call.resource.as_str() {
            "observedapps" => EventAction::Hold(held.clone()),
            _ => EventAction::Pass,
        });
        let service = ns.objects(Kind::Service).get("tasks").await?.metadata.uid;
        ns.delete("tasks").await?;
        ns.gone("tasks").await?;
        eventually("the old Service is deleted", async || {
            let now = ns.objects(Kind::Service).get_opt("tasks").await?;
            let now = now.and_then(|now| now.metadata.uid);
            ensure!(now != service, "{now:?}");
            Ok(())
        })
        .await?;
        ns.apply("tasks", large()).await?;
        news.open();
        ns.applied("tasks").await?;
        converges_to(&ns, &expected).await?;
        assert_eq!(password().await?, before, "the same data, the same password");
        Ok(())
    })
}
