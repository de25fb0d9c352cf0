//! Strangers' objects in the way, and strangers' hands on ours.

use anyhow::Result;
use apiserver_tests::{Running, Space, block_on, condition, ends_as, eventually, settled};
use k8s_openapi::api::core::v1::Service;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
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
