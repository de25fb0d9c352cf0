//! `replicas`, owned by the app or by an autoscaler.

use std::sync::{Arc, Mutex};

use anyhow::{Result, ensure};
use apiserver_tests::{
    Action, Gate, Proxy, RunningOperator, TestNamespace, block_on, condition, eventually, options,
};
use futures::StreamExt;
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Api, Patch, PatchParams};
use kube::runtime::{WatchStreamExt, watcher};
use observedapp_desired::Kind;
use serde_json::{Value, json};
use tokio_util::task::AbortOnDropHandle;

/// Every value of `replicas` that the Deployment `tasks` had.
struct Counts {
    seen: Arc<Mutex<Vec<i32>>>,
    _watch: AbortOnDropHandle<()>,
}

impl Counts {
    fn watch(ns: &TestNamespace) -> Self {
        let seen: Arc<Mutex<Vec<i32>>> = Arc::default();
        let into = Arc::clone(&seen);
        let config = watcher::Config::default().fields("metadata.name=tasks");
        let deployments = watcher(deployments(ns), config)
            .default_backoff()
            .applied_objects();
        let watch = deployments.for_each(move |deployment| {
            if let Some(count) = deployment.ok().and_then(|seen| seen.spec?.replicas) {
                into.lock().unwrap().push(count);
            }
            std::future::ready(())
        });
        Self {
            seen,
            _watch: AbortOnDropHandle::new(tokio::spawn(watch)),
        }
    }

    /// Waits until this value is the last one, and clears the list.
    async fn reach(&self, count: i32) -> Result<Vec<i32>> {
        eventually(&format!("replicas is {count}"), async || {
            let mut seen = self.seen.lock().unwrap();
            ensure!(seen.last() == Some(&count), "{seen:?}");
            Ok(std::mem::replace(&mut *seen, vec![count]))
        })
        .await
    }
}

fn deployments(ns: &TestNamespace) -> Api<Deployment> {
    Api::namespaced(ns.client.clone(), &ns.name)
}

fn spec(image: &str, autoscaled: bool) -> Value {
    let mut spec = json!({"image": image, "replicas": 4});
    if autoscaled {
        spec["autoscaling"] = json!({"minReplicas": 2, "maxReplicas": 9});
    }
    spec
}

/// Changes the scale subresource, as an autoscaler does.
async fn scale(ns: &TestNamespace, count: i32) -> Result<()> {
    let params = PatchParams {
        field_manager: Some("kube-controller-manager".to_owned()),
        ..PatchParams::default()
    };
    deployments(ns)
        .patch_scale(
            "tasks",
            &params,
            &Patch::Merge(json!({"spec": {"replicas": count}})),
        )
        .await?;
    Ok(())
}

#[test]
fn replicas_are_handed_to_an_autoscaler_and_back_without_a_drop() -> Result<()> {
    block_on(async {
        let ns = TestNamespace::new("scaled").await?;
        let (_proxy, _operator) = RunningOperator::behind_proxy(&ns).await?;
        let counts = Counts::watch(&ns);
        ns.apply("tasks", spec("tasks:1", false)).await?;
        ns.applied("tasks").await?;
        counts.reach(4).await?;
        ns.apply("tasks", spec("tasks:1", true)).await?;
        ns.applied("tasks").await?;
        scale(&ns, 7).await?;
        ns.apply("tasks", spec("tasks:2", true)).await?;
        ns.applied("tasks").await?;
        let seen = counts.reach(7).await?;
        assert!(
            seen.is_sorted(),
            "enabling autoscaling keeps replicas, and the autoscaler's value stays: {seen:?}"
        );
        ns.apply("tasks", spec("tasks:2", false)).await?;
        ns.applied("tasks").await?;
        let seen = counts.reach(4).await?;
        assert!(
            seen.iter().all(|count| *count >= 4),
            "disabling autoscaling keeps replicas: {seen:?}"
        );
        assert!(ns.names(Kind::HorizontalPodAutoscaler).await?.is_empty());
        Ok(())
    })
}

