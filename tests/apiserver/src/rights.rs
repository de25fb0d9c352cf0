//! Grants the operators of the tests the rights in the rendered chart.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use k8s_openapi::api::core::v1::Namespace;
use kube::Client;
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};

use crate::eventually;

/// Rendered with `namespaces={shop,mail}`.
const NAMESPACED: &str = include_str!("../../golden/chart/namespaced.yaml");
/// Rendered with the default values.
const CLUSTER_WIDE: &str = include_str!("../../golden/chart/defaults.yaml");
/// The release namespace of both.
pub const SYSTEM: &str = "observedapp-system";

/// The user name of an operator's service account.
pub fn operator_in(namespace: &str) -> String {
    format!("system:serviceaccount:{namespace}:observedapp")
}

/// Grants an operator in `system` the chart's rights in these namespaces.
pub async fn grant_in_namespaces(client: &Client, system: &str, namespaces: &[&str]) -> Result<()> {
    for namespace in namespaces {
        let objects = rights(NAMESPACED)?.into_iter().filter(|object| {
            let of = object["metadata"]["namespace"].as_str();
            of == Some("shop") || (of == Some(SYSTEM) && namespace == &namespaces[0])
        });
        for object in objects {
            grant(client, &moved(&moved(&object, "shop", namespace), SYSTEM, system)).await?;
        }
        in_force(client, system, namespace, "apps", "deployments").await?;
    }
    in_force(client, system, system, "coordination.k8s.io", "leases").await
}

/// Grants an operator in `observedapp-system` the chart's cluster-wide rights.
pub async fn grant_cluster_wide(client: &Client) -> Result<()> {
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM}});
    let params = PatchParams::apply("tests").force();
    Api::<Namespace>::all(client.clone())
        .patch(SYSTEM, &params, &Patch::Apply(namespace))
        .await?;
    for object in rights(CLUSTER_WIDE)? {
        grant(client, &object).await?;
    }
    in_force(client, SYSTEM, "default", "apps", "deployments").await?;
    in_force(client, SYSTEM, SYSTEM, "coordination.k8s.io", "leases").await
}

/// A right: API group, resource, verb.
pub type Right = (String, String, String);

/// Every right that the chart grants cluster-wide.
pub fn granted_cluster_wide() -> Result<BTreeSet<Right>> {
    let mut given = BTreeSet::new();
    for rule in rights(CLUSTER_WIDE)?
        .iter()
        .flat_map(|object| object["rules"].as_array().into_iter().flatten())
    {
        for group in texts(&rule["apiGroups"]) {
            for resource in texts(&rule["resources"]) {
                for verb in texts(&rule["verbs"]) {
                    given.insert((group.to_owned(), resource.to_owned(), verb.to_owned()));
                }
            }
        }
    }
    ensure!(!given.is_empty(), "the rendered chart grants no rights");
    Ok(given)
}

fn texts(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str)
}

/// The RBAC objects in a rendered chart.
fn rights(rendered: &str) -> Result<Vec<Value>> {
    let all: Vec<Value> = serde_yaml::from_multiple(rendered).context("the rendered chart is not YAML")?;
    Ok(all
        .into_iter()
        .filter(|object| {
            object["apiVersion"]
                .as_str()
                .is_some_and(|version| version.starts_with("rbac.authorization.k8s.io/"))
        })
        .collect())
}

/// The same object for another namespace.
fn moved(object: &Value, from: &str, to: &str) -> Value {
    let mut object = object.clone();
    let subjects = object["subjects"].as_array().map_or(0, Vec::len);
    let places = (0..subjects).map(|subject| format!("/subjects/{subject}/namespace"));
    for place in places.chain(["/metadata/namespace".to_owned()]) {
        if let Some(namespace) = object.pointer_mut(&place)
            && *namespace == from
        {
            *namespace = to.into();
        }
    }
    object
}

async fn grant(client: &Client, object: &Value) -> Result<()> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let kind = text(&object["kind"]);
    let gvk = GroupVersionKind::gvk("rbac.authorization.k8s.io", "v1", &kind);
    let resource = ApiResource::from_gvk_with_plural(&gvk, &format!("{}s", kind.to_lowercase()));
    let api: Api<DynamicObject> = match object["metadata"]["namespace"].as_str() {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    };
    let params = PatchParams::apply("tests").force();
    api.patch(&text(&object["metadata"]["name"]), &params, &Patch::Apply(object))
        .await?;
    Ok(())
}

/// Waits until the authorizer has seen the bindings.
async fn in_force(client: &Client, system: &str, namespace: &str, group: &str, resource: &str) -> Result<()> {
    let review: SubjectAccessReview = serde_json::from_value(json!({
        "metadata": {},
        "spec": {
            "user": operator_in(system),
            "resourceAttributes": {"namespace": namespace, "verb": "create", "group": group, "resource": resource},
        },
    }))?;
    let reviews: Api<SubjectAccessReview> = Api::all(client.clone());
    eventually(
        &format!("an operator in {system} may write {resource} in {namespace}"),
        async || {
            let answer = reviews.create(&PostParams::default(), &review).await?;
            let status = answer.status.unwrap_or_default();
            ensure!(status.allowed, "{status:?}");
            Ok(())
        },
    )
    .await
}
