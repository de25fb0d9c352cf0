//! Strangers' objects in the way, and strangers' hands on ours.

use anyhow::Result;
use apiserver_tests::{
    EventVerdict, Gate, Proxy, Running, Space, block_on, condition, ends_as, eventually, settled,
};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::events::v1::Event;
use kube::api::{Api, DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams};
use observedapp_desired::Kind;
use serde_json::json;

use super::small;

#[test]
fn a_foreign_object_is_named_left_alone_and_replaced_when_it_goes() -> Result<()> {
    block_on(async {
        let space = Space::new("foreign").await?;
        let (_proxy, _operator) = Running::calm(&space).await?;
        let services: Api<Service> = Api::namespaced(space.client.clone(), &space.name);
        let foreign: Service = serde_json::from_value(json!({
            "metadata": {"name": "tasks"}, "spec": {"ports": [{"port": 1}], "selector": {"mine": "yes"}},
        }))?;
        let before = services.create(&PostParams::default(), &foreign).await?;
        space.apply("tasks", small()).await?;
        let app = space
            .until("tasks", "the foreign Service is named", |app| {
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
        // Everything that is not in the way was made.
        assert_eq!(space.names(Kind::Deployment).await?, ["tasks"]);
        services.delete("tasks", &DeleteParams::default()).await?;
        space.applied("tasks").await?;
        assert!(services.get("tasks").await?.metadata.owner_references.is_some());
        Ok(())
    })
}

#[test]
fn a_foreign_object_that_no_watch_has_shown_is_left_alone() -> Result<()> {
    block_on(async {
        let space = Space::new("unseen").await?;
        let (proxy, _operator) = Running::calm(&space).await?;
        space.apply("other", small()).await?;
        space.applied("other").await?;
        let news = Gate::default();
        proxy.judge_events(move |call, _| match &*call.resource {
            "services" => EventVerdict::Hold(news.clone()),
            _ => EventVerdict::Pass,
        });
        // It says what the app's own would say: a forced write, and one that is not, would both be taken.
        let mut foreign = space.objects(Kind::Service).get("other").await?;
        foreign.metadata = ObjectMeta {
            name: Some("tasks".to_owned()),
            ..ObjectMeta::default()
        };
        for given in ["clusterIP", "clusterIPs"] {
            foreign.data["spec"].as_object_mut().unwrap().remove(given);
        }
        let services = space.objects(Kind::Service);
        let before = services.create(&PostParams::default(), &foreign).await?;
        space.apply("tasks", small()).await?;
        space
            .until("tasks", "the foreign Service is named", |app| {
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
fn what_is_in_the_way_is_told_once_as_an_event() -> Result<()> {
    block_on(async {
        let space = Space::new("told").await?;
        let (proxy, _operator) = Running::calm(&space).await?;
        let services = space.objects(Kind::Service);
        let foreign = serde_json::from_value(json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "tasks"},
            "spec": {"ports": [{"port": 1}]},
        }))?;
        services.create(&PostParams::default(), &foreign).await?;
        space.apply("tasks", small()).await?;
        let events: Api<Event> = Api::namespaced(space.client.clone(), &space.name);
        eventually("it is told", async || {
            let all = events.list(&ListParams::default()).await?;
            let reasons: Vec<_> = all.iter().filter_map(|event| event.reason.clone()).collect();
            let is_told = reasons.iter().any(|one| one == "ForeignObject");
            Ok(if is_told {
                Ok(())
            } else {
                Err(format!("{reasons:?}"))
            })
        })
        .await?;
        settled(&space).await?;
        let writes = |proxy: &Proxy| {
            let calls = proxy.calls();
            calls.iter().filter(|call| call.resource == "events").count()
        };
        let before = writes(&proxy);
        // Looked at again, and nothing has become of it.
        let theft = json!({"metadata": {"labels": {"app.kubernetes.io/part-of": "thief"}}});
        let deployments = space.objects(Kind::Deployment);
        deployments
            .patch("tasks", &PatchParams::default(), &Patch::Merge(theft))
            .await?;
        eventually("the theft is repaired", async || {
            let labels = deployments
                .get("tasks")
                .await?
                .metadata
                .labels
                .unwrap_or_default();
            let repaired = labels["app.kubernetes.io/part-of"] == "tasks";
            Ok(if repaired {
                Ok(())
            } else {
                Err(format!("{labels:?}"))
            })
        })
        .await?;
        settled(&space).await?;
        assert_eq!(writes(&proxy), before, "told again");
        services.delete("tasks", &DeleteParams::default()).await?;
        space.applied("tasks").await?;
        Ok(())
    })
}

#[test]
fn drift_in_every_kind_is_repaired_and_what_is_not_ours_is_left() -> Result<()> {
    block_on(async {
        let space = Space::new("drift").await?;
        let (_proxy, _operator) = Running::calm(&space).await?;
        space
            .apply(
                "tasks",
                json!({"image": "tasks:1", "cache": {"builtin": {}}, "metrics": {}}),
            )
            .await?;
        space.applied("tasks").await?;
        let before = settled(&space).await?;
        for &kind in Kind::ALL {
            for name in space.names(kind).await.unwrap_or_default() {
                // A label of ours is taken away, and one of somebody else's is added.
                let patch =
                    json!({"metadata": {"labels": {"app.kubernetes.io/part-of": "thief", "theirs": "kept"}}});
                space
                    .objects(kind)
                    .patch(&name, &PatchParams::default(), &Patch::Merge(patch))
                    .await?;
                eventually(&format!("the {} {name} is repaired", kind.as_str()), async || {
                    let object = space.objects(kind).get(&name).await?;
                    let labels = object.metadata.labels.unwrap_or_default();
                    let part_of = labels
                        .get("app.kubernetes.io/part-of")
                        .cloned()
                        .unwrap_or_default();
                    Ok(if part_of == "tasks" && labels.contains_key("theirs") {
                        Ok(())
                    } else {
                        Err(format!("{labels:?}"))
                    })
                })
                .await?;
                let patch = json!({"metadata": {"labels": {"theirs": null}}});
                space
                    .objects(kind)
                    .patch(&name, &PatchParams::default(), &Patch::Merge(patch))
                    .await?;
                space
                    .objects(kind)
                    .delete(&name, &DeleteParams::background())
                    .await?;
                eventually(
                    &format!("the {} {name} is made again", kind.as_str()),
                    async || {
                        Ok(match space.objects(kind).get_opt(&name).await? {
                            Some(object) if object.metadata.deletion_timestamp.is_none() => Ok(()),
                            _ => Err("absent".to_owned()),
                        })
                    },
                )
                .await?;
            }
        }
        space.applied("tasks").await?;
        ends_as(&space, &before).await
    })
}