#[test]
fn a_late_write_of_a_former_leader_keeps_the_autoscalers_replicas() -> Result<()> {
    block_on(async {
        let ns = TestNamespace::new("thawed").await?;
        let [frozen, other] = [Proxy::start(&ns).await?, Proxy::start(&ns).await?];
        let arguments = ["--namespaces", &ns.name];
        let counts = Counts::watch(&ns);
        // Without leader election, only the operator's own ownership checks can protect the value.
        let first = RunningOperator::start(options(&arguments), frozen.config());
        ns.apply("tasks", spec("tasks:1", false)).await?;
        ns.applied("tasks").await?;
        counts.reach(4).await?;
        let gate = Gate::default();
        let held = gate.clone();
        frozen.on_request(move |call| match (call.verb, call.resource.as_str()) {
            ("patch", "deployments") => Action::Hold(held.clone()),
            _ => Action::Pass,
        });
        ns.apply("tasks", spec("tasks:2", false)).await?;
        eventually("the write is sent", async || {
            let last = frozen.writes().pop();
            let is_sent =
                |call: &apiserver_tests::Call| call.answer.is_none() && call.resource == "deployments";
            ensure!(last.as_ref().is_some_and(is_sent), "{last:?}");
            Ok(())
        })
        .await?;
        let _second = RunningOperator::start(options(&arguments), other.config());
        ns.apply("tasks", spec("tasks:3", true)).await?;
        ns.applied("tasks").await?;
        scale(&ns, 9).await?;
        counts.reach(9).await?;
        gate.open();
        eventually("the late write has a response", async || {
            let waiting = frozen.writes().into_iter().find(|call| call.answer.is_none());
            ensure!(waiting.is_none(), "{waiting:?}");
            Ok(())
        })
        .await?;
        first.kill().await;
        ns.apply("tasks", spec("tasks:4", true)).await?;
        ns.applied("tasks").await?;
        let seen = counts.reach(9).await?;
        assert_eq!(seen, vec![9; seen.len()], "replicas changed");
        Ok(())
    })
}

/// The app reports the autoscaler's condition, with a remedy.
#[test]
fn an_autoscaler_without_metrics_is_reported() -> Result<()> {
    block_on(async {
        let ns = TestNamespace::new("unscaled").await?;
        let (_proxy, _operator) = RunningOperator::behind_proxy(&ns).await?;
        let app = ns.apply("tasks", spec("tasks:1", true)).await?;
        assert_eq!(app.spec.replicas, 4);
        ns.applied("tasks").await?;
        let says = async |type_: &str, status: &str, reason: &str, message: &str| {
            let condition = json!({"type": type_, "status": status, "reason": reason, "message": message});
            let patch = json!({"status": {"conditions": [condition], "desiredReplicas": 2}});
            ns.objects(Kind::HorizontalPodAutoscaler)
                .patch_status("tasks", &PatchParams::default(), &Patch::Merge(patch))
                .await
        };
        let missing = "the server could not find the requested resource (get pods.metrics.k8s.io)";
        says("ScalingActive", "False", "FailedGetResourceMetric", missing).await?;
        let app = ns
            .until("tasks", "missing metrics are reported", |app| {
                condition(app, "Scaled").1 == "FailedGetResourceMetric"
            })
            .await?;
        let (status, _, message) = condition(&app, "Scaled");
        assert_eq!(status, "False");
        assert!(message.ends_with("install metrics-server"), "{message}");
        // `replicas` has no effect while autoscaling is enabled.
        let (_, reason, message) = condition(&app, "Valid");
        assert_eq!(reason, "ValidWithNotes");
        assert!(message.contains("spec.replicas: 4 does nothing"), "{message}");

        says("ScalingActive", "True", "ValidMetricFound", "it has them").await?;
        ns.until("tasks", "metrics are available", |app| {
            condition(app, "Scaled").0 == "True"
        })
        .await?;
        Ok(())
    })
}
