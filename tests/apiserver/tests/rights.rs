//! The chart grants all rights that are used, which every test shows, and no others. The server is not shared: an
//! operator for all namespaces would reconcile the apps of other tests.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use apiserver_tests::rights::{self, Right};
use apiserver_tests::{
    Call, Proxy, RunningOperator, TestNamespace, block_on, condition, eventually, install,
    install_gateway_api, keep_ready, options, pod, schemaless, schemaless_as,
};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::storage::v1::StorageClass;
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use observedapp_desired::Kind;
use serde_json::{Value, json};

/// Rights that no request in this test uses, each with its reason: group, resource, verb.
const UNSEEN: &[(&str, &str, &str, &str)] = &[
    (
        "observedapp.dev",
        "observedapps/finalizers",
        "update",
        "admission requires it for a blocking owner reference",
    ),
    (
        "observedapp.dev",
        "observedapps",
        "get",
        "an app that does not parse is read as a dynamic object: schemas.rs",
    ),
    (
        "apps",
        "controllerrevisions",
        "get",
        "one that exists and that no watch has shown is read: releases.rs",
    ),
];

fn prometheus() -> GroupVersionKind {
    GroupVersionKind::gvk("monitoring.coreos.com", "v1", "Prometheus")
}

fn large() -> Value {
    json!({
        "image": "tasks:1", "port": 5000, "autoscaling": {"maxReplicas": 5},
        "ingress": {"host": "tasks.example.com"},
        "gateway": {"parentRefs": [{"name": "public"}], "hostnames": ["tasks.example.com"]},
        "database": {"builtin": {"deletionPolicy": "Delete"}}, "cache": {"builtin": {}},
        "metrics": {"port": 8000}, "probe": {"path": "/tasks"},
    })
}

fn bare() -> Value {
    json!({
        "image": "tasks:1", "replicas": 1, "dashboards": {"enabled": false}, "networkPolicy": {"enabled": false},
        "alerts": {
            "highCPU": {"enabled": false}, "highMemory": {"enabled": false}, "replicasUnavailable": {"enabled": false},
        },
    })
}

/// An operator for two namespaces, with the Lease in a third.
async fn namespaced() -> Result<()> {
    let [system, shop, mail, other] = [
        TestNamespace::new("system").await?,
        TestNamespace::new("shop").await?,
        TestNamespace::new("mail").await?,
        TestNamespace::new("other").await?,
    ];
    rights::grant_in_namespaces(&system.client, &system.name, &[&shop.name, &mail.name]).await?;
    let proxy = Proxy::start(&system).await?;
    let namespaces = format!("--namespaces={},{}", shop.name, mail.name);
    let arguments = [
        &namespaces,
        "--leader-elect",
        "--leader-elect-namespace",
        &system.name,
    ];
    let operator = RunningOperator::start(options(&arguments), proxy.config());
    other.apply("tasks", bare()).await?;
    for ns in [&shop, &mail] {
        for spec in [large(), bare()] {
            let mut spec = spec;
            if spec["ingress"].is_object() {
                let host = format!("{}.example.com", ns.name);
                spec["ingress"]["host"] = host.clone().into();
                spec["gateway"]["hostnames"] = json!([host]);
            }
            ns.apply("tasks", spec).await?;
            ns.applied("tasks").await?;
        }
    }
    let status = other.apps().get("tasks").await?.status.unwrap_or_default();
    assert!(
        status.conditions.is_empty(),
        "it is not the operator's namespace: {status:?}"
    );
    other.delete("tasks").await?;
    operator.stop().await
}

/// Only an operator that may read StorageClasses can report this before it tries.
async fn growth_on_a_class_that_cannot_is_refused(ns: &TestNamespace) -> Result<()> {
    let class = json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "fixed"},
        "provisioner": "example.com/fixed",
    });
    Api::<StorageClass>::all(ns.client.clone())
        .patch("fixed", &PatchParams::apply("tests"), &Patch::Apply(&class))
        .await?;
    let of_size = |size: &str| {
        json!({"image": "tasks:1", "database": {"builtin": {
            "deletionPolicy": "Delete", "storage": {"size": size, "className": "fixed"},
        }}})
    };
    ns.apply("tasks", of_size("1Gi")).await?;
    ns.applied("tasks").await?;
    ns.apply("tasks", of_size("5Gi")).await?;
    let app = ns
        .until("tasks", "the growth is refused", |app| {
            condition(app, "Valid").1 == "InvalidSpecDatabaseBuiltinStorageSize"
        })
        .await?;
    let (_, _, message) = condition(&app, "Valid");
    assert!(
        message.contains("StorageClass fixed does not let claims grow"),
        "{message}"
    );
    ns.apply("tasks", of_size("1Gi")).await?;
    ns.applied("tasks").await?;
    Ok(())
}

