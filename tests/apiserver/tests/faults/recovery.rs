//! Something is missing or broken and corrected later: the app recovers by itself.

use std::time::Duration;

use anyhow::Result;
use apiserver_tests::{
    Action, Proxy, RunningOperator, TestNamespace, block_on, condition, converges_to, options, pod, settled,
};
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use kube::{Resource, ResourceExt};
use observedapp_desired::Kind;
use serde_json::{Value, json};

use super::{small, without_faults};

fn with_references() -> Value {
    json!({
        "image": "tasks:1",
        "env": [{"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "token", "key": "key"}}}],
        "volumes": [{"name": "config", "configMap": {"name": "config"}}],
        "volumeMounts": [{"name": "config", "mountPath": "/etc/tasks"}],
        "database": {"external": {"secretName": "token"}},
    })
}

async fn provide(ns: &TestNamespace) -> Result<()> {
    let secret: Secret = serde_json::from_value(
        json!({"metadata": {"name": "token"}, "stringData": {"key": "k", "uri": "postgres://a"}}),
    )?;
    Api::namespaced(ns.client.clone(), &ns.name)
        .create(&PostParams::default(), &secret)
        .await?;
    let map: ConfigMap = serde_json::from_value(json!({"metadata": {"name": "config"}, "data": {"a": "b"}}))?;
    Api::namespaced(ns.client.clone(), &ns.name)
        .create(&PostParams::default(), &map)
        .await?;
    Ok(())
}

#[test]
fn secrets_and_volumes_created_later_are_used() -> Result<()> {
    block_on(async {
        let reference = TestNamespace::new("provided").await?;
        let (_calm_proxy, _calm_operator) = RunningOperator::behind_proxy(&reference).await?;
        provide(&reference).await?;
        reference.apply("tasks", with_references()).await?;
        reference.applied("tasks").await?;
        let expected = settled(&reference).await?;

        let ns = TestNamespace::new("missing").await?;
        let (_proxy, _operator) = RunningOperator::behind_proxy(&ns).await?;
        ns.apply("tasks", with_references()).await?;
        ns.applied("tasks").await?;
        provide(&ns).await?;
        converges_to(&ns, &expected).await
    })
}

#[test]
fn an_image_pull_failure_is_reported_and_recovered_from() -> Result<()> {
    block_on(async {
        let expected = without_faults(small()).await?;
        let ns = TestNamespace::new("image").await?;
        let (_proxy, _operator) = RunningOperator::behind_proxy(&ns).await?;
        ns.apply("tasks", json!({"image": "tasks:typo", "replicas": 1}))
            .await?;
        ns.applied("tasks").await?;
        // As a kubelet would report it.
        let pods: Api<Pod> = Api::namespaced(ns.client.clone(), &ns.name);
        pods.create(&PostParams::default(), &pod("tasks", "tasks-1"))
            .await?;
        let status = json!({"status": {"phase": "Pending", "containerStatuses": [{
            "name": "tasks", "image": "tasks:typo", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}},
        }]}});
        pods.patch_status("tasks-1", &PatchParams::default(), &Patch::Merge(&status))
            .await?;
        ns.until("tasks", "the image is reported", |app| {
            condition(app, "Available").1 == "ImagePullBackOff"
        })
        .await?;
        ns.apply("tasks", small()).await?;
        // There is no pod to terminate.
        pods.delete("tasks-1", &DeleteParams::default().grace_period(0))
            .await?;
        converges_to(&ns, &expected).await
    })
}

/// A Deployment of this app as another version of the operator might have created it: with another selector, which is
/// immutable.
async fn leave_an_old_deployment(ns: &TestNamespace) -> Result<()> {
    let app = ns
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
    ns.objects(Kind::Deployment)
        .create(&PostParams::default(), &deployment)
        .await?;
    Ok(())
}

#[test]
fn an_immutable_field_is_reported_with_a_remedy() -> Result<()> {
    block_on(async {
        let expected = without_faults(small()).await?;
        let ns = TestNamespace::new("immutable").await?;
        let (_proxy, _operator) = RunningOperator::behind_proxy(&ns).await?;
        leave_an_old_deployment(&ns).await?;
        ns.apply("tasks", small()).await?;
        let app = ns
            .until("tasks", "the selector is reported", |app| {
                condition(app, "Applied").1 == "Immutable"
            })
            .await?;
        let (_, _, message) = condition(&app, "Applied");
        for word in ["Deployment tasks", "spec.selector", "delete the object"] {
            assert!(message.contains(word), "{message}");
        }
        // All other objects are created.
        assert_eq!(ns.names(Kind::Service).await?, ["tasks"]);
        ns.objects(Kind::Deployment)
            .delete("tasks", &DeleteParams::background())
            .await?;
        converges_to(&ns, &expected).await
    })
}

/// The list of an optional kind can take longer than the discovery interval and than reconciles wait for it at the
/// start.
#[test]
fn a_slow_initial_list_is_not_restarted() -> Result<()> {
    block_on(async {
        let ns = TestNamespace::new("slow-list").await?;
        let proxy = Proxy::start(&ns).await?;
        proxy.on_request(|call| match (call.verb, &*call.resource) {
            ("list", "prometheusrules") => Action::Delay(Duration::from_secs(12)),
            _ => Action::Pass,
        });
        let _operator = RunningOperator::start(options(&["--namespaces", &ns.name]), proxy.config());
        ns.apply("tasks", small()).await?;
        ns.applied("tasks").await?;
        assert_eq!(ns.names(Kind::PrometheusRule).await?, ["tasks"]);
        let calls = proxy.calls();
        let lists = calls
            .iter()
            .filter(|call| call.verb == "list" && call.resource == "prometheusrules");
        assert_eq!(lists.count(), 1, "the list was restarted");
        Ok(())
    })
}
