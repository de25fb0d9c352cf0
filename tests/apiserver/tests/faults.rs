//! What an operator must survive, each fault ending as if it had not been.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use anyhow::{Context, Result};
use apiserver_tests::{
    Proxy, Running, Space, Verdict, block_on, condition, difference, eventually, options, settled, snapshot,
};
use futures::{StreamExt, TryStreamExt, stream};
use http::Method;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret, Service};
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use observedapp_desired::Kind;
use serde_json::{Value, json};

fn small() -> Value {
    json!({"image": "tasks:1", "replicas": 1})
}

async fn start(space: &Space) -> Result<(Proxy, Running)> {
    let proxy = Proxy::start(space.client.clone()).await?;
    let operator = Running::start(options(&["--namespaces", &space.name]), proxy.config());
    Ok((proxy, operator))
}

#[test]
fn a_foreign_object_is_named_left_alone_and_replaced_when_it_goes() -> Result<()> {
    block_on(async {
        let space = Space::new("foreign").await?;
        let (_proxy, _operator) = start(&space).await?;
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
        let (_proxy, _operator) = start(&space).await?;
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
        eventually("all is as it was", async || {
            let now = snapshot(&space).await?;
            Ok(if now == before {
                Ok(())
            } else {
                Err(difference(&before, &now))
            })
        })
        .await
    })
}

#[test]
fn every_class_of_failure_is_told_and_outlived() -> Result<()> {
    let codes = [
        (409, "Conflict"),
        (429, "Throttled"),
        (500, "ApiServerUnavailable"),
        (403, "Forbidden"),
        (422, "Rejected"),
    ];
    let resources = ["services", "deployments", "networkpolicies", "serviceaccounts"];
    let cases = codes
        .iter()
        .flat_map(|code| resources.map(|resource| (*code, resource)));
    block_on(async {
        stream::iter(cases)
            .map(|((code, reason), resource)| fails_for_a_while(code, reason, resource))
            .buffer_unordered(7)
            .try_collect::<Vec<()>>()
            .await?;
        Ok(())
    })
}

async fn fails_for_a_while(code: u16, reason: &str, resource: &'static str) -> Result<()> {
    let space = Space::new(&format!("fails-{code}")).await?;
    let (proxy, _operator) = start(&space).await?;
    proxy.judge(move |call| {
        if call.resource == resource && call.method == Method::PATCH {
            Verdict::Fail(code)
        } else {
            Verdict::Pass
        }
    });
    space.apply("tasks", small()).await?;
    let what = format!("{code} of {resource} is told");
    space
        .until("tasks", &what, |app| condition(app, "Applied").1 == reason)
        .await?;
    proxy.judge(|_| Verdict::Pass);
    // Whoever mends what is forbidden or rejected need not wait for the operator's patience to end.
    space
        .apply("tasks", json!({"image": "tasks:2", "replicas": 1}))
        .await?;
    space.applied("tasks").await.context(what)?;
    Ok(())
}

#[test]
fn a_changed_secret_rolls_the_pods_and_one_that_nobody_uses_is_never_read() -> Result<()> {
    block_on(async {
        let space = Space::new("secrets").await?;
        let secrets: Api<Secret> = Api::namespaced(space.client.clone(), &space.name);
        let secret = |name: &str, value: &str| -> Secret {
            serde_json::from_value(json!({"metadata": {"name": name}, "stringData": {"key": value}})).unwrap()
        };
        secrets
            .create(&PostParams::default(), &secret("used", "one"))
            .await?;
        secrets
            .create(&PostParams::default(), &secret("stranger", "one"))
            .await?;
        let (proxy, _operator) = start(&space).await?;
        space.apply("tasks", json!({"image": "tasks:1", "envFrom": [{"secretRef": {"name": "used"}}, {"configMapRef": {"name": "later", "optional": true}}]})).await?;
        space.applied("tasks").await?;
        let deployments: Api<Deployment> = Api::namespaced(space.client.clone(), &space.name);
        let generation = async || anyhow::Ok(deployments.get("tasks").await?.metadata.generation);
        let first = generation().await?;
        secrets
            .patch(
                "used",
                &PatchParams::default(),
                &Patch::Merge(json!({"stringData": {"key": "two"}})),
            )
            .await?;
        eventually("a new revision rolls out", async || {
            let now = generation().await?;
            Ok(if now > first {
                Ok(())
            } else {
                Err(format!("{now:?}"))
            })
        })
        .await?;
        let second = generation().await?;
        let map: ConfigMap =
            serde_json::from_value(json!({"metadata": {"name": "later"}, "data": {"a": "b"}}))?;
        Api::namespaced(space.client.clone(), &space.name)
            .create(&PostParams::default(), &map)
            .await?;
        eventually("what appears rolls the pods too", async || {
            let now = generation().await?;
            Ok(if now > second {
                Ok(())
            } else {
                Err(format!("{now:?}"))
            })
        })
        .await?;
        let read: Vec<_> = proxy
            .calls()
            .into_iter()
            .filter(|call| call.name.as_deref() == Some("stranger"))
            .collect();
        assert!(read.is_empty(), "{read:#?}");
        Ok(())
    })
}