/// Of many releases the newest ten are kept.
async fn old_releases_are_deleted(ns: &TestNamespace) -> Result<()> {
    // A pod that is no release's would be one that is still to end.
    let pods: Api<Pod> = Api::namespaced(ns.client.clone(), &ns.name);
    pods.delete("tasks-1", &DeleteParams::default().grace_period(0))
        .await?;
    for number in 1..=12 {
        let mut spec = bare();
        spec["image"] = format!("tasks:{number}").into();
        spec["replicas"] = 0.into();
        spec["rollout"] = json!({"guard": {}});
        ns.apply("tasks", spec).await?;
        ns.until("tasks", "the release runs everywhere", |app| {
            let release = app.status.as_ref().and_then(|status| status.release.as_ref());
            release.is_some_and(|release| release.number == number) && condition(app, "Released").0 == "True"
        })
        .await?;
    }
    eventually("the oldest releases are deleted", async || {
        let records = ns.names(Kind::ControllerRevision).await?;
        ensure!(
            records.len() == 10 && !records.contains(&"tasks-release-2".to_owned()),
            "{records:?}"
        );
        Ok(())
    })
    .await
}

/// Only an operator that may read Gateways knows which exist, and which serve HTTPS.
async fn urls_follow_the_gateways(ns: &TestNamespace) -> Result<()> {
    let spec = json!({
        "image": "tasks:1", "gateway": {"parentRefs": [{"name": "public"}], "hostnames": ["tasks.example.com"]},
    });
    ns.apply("tasks", spec).await?;
    ns.until("tasks", "the missing Gateway is reported", |app| {
        condition(app, "Exposed").1 == "GatewayMissing"
    })
    .await?;
    let gvk = GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", "Gateway");
    let resource = ApiResource::from_gvk_with_plural(&gvk, "gateways");
    let gateways: Api<DynamicObject> = Api::namespaced_with(ns.client.clone(), &ns.name, &resource);
    let has_url = |url: &'static str| {
        ns.until("tasks", url, move |app| {
            let status = app.status.as_ref();
            status.and_then(|status| status.url.as_deref()) == Some(url)
                && condition(app, "Exposed").1 == "RouteNotLookedAt"
        })
    };
    for (more, url) in [
        (json!({"protocol": "HTTP"}), "http://tasks.example.com/"),
        (
            json!({"protocol": "HTTPS", "tls": {"certificateRefs": [{"name": "tls"}]}}),
            "https://tasks.example.com/",
        ),
    ] {
        let mut listener = json!({"name": "one", "port": 443, "hostname": "*.example.com"});
        for (field, value) in more.as_object().unwrap() {
            listener[field] = value.clone();
        }
        let gateway = json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": {"name": "public"},
            "spec": {"gatewayClassName": "any", "listeners": [listener]},
        });
        let params = PatchParams::apply("tests").force();
        gateways.patch("public", &params, &Patch::Apply(&gateway)).await?;
        has_url(url).await?;
    }
    Ok(())
}

/// A Prometheus that selects namespaces by their labels.
async fn select_namespaces(ns: &TestNamespace) -> Result<()> {
    let resource = ApiResource::from_gvk_with_plural(&prometheus(), "prometheuses");
    let object = serde_json::from_value(json!({
        "apiVersion": "monitoring.coreos.com/v1", "kind": "Prometheus", "metadata": {"name": "one"},
        "spec": {
            "serviceMonitorSelector": {},
            "serviceMonitorNamespaceSelector": {"matchLabels": {"monitored": "true"}},
        },
    }))?;
    Api::<DynamicObject>::namespaced_with(ns.client.clone(), &ns.name, &resource)
        .create(&PostParams::default(), &object)
        .await?;
    Ok(())
}

