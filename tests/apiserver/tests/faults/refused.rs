//! What the API server refuses: the reason and the remedy fit the cause.

use anyhow::Result;
use apiserver_tests::{Running, Space, block_on, condition};
use k8s_openapi::api::core::v1::{LimitRange, PersistentVolumeClaim, ResourceQuota};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

async fn told_of_the_claim(space: &Space, reason: &str, words: &[&str]) -> Result<()> {
    let (_proxy, _operator) = Running::calm(space).await?;
    let spec = json!({"image": "tasks:1", "database": {"builtin": {"storage": {"size": "1Gi"}}}});
    space.apply("tasks", spec).await?;
    let app = space
        .until("tasks", &format!("{reason} is told"), |app| {
            condition(app, "Applied").1 == reason
        })
        .await?;
    let (_, _, message) = condition(&app, "Applied");
    for word in words {
        assert!(message.contains(word), "{message}");
    }
    assert!(
        !message.contains("ServiceAccount"),
        "it lacks no right: {message}"
    );
    Ok(())
}

#[test]
fn a_quota_is_told_as_a_quota() -> Result<()> {
    block_on(async {
        let space = Space::new("quota").await?;
        let quotas: Api<ResourceQuota> = Api::namespaced(space.client.clone(), &space.name);
        let hard = json!({"requests.storage": "512Mi"});
        let quota = json!({"metadata": {"name": "small"}, "spec": {"hard": hard}});
        quotas
            .create(&PostParams::default(), &serde_json::from_value(quota)?)
            .await?;
        // The controller that would count does not run here.
        let counted = json!({"status": {"hard": hard, "used": {"requests.storage": "0"}}});
        quotas
            .patch_status("small", &PatchParams::default(), &Patch::Merge(counted))
            .await?;
        let words = ["exceeded quota: small", "requests.storage", "raise the quota"];
        told_of_the_claim(&space, "QuotaExceeded", &words).await
    })
}

#[test]
fn a_limit_range_is_told_as_one() -> Result<()> {
    block_on(async {
        let space = Space::new("limit-range").await?;
        let limits = json!([{"type": "PersistentVolumeClaim", "max": {"storage": "512Mi"}}]);
        let range = json!({"metadata": {"name": "small"}, "spec": {"limits": limits}});
        Api::<LimitRange>::namespaced(space.client.clone(), &space.name)
            .create(&PostParams::default(), &serde_json::from_value(range)?)
            .await?;
        let words = ["512Mi, but request is 1Gi", "widen the LimitRange"];
        told_of_the_claim(&space, "OutsideLimitRange", &words).await
    })
}

/// The message with which the API server refuses that the operator creates this.
async fn refusal(space: &Space, group_version: &str, resource: &str, object: &Value) -> Result<String> {
    let uri = format!("{group_version}/namespaces/{}/{resource}", space.name);
    let request = http::Request::post(uri)
        .header("content-type", "application/json")
        .header("impersonate-user", space.operator())
        .body(object.to_string().into_bytes())?;
    message(space.client.request::<Value>(request).await)
}

fn message<T>(answer: kube::Result<T>) -> Result<String> {
    match answer {
        Ok(_) => anyhow::bail!("it was not refused"),
        Err(kube::Error::Api(status)) => Ok(status.message.clone()),
        Err(error) => Err(error.into()),
    }
}

/// The words by which `operator/controller/src/error.rs` tells one 403 from another, where no operator is needed to
/// hear them.
#[test]
fn the_api_server_says_what_the_operator_listens_for() -> Result<()> {
    block_on(async {
        let space = Space::new("texts").await?;
        let role = json!({"metadata": {"name": "any"}, "rules": []});
        let text = refusal(&space, "/apis/rbac.authorization.k8s.io/v1", "roles", &role).await?;
        assert!(text.contains(" cannot create resource \"roles\""), "{text}");

        let owner = json!({
            "apiVersion": "nowhere.example.com/v1", "kind": "Nothing", "name": "any", "uid": "1",
            "controller": true, "blockOwnerDeletion": true,
        });
        let owned = json!({"metadata": {"name": "any", "ownerReferences": [owner]}});
        let text = refusal(&space, "/api/v1", "configmaps", &owned).await?;
        assert!(text.contains("cannot find RESTMapping"), "{text}");

        let class = format!("fixed-{}", space.name);
        let fixed = json!({"metadata": {"name": class}, "provisioner": "example.com/fixed"});
        Api::<StorageClass>::all(space.client.clone())
            .create(&PostParams::default(), &serde_json::from_value(fixed)?)
            .await?;
        let claims: Api<PersistentVolumeClaim> = Api::namespaced(space.client.clone(), &space.name);
        let of = |size: &str| json!({"spec": {"resources": {"requests": {"storage": size}}}});
        let mut claim = of("1Gi");
        claim["metadata"] = json!({"name": "data"});
        claim["spec"]["storageClassName"] = class.into();
        claim["spec"]["accessModes"] = json!(["ReadWriteOnce"]);
        claim["spec"]["volumeName"] = "data".into();
        claims
            .create(&PostParams::default(), &serde_json::from_value(claim)?)
            .await?;
        let bound = json!({"status": {"phase": "Bound", "capacity": {"storage": "1Gi"}}});
        let params = PatchParams::default();
        claims.patch_status("data", &params, &Patch::Merge(bound)).await?;
        let text = message(claims.patch("data", &params, &Patch::Merge(of("2Gi"))).await)?;
        assert!(text.contains("pvc can be resized"), "{text}");
        Ok(())
    })
}
