//! The chart's own rights, as it renders them, for the operators of the tests.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use k8s_openapi::api::core::v1::Namespace;
use kube::Client;
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};

use crate::eventually;

/// The chart with `namespaces={shop,mail}`.
const NAMESPACED: &str = include_str!("../../golden/chart/namespaced.yaml");
/// The chart as it is without any value.
const CLUSTER_WIDE: &str = include_str!("../../golden/chart/defaults.yaml");
/// The namespace that both are rendered for.
pub const SYSTEM: &str = "observedapp-system";

/// The user that an operator in this namespace is.
pub fn operator_in(namespace: &str) -> String {
    format!("system:serviceaccount:{namespace}:observedapp")
}

/// Gives an operator in `system` the rights that the chart gives it in these namespaces.
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

/// Gives an operator in the namespace `observedapp-system` the rights that the chart gives it everywhere.
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

/// Every right that the chart gives an operator that runs everywhere.
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
    ensure!(!given.is_empty(), "the rendered chart gives no rights");
    Ok(given)
}

fn texts(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str)
}

/// The objects of RBAC in a rendered chart.
fn rights(rendered: &str) -> Result<Vec<Value>> {
    let all: Vec<Value> = serde_yaml::from_multiple(rendered).context("the rendered chart is no YAML")?;
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

/// The API server learns of rights a little later than it stores them.
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
            Ok(if status.allowed {
                Ok(())
            } else {
                Err(format!("{status:?}"))
            })
        },
    )
    .await
}