/// Uses every capability of the operator; returns the rights that its requests used.
async fn cluster_wide() -> Result<BTreeSet<Right>> {
    let ns = TestNamespace::new("rights").await?;
    rights::grant_cluster_wide(&ns.client).await?;
    select_namespaces(&ns).await?;
    let proxy = Proxy::start_as(ns.client.clone(), &rights::operator_in(rights::SYSTEM)).await?;
    let arguments = [
        "--leader-elect",
        "--leader-elect-namespace",
        rights::SYSTEM,
        "--prober-url=blackbox.monitoring.svc:9115",
    ];
    let operator = RunningOperator::start(options(&arguments), proxy.config());
    let _ready = keep_ready(&ns);
    let cloud = json!({"image": "tasks:1", "database": {"cloudNativePG": {"deletionPolicy": "Delete"}}});
    for spec in [large(), bare(), cloud, bare()] {
        let is_probed = spec["probe"].is_object();
        ns.apply("tasks", spec).await?;
        ns.applied("tasks").await?;
        eventually("it has a Probe if its spec asks for one", async || {
            let probes = ns.names(Kind::Probe).await?;
            ensure!(probes.is_empty() != is_probed, "{probes:?}");
            Ok(())
        })
        .await?;
    }
    // A pod that is not ready, without a reason in its status.
    let pods: Api<Pod> = Api::namespaced(ns.client.clone(), &ns.name);
    pods.create(&PostParams::default(), &pod("tasks", "tasks-1"))
        .await?;
    eventually("its Events are read", async || {
        let calls = proxy.calls();
        let read = calls
            .iter()
            .any(|call| (call.verb, &*call.resource) == ("list", "events"));
        ensure!(read, "{} calls", calls.len());
        Ok(())
    })
    .await?;
    growth_on_a_class_that_cannot_is_refused(&ns).await?;
    urls_follow_the_gateways(&ns).await?;
    old_releases_are_deleted(&ns).await?;
    ns.apply("tasks", bare()).await?;
    ns.applied("tasks").await?;
    // A repeated Event is created once and then patched.
    for _ in 0..2 {
        let mut nonsense = bare();
        nonsense["alerts"]["extra"] = json!([{"alert": "Nonsense", "expr": "sum by ("}]);
        ns.apply("tasks", nonsense).await?;
        ns.until("tasks", "it is invalid", |app| {
            condition(app, "Valid").0 == "False"
        })
        .await?;
        ns.apply("tasks", bare()).await?;
        ns.applied("tasks").await?;
    }
    ns.delete("tasks").await?;
    ns.gone("tasks").await?;
    operator.stop().await?;
    Ok(proxy.calls().iter().flat_map(used).collect())
}

fn used(call: &Call) -> Vec<Right> {
    let right = |verb: &str| (call.group.clone(), call.resource.clone(), verb.to_owned());
    match (call.verb, call.answer) {
        // Applying a missing object needs `create`.
        ("patch", Some(201)) => vec![right("patch"), right("create")],
        (verb, _) => vec![right(verb)],
    }
}

#[test]
fn the_chart_grants_exactly_the_rights_that_are_used() -> Result<()> {
    block_on(async {
        let client = apiserver_tests::cluster().await?;
        install(&client, &schemaless(Kind::Cluster)?).await?;
        install_gateway_api(&client).await?;
        install(&client, &schemaless_as(&prometheus(), "prometheuses")?).await?;
        namespaced().await?;
        let used = cluster_wide().await?;
        let unseen: BTreeSet<Right> = UNSEEN
            .iter()
            .map(|(group, resource, verb, _)| {
                ((*group).to_owned(), (*resource).to_owned(), (*verb).to_owned())
            })
            .collect();
        let given = rights::granted_cluster_wide()?;
        let spare: Vec<_> = given
            .difference(&used)
            .filter(|right| !unseen.contains(*right))
            .collect();
        assert!(spare.is_empty(), "the chart grants unused rights: {spare:#?}");
        let seen: Vec<_> = unseen.intersection(&used).collect();
        assert!(
            seen.is_empty(),
            "these rights are used; remove them from UNSEEN: {seen:#?}"
        );
        assert!(
            unseen.is_subset(&given),
            "UNSEEN lists a right that the chart does not grant"
        );
        Ok(())
    })
}
