//! Ready pods, where no kubelet runs any.

use anyhow::Result;
use futures::StreamExt;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Container, Pod, PodSpec};
use kube::ResourceExt;
use kube::api::{Api, ObjectMeta, Patch, PatchParams};
use kube::runtime::{WatchStreamExt, watcher};
use serde_json::json;
use tokio_util::task::AbortOnDropHandle;

use crate::TestNamespace;

/// Keeps every app of a namespace available until the handle is dropped.
pub fn keep_ready(ns: &TestNamespace) -> AbortOnDropHandle<()> {
    let ns = ns.clone();
    AbortOnDropHandle::new(tokio::spawn(async move {
        let deployments: Api<Deployment> = Api::namespaced(ns.client.clone(), &ns.name);
        let apps = watcher::Config::default().labels("app.kubernetes.io/component=app");
        let mut apps = std::pin::pin!(watcher(deployments, apps).default_backoff().applied_objects());
        while let Some(seen) = apps.next().await {
            let Ok(deployment) = seen else { continue };
            let status = deployment.status.as_ref();
            if status.and_then(|status| status.available_replicas).is_none() {
                // The app may be deleted by now.
                let _ = set_ready(&ns, &deployment.name_any(), 1).await;
            }
        }
    }))
}

/// Sets the number of available pods of an app.
pub async fn set_ready(ns: &TestNamespace, app: &str, pods: i32) -> Result<()> {
    let deployments: Api<Deployment> = Api::namespaced(ns.client.clone(), &ns.name);
    let status = json!({"status": {"replicas": 1, "readyReplicas": pods, "availableReplicas": pods}});
    deployments
        .patch_status(app, &PatchParams::default(), &Patch::Merge(status))
        .await?;
    Ok(())
}

/// A pod of an app, as its Deployment would create it.
pub fn pod(app: &str, name: &str) -> Pod {
    let labels = [
        ("app.kubernetes.io/name", app),
        ("app.kubernetes.io/instance", app),
        ("app.kubernetes.io/component", "app"),
        ("app.kubernetes.io/managed-by", "observedapp"),
    ];
    Pod {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            labels: Some(
                labels
                    .map(|(key, value)| (key.to_owned(), value.to_owned()))
                    .into(),
            ),
            ..ObjectMeta::default()
        },
        spec: Some(PodSpec {
            containers: vec![Container {
                name: app.to_owned(),
                image: Some("tasks:1".to_owned()),
                ..Container::default()
            }],
            ..PodSpec::default()
        }),
        ..Pod::default()
    }
}