#[test]
fn replicas_are_handed_to_an_autoscaler_and_back_without_a_drop() -> Result<()> {
    block_on(async {
        let space = Space::new("scaled").await?;
        let (_proxy, _operator) = start(&space).await?;
        let deployments: Api<Deployment> = Api::namespaced(space.client.clone(), &space.name);
        let count = async || {
            anyhow::Ok(
                deployments
                    .get("tasks")
                    .await?
                    .spec
                    .and_then(|spec| spec.replicas)
                    .unwrap_or(1),
            )
        };
        let spec = |autoscaled: bool| {
            let mut spec = json!({"image": "tasks:1", "replicas": 4});
            if autoscaled {
                spec["autoscaling"] = json!({"minReplicas": 2, "maxReplicas": 9});
            }
            spec
        };
        space.apply("tasks", spec(false)).await?;
        space.applied("tasks").await?;
        assert_eq!(count().await?, 4);
        space.apply("tasks", spec(true)).await?;
        space.applied("tasks").await?;
        assert_eq!(count().await?, 4, "turning it on keeps the count");
        // The autoscaler's own way to change it.
        let scale = json!({"spec": {"replicas": 7}});
        deployments
            .patch_scale(
                "tasks",
                &PatchParams {
                    field_manager: Some("kube-controller-manager".to_owned()),
                    ..PatchParams::default()
                },
                &Patch::Merge(scale),
            )
            .await?;
        space
            .apply("tasks", {
                let mut spec = spec(true);
                spec["image"] = "tasks:2".into();
                spec
            })
            .await?;
        space.applied("tasks").await?;
        assert_eq!(count().await?, 7, "what the autoscaler chose stays");
        space.apply("tasks", spec(false)).await?;
        space.applied("tasks").await?;
        assert_eq!(count().await?, 4);
        assert!(space.names(Kind::HorizontalPodAutoscaler).await?.is_empty());
        Ok(())
    })
}

#[test]
fn kept_data_is_taken_up_again_with_the_same_password() -> Result<()> {
    block_on(async {
        let space = Space::new("kept").await?;
        let (_proxy, _operator) = start(&space).await?;
        let with = json!({"image": "tasks:1", "database": {"builtin": {}}});
        space.apply("tasks", with.clone()).await?;
        space.applied("tasks").await?;
        let secrets: Api<Secret> = Api::namespaced(space.client.clone(), &space.name);
        let password =
            async || anyhow::Ok(secrets.get("tasks-db-app").await?.data.unwrap()["password"].clone());
        let first = password().await?;
        space.apply("tasks", small()).await?;
        space.applied("tasks").await?;
        eventually("the database is gone and its data is not", async || {
            let sets = space.names(Kind::StatefulSet).await?;
            Ok(if sets.is_empty() {
                Ok(())
            } else {
                Err(format!("{sets:?}"))
            })
        })
        .await?;
        assert_eq!(space.names(Kind::PersistentVolumeClaim).await?, ["tasks-db"]);
        space.delete("tasks").await?;
        eventually("the app is gone", async || {
            Ok(if space.apps().get_opt("tasks").await?.is_none() {
                Ok(())
            } else {
                Err(String::new())
            })
        })
        .await?;
        space.apply("tasks", with.clone()).await?;
        space.applied("tasks").await?;
        assert_eq!(password().await?, first);

        // A claim whose Secret is lost is never given a new password.
        space.apply("tasks", small()).await?;
        space.applied("tasks").await?;
        secrets.delete("tasks-db-app", &DeleteParams::default()).await?;
        space.apply("tasks", with).await?;
        let app = space
            .until("tasks", "the lost Secret is named", |app| {
                condition(app, "DatabaseReady").1 == "SecretLost"
            })
            .await?;
        assert!(
            condition(&app, "DatabaseReady").2.contains("tasks-db-app"),
            "{:?}",
            condition(&app, "DatabaseReady")
        );
        assert!(secrets.get_opt("tasks-db-app").await?.is_none());
        Ok(())
    })
}

