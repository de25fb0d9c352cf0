//! What the cluster lacks, and gets later: the app recovers by itself.

use std::time::Duration;

use anyhow::Result;
use apiserver_tests::{Proxy, Running, Space, Verdict, block_on, condition, ends_as, options, settled};
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use kube::{Resource, ResourceExt};
use observedapp_desired::Kind;
use serde_json::{Value, json};

use super::{small, undisturbed};

fn with_references() -> Value {
    json!({
        "image": "tasks:1",
        "env": [{"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "token", "key": "key"}}}],
        "volumes": [{"name": "config", "configMap": {"name": "config"}}],
        "volumeMounts": [{"name": "config", "mountPath": "/etc/tasks"}],
        "database": {"external": {"secretName": "token"}},
    })
}

async fn provide(space: &Space) -> Result<()> {
    let secret: Secret = serde_json::from_value(
        json!({"metadata": {"name": "token"}, "stringData": {"key": "k", "uri": "postgres://a"}}),
    )?;
    Api::namespaced(space.client.clone(), &space.name)
        .create(&PostParams::default(), &secret)
        .await?;
    let map: ConfigMap = serde_json::from_value(json!({"metadata": {"name": "config"}, "data": {"a": "b"}}))?;
    Api::namespaced(space.client.clone(), &space.name)
        .create(&PostParams::default(), &map)
        .await?;
    Ok(())
}

#[test]
fn a_secret_and_a_volume_that_come_later_are_taken_up() -> Result<()> {
    block_on(async {
        let calm = Space::new("provided").await?;
        let (_calm_proxy, _calm_operator) = Running::calm(&calm).await?;
        provide(&calm).await?;
        calm.apply("tasks", with_references()).await?;
        calm.applied("tasks").await?;
        let expected = settled(&calm).await?;

        let space = Space::new("missing").await?;
        let (_proxy, _operator) = Running::calm(&space).await?;
        space.apply("tasks", with_references()).await?;
        space.applied("tasks").await?;
        provide(&space).await?;
        ends_as(&space, &expected).await
    })
}

#[test]
fn an_image_that_cannot_be_pulled_is_told_and_then_mended() -> Result<()> {
    block_on(async {
        let expected = undisturbed(small()).await?;
        let space = Space::new("image").await?;
        let (_proxy, _operator) = Running::calm(&space).await?;
        space
            .apply("tasks", json!({"image": "tasks:typo", "replicas": 1}))
            .await?;
        space.applied("tasks").await?;
        // What a kubelet would say, if there was one.
        let pods: Api<Pod> = Api::namespaced(space.client.clone(), &space.name);
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": "tasks-1", "labels": {
                "app.kubernetes.io/name": "tasks", "app.kubernetes.io/instance": "tasks",
                "app.kubernetes.io/component": "app", "app.kubernetes.io/managed-by": "observedapp",
            }},
            "spec": {"containers": [{"name": "tasks", "image": "tasks:typo"}]},
        }))?;
        pods.create(&PostParams::default(), &pod).await?;
        let status = json!({"status": {"phase": "Pending", "containerStatuses": [{
            "name": "tasks", "image": "tasks:typo", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}},
        }]}});
        pods.patch_status("tasks-1", &PatchParams::default(), &Patch::Merge(&status))
            .await?;
        space
            .until("tasks", "the image is blamed", |app| {
                condition(app, "Available").1 == "ImagePullBackOff"
            })
            .await?;
        space.apply("tasks", small()).await?;
        // Nothing runs here that would wait for it to end.
        pods.delete("tasks-1", &DeleteParams::default().grace_period(0))
            .await?;
        ends_as(&space, &expected).await
    })
}

/// A Deployment of this app's as another version of the operator might have made it: with another selector, which no
/// write can change.
async fn leave_an_old_deployment(space: &Space) -> Result<()> {
    let app = space
        .apply("tasks", json!({"image": "tasks:1", "paused": true}))
        .await?;
    let labels = json!({"app": "tasks"});
    let deployment = serde_json::from_value(json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": app.name_any(), "ownerReferences": [app.controller_owner_ref(&())]},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "old", "image": "tasks:0"}]}},
        },
    }))?;
    space
        .objects(Kind::Deployment)
        .create(&PostParams::default(), &deployment)
        .await?;
    Ok(())
}

#[test]
fn what_cannot_be_changed_is_told_with_the_way_out() -> Result<()> {
    block_on(async {
        let expected = undisturbed(small()).await?;
        let space = Space::new("immutable").await?;
        let (_proxy, _operator) = Running::calm(&space).await?;
        leave_an_old_deployment(&space).await?;
        space.apply("tasks", small()).await?;
        let app = space
            .until("tasks", "the selector is told", |app| {
                condition(app, "Applied").1 == "Immutable"
            })
            .await?;
        let (_, _, message) = condition(&app, "Applied");
        for word in ["Deployment tasks", "spec.selector", "delete the object"] {
            assert!(message.contains(word), "{message}");
        }
        // Everything else was made.
        assert_eq!(space.names(Kind::Service).await?, ["tasks"]);
        space
            .objects(Kind::Deployment)
            .delete("tasks", &DeleteParams::background())
            .await?;
        ends_as(&space, &expected).await
    })
}

/// A list of an optional kind may take longer than a round of discovery, and than reconciles wait for it at the start.
#[test]
fn a_kind_whose_list_takes_long_comes_up() -> Result<()> {
    block_on(async {
        let space = Space::new("slow-list").await?;
        let proxy = Proxy::start(&space).await?;
        proxy.judge(|call| match (call.verb, &*call.resource) {
            ("list", "prometheusrules") => Verdict::Delay(Duration::from_secs(12)),
            _ => Verdict::Pass,
        });
        let _operator = Running::start(options(&["--namespaces", &space.name]), proxy.config());
        space.apply("tasks", small()).await?;
        space.applied("tasks").await?;
        assert_eq!(space.names(Kind::PrometheusRule).await?, ["tasks"]);
        let calls = proxy.calls();
        let lists = calls
            .iter()
            .filter(|call| call.verb == "list" && call.resource == "prometheusrules");
        assert_eq!(lists.count(), 1, "it was begun anew");
        Ok(())
    })
}
