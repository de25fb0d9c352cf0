//! Objects of other owners with a name that an app needs, and changes by others to the operator's objects.

use anyhow::{Result, ensure};
use apiserver_tests::{
    EventAction, Gate, Proxy, RunningOperator, TestNamespace, block_on, condition, converges_to, eventually,
    settled,
};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::events::v1::Event;
use kube::api::{Api, DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams};
use observedapp_desired::Kind;
use serde_json::json;

use super::small;

#[test]
fn a_foreign_object_is_reported_kept_and_replaced_once_deleted() -> Result<()> {
    block_on(async {
        let ns = TestNamespace::new("foreign").await?;
        let (_proxy, _operator) = RunningOperator::behind_proxy(&ns).await?;
        let services: Api<Service> = Api::namespaced(ns.client.clone(), &ns.name);
        let foreign: Service = serde_json::from_value(json!({
            "metadata": {"name": "tasks"}, "spec": {"ports": [{"port": 1}], "selector": {"mine": "yes"}},
        }))?;
        let before = services.create(&PostParams::default(), &foreign).await?;
        ns.apply("tasks", small()).await?;
        let app = ns
            .until("tasks", "the foreign Service is reported", |app| {
                condition(app, "Applied").1 == "ForeignObject"
            })
            .await?;
        assert!(
            condition(&app, "Applied")
                .2
                .contains("Service tasks exists already"),
            "{:?}",
            condition(&app, "Applied")
        );
        assert_eq!(
            services.get("tasks").await?.metadata.resource_version,
            before.metadata.resource_version
        );
        // All other objects are created.
        assert_eq!(ns.names(Kind::Deployment).await?, ["tasks"]);
        services.delete("tasks", &DeleteParams::default()).await?;
        ns.applied("tasks").await?;
        assert!(services.get("tasks").await?.metadata.owner_references.is_some());
        Ok(())
    })
}

#[test]
fn a_foreign_object_missing_from_the_cache_is_not_overwritten() -> Result<()> {
    block_on(async {
        let ns = TestNamespace::new("unseen").await?;
        let (proxy, _operator) = RunningOperator::behind_proxy(&ns).await?;
        ns.apply("other", small()).await?;
        ns.applied("other").await?;
        let news = Gate::default();
        proxy.on_event(move |call, _| match &*call.resource {
            "services" => EventAction::Hold(news.clone()),
            _ => EventAction::Pass,
        });
        // Its spec is the one that the operator would apply: an unforced apply would succeed, too.
        let mut foreign = ns.objects(Kind::Service).get("other").await?;
        foreign.metadata = ObjectMeta {
            name: Some("tasks".to_owned()),
            ..ObjectMeta::default()
        };
        for given in ["clusterIP", "clusterIPs"] {
            foreign.data["spec"].as_object_mut().unwrap().remove(given);
        }
        let services = ns.objects(Kind::Service);
        let before = services.create(&PostParams::default(), &foreign).await?;
        ns.apply("tasks", small()).await?;
        ns.until("tasks", "the foreign Service is reported", |app| {
            condition(app, "Applied").1 == "ForeignObject"
        })
        .await?;
        assert_eq!(
            services.get("tasks").await?.metadata.resource_version,
            before.metadata.resource_version
        );
        Ok(())
    })
}

#[test]
fn a_conflict_is_reported_by_one_event() -> Result<()> {
    block_on(async {
        let ns = TestNamespace::new("conflict-event").await?;
        let (proxy, _operator) = RunningOperator::behind_proxy(&ns).await?;
        let services = ns.objects(Kind::Service);
        let foreign = serde_json::from_value(json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "tasks"},
            "spec": {"ports": [{"port": 1}]},
        }))?;
        services.create(&PostParams::default(), &foreign).await?;
        ns.apply("tasks", small()).await?;
        let events: Api<Event> = Api::namespaced(ns.client.clone(), &ns.name);
        eventually("there is an Event", async || {
            let all = events.list(&ListParams::default()).await?;
            let reasons: Vec<_> = all.iter().filter_map(|event| event.reason.clone()).collect();
            let is_reported = reasons.iter().any(|one| one == "ForeignObject");
            ensure!(is_reported, "{reasons:?}");
            Ok(())
        })
        .await?;
        settled(&ns).await?;
        let writes = |proxy: &Proxy| {
            let calls = proxy.calls();
            calls.iter().filter(|call| call.resource == "events").count()
        };
        let before = writes(&proxy);
        // Another reconcile emits no second Event.
        let theft = json!({"metadata": {"labels": {"app.kubernetes.io/part-of": "thief"}}});
        let deployments = ns.objects(Kind::Deployment);
        deployments
            .patch("tasks", &PatchParams::default(), &Patch::Merge(theft))
            .await?;
        eventually("the drift is repaired", async || {
            let labels = deployments
                .get("tasks")
                .await?
                .metadata
                .labels
                .unwrap_or_default();
            let repaired = labels["app.kubernetes.io/part-of"] == "tasks";
            ensure!(repaired, "{labels:?}");
            Ok(())
        })
        .await?;
        settled(&ns).await?;
        assert_eq!(writes(&proxy), before, "reported twice");
        services.delete("tasks", &DeleteParams::default()).await?;
        ns.applied("tasks").await?;
        Ok(())
    })
}

#[test]
fn drift_in_every_kind_is_repaired_and_foreign_fields_are_kept() -> Result<()> {
    block_on(async {
        let ns = TestNamespace::new("drift").await?;
        let (_proxy, _operator) = RunningOperator::behind_proxy(&ns).await?;
        ns.apply(
            "tasks",
            json!({"image": "tasks:1", "cache": {"builtin": {}}, "metrics": {}}),
        )
        .await?;
        ns.applied("tasks").await?;
        let before = settled(&ns).await?;
        for &kind in Kind::ALL {
            for name in ns.names(kind).await.unwrap_or_default() {
                // One of the operator's labels is removed, and a foreign one added.
                let patch =
                    json!({"metadata": {"labels": {"app.kubernetes.io/part-of": "thief", "theirs": "kept"}}});
                ns.objects(kind)
                    .patch(&name, &PatchParams::default(), &Patch::Merge(patch))
                    .await?;
                eventually(&format!("the {} {name} is repaired", kind.as_str()), async || {
                    let object = ns.objects(kind).get(&name).await?;
                    let labels = object.metadata.labels.unwrap_or_default();
                    let part_of = labels
                        .get("app.kubernetes.io/part-of")
                        .cloned()
                        .unwrap_or_default();
                    ensure!(part_of == "tasks" && labels.contains_key("theirs"), "{labels:?}");
                    Ok(())
                })
                .await?;
                let patch = json!({"metadata": {"labels": {"theirs": null}}});
                ns.objects(kind)
                    .patch(&name, &PatchParams::default(), &Patch::Merge(patch))
                    .await?;
                ns.objects(kind)
                    .delete(&name, &DeleteParams::background())
                    .await?;
                eventually(
                    &format!("the {} {name} is recreated", kind.as_str()),
                    async || {
                        let object = ns.objects(kind).get(&name).await?;
                        ensure!(object.metadata.deletion_timestamp.is_none(), "it is terminating");
                        Ok(())
                    },
                )
                .await?;
            }
        }
        ns.applied("tasks").await?;
        converges_to(&ns, &before).await
    })
}
