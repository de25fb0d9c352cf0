//! The chart's rights: no fewer than are needed, which every test shows, and no more. A server of its own: an operator
//! that runs everywhere would take the apps of other tests.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use anyhow::Result;
use apiserver_tests::rights::{self, Right};
use apiserver_tests::{
    Call, Proxy, Running, Space, block_on, condition, install, options, schemaless, schemaless_as,
};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::api::{Api, Patch, PatchParams};
use kube::core::GroupVersionKind;
use observedapp_desired::Kind;
use serde_json::{Value, json};

/// Rights that no request of a full life shows, each with its reason: group, resource, verb.
const UNSEEN: &[(&str, &str, &str, &str)] = &[
    (
        "observedapp.dev",
        "observedapps/finalizers",
        "update",
        "admission asks for it of who sets a blocking owner reference",
    ),
    (
        "observedapp.dev",
        "observedapps",
        "get",
        "an app that cannot be read as one is read as it is: schemas.rs",
    ),
];

fn large() -> Value {
    json!({
        "image": "tasks:1", "port": 5000, "autoscaling": {"maxReplicas": 5},
        "ingress": {"host": "tasks.example.com"},
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

/// Two namespaces and no other, with the Lease in a third.
async fn confined() -> Result<()> {
    let [system, shop, mail, other] = [
        Space::new("system").await?,
        Space::new("shop").await?,
        Space::new("mail").await?,
        Space::new("other").await?,
    ];
    rights::confine(&system.client, &system.name, &[&shop.name, &mail.name]).await?;
    let proxy = Proxy::start(&system).await?;
    let namespaces = format!("--namespaces={},{}", shop.name, mail.name);
    let arguments = [
        &namespaces,
        "--leader-elect",
        "--leader-elect-namespace",
        &system.name,
    ];
    let operator = Running::start(options(&arguments), proxy.config());
    other.apply("tasks", bare()).await?;
    for space in [&shop, &mail] {
        for spec in [large(), bare()] {
            let mut spec = spec;
            if spec["ingress"].is_object() {
                spec["ingress"]["host"] = format!("{}.example.com", space.name).into();
            }
            space.apply("tasks", spec).await?;
            space.applied("tasks").await?;
        }
    }
    let status = other.apps().get("tasks").await?.status.unwrap_or_default();
    assert!(status.conditions.is_empty(), "not its namespace: {status:?}");
    other.delete("tasks").await?;
    operator.stop().await
}

/// Only an operator that may read StorageClasses can tell before it tries.
async fn growth_on_a_class_that_cannot_is_refused(space: &Space) -> Result<()> {
    let class = json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "fixed"},
        "provisioner": "example.com/fixed",
    });
    Api::<StorageClass>::all(space.client.clone())
        .patch("fixed", &PatchParams::apply("tests"), &Patch::Apply(&class))
        .await?;
    let of_size = |size: &str| {
        json!({"image": "tasks:1", "database": {"builtin": {
            "deletionPolicy": "Delete", "storage": {"size": size, "className": "fixed"},
        }}})
    };
    space.apply("tasks", of_size("1Gi")).await?;
    space.applied("tasks").await?;
    space.apply("tasks", of_size("5Gi")).await?;
    let app = space
        .until("tasks", "the growth is refused", |app| {
            condition(app, "Valid").1 == "InvalidSpecDatabaseBuiltinStorageSize"
        })
        .await?;
    let (_, _, message) = condition(&app, "Valid");
    assert!(
        message.contains("StorageClass fixed does not let claims grow"),
        "{message}"
    );
    space.apply("tasks", of_size("1Gi")).await?;
    space.applied("tasks").await?;
    Ok(())
}

/// Everything that an operator does in its life, and which rights that took.
async fn everywhere() -> Result<BTreeSet<Right>> {
    let space = Space::new("life").await?;
    rights::unconfine(&space.client).await?;
    let proxy = Proxy::start_as(space.client.clone(), &rights::operator_in(rights::SYSTEM)).await?;
    let arguments = [
        "--leader-elect",
        "--leader-elect-namespace",
        rights::SYSTEM,
        "--prober-url=blackbox.monitoring.svc:9115",
    ];
    let operator = Running::start(options(&arguments), proxy.config());
    let cloud = json!({"image": "tasks:1", "database": {"cloudNativePG": {"deletionPolicy": "Delete"}}});
    for spec in [large(), bare(), cloud, bare()] {
        space.apply("tasks", spec).await?;
        space.applied("tasks").await?;
    }
    growth_on_a_class_that_cannot_is_refused(&space).await?;
    space.apply("tasks", bare()).await?;
    space.applied("tasks").await?;
    // Of what happens twice the Event is written once and then counted.
    for _ in 0..2 {
        let mut nonsense = bare();
        nonsense["alerts"]["extra"] = json!([{"alert": "Nonsense", "expr": "sum by ("}]);
        space.apply("tasks", nonsense).await?;
        space
            .until("tasks", "it makes no sense", |app| {
                condition(app, "Valid").0 == "False"
            })
            .await?;
        space.apply("tasks", bare()).await?;
        space.applied("tasks").await?;
    }
    space.delete("tasks").await?;
    space.gone("tasks").await?;
    operator.stop().await?;
    Ok(proxy.calls().iter().flat_map(used).collect())
}

fn used(call: &Call) -> Vec<Right> {
    let right = |verb: &str| (call.group.clone(), call.resource.clone(), verb.to_owned());
    match (call.verb, call.answer) {
        // Who applies what does not exist creates it.
        ("patch", Some(201)) => vec![right("patch"), right("create")],
        (verb, _) => vec![right(verb)],
    }
}

#[test]
fn the_chart_gives_what_is_needed_and_no_more() -> Result<()> {
    block_on(async {
        let client = apiserver_tests::cluster().await?;
        install(&client, &schemaless(Kind::Cluster)?).await?;
        let prometheus = GroupVersionKind::gvk("monitoring.coreos.com", "v1", "Prometheus");
        install(&client, &schemaless_as(&prometheus, "prometheuses")?).await?;
        confined().await?;
        let used = everywhere().await?;
        let unseen: BTreeSet<Right> = UNSEEN
            .iter()
            .map(|(group, resource, verb, _)| {
                ((*group).to_owned(), (*resource).to_owned(), (*verb).to_owned())
            })
            .collect();
        let given = rights::given_everywhere()?;
        let spare: Vec<_> = given
            .difference(&used)
            .filter(|right| !unseen.contains(*right))
            .collect();
        assert!(
            spare.is_empty(),
            "the chart gives rights that nothing needs: {spare:#?}"
        );
        let seen: Vec<_> = unseen.intersection(&used).collect();
        assert!(seen.is_empty(), "these need no excuse any more: {seen:#?}");
        assert!(
            unseen.is_subset(&given),
            "an excuse for a right that is not given"
        );
        Ok(())
    })
}