#[test]
fn a_paused_app_is_not_written_and_its_status_goes_on() -> Result<()> {
    block_on(async {
        let space = Space::new("paused").await?;
        let (_proxy, _operator) = start(&space).await?;
        space.apply("tasks", small()).await?;
        space.applied("tasks").await?;
        space
            .apply(
                "tasks",
                json!({"image": "tasks:2", "replicas": 1, "paused": true}),
            )
            .await?;
        space
            .until("tasks", "it is paused", |app| {
                condition(app, "Applied").1 == "Paused"
            })
            .await?;
        let deployments: Api<Deployment> = Api::namespaced(space.client.clone(), &space.name);
        let image = async || {
            anyhow::Ok(serde_json::to_value(deployments.get("tasks").await?)?["spec"]["template"]["spec"]["containers"][0]["image"].clone())
        };
        assert_eq!(image().await?, "tasks:1");
        space
            .apply("tasks", json!({"image": "tasks:2", "replicas": 1}))
            .await?;
        space.applied("tasks").await?;
        assert_eq!(image().await?, "tasks:2");
        Ok(())
    })
}

#[test]
fn a_namespace_deleted_in_the_middle_ends_in_nothing() -> Result<()> {
    block_on(async {
        let space = Space::new("ends").await?;
        let (proxy, _operator) = start(&space).await?;
        proxy.judge(|call| {
            if call.write.is_some() {
                Verdict::Delay(Duration::from_millis(100))
            } else {
                Verdict::Pass
            }
        });
        space.apply("tasks", json!({"image": "tasks:1", "database": {"builtin": {"deletionPolicy": "Delete"}}, "cache": {"builtin": {}}})).await?;
        let namespaces: Api<Namespace> = Api::all(space.client.clone());
        namespaces
            .delete(&space.name, &DeleteParams::background())
            .await?;
        eventually("the namespace is gone", async || {
            Ok(if namespaces.get_opt(&space.name).await?.is_none() {
                Ok(())
            } else {
                Err(String::new())
            })
        })
        .await
    })
}

#[test]
fn of_two_operators_one_leads_and_the_other_takes_over() -> Result<()> {
    block_on(async {
        let space = Space::new("leaders").await?;
        let proxies = [
            Proxy::start(space.client.clone()).await?,
            Proxy::start(space.client.clone()).await?,
        ];
        let start = |number: usize| {
            let arguments = [
                "--namespaces",
                &space.name,
                "--leader-elect",
                "--leader-elect-namespace",
                &space.name,
                "--identity",
                ["one", "two"][number],
            ];
            Running::start(options(&arguments), proxies[number].config())
        };
        let first = start(0);
        space.apply("tasks", small()).await?;
        space.applied("tasks").await?;
        let _second = start(1);
        // The leader is cut off from the API server in the middle of its life: it must stop before the other begins.
        proxies[0].judge(|_| Verdict::Swallow);
        space
            .apply("tasks", json!({"image": "tasks:2", "replicas": 1}))
            .await?;
        space.applied("tasks").await?;
        let by_first = proxies[0].writes().len();
        // It comes back to life, and has nothing to say.
        proxies[0].judge(|_| Verdict::Pass);
        space
            .apply("tasks", json!({"image": "tasks:3", "replicas": 1}))
            .await?;
        space.applied("tasks").await?;
        assert_eq!(proxies[0].writes().len(), by_first, "{:#?}", proxies[0].writes());
        first.kill().await;
        Ok(())
    })
}
