//! Requests that the API server refuses: reason and remedy fit the cause.

use anyhow::Result;
use apiserver_tests::{RunningOperator, TestNamespace, block_on, condition};
use k8s_openapi::api::core::v1::{LimitRange, PersistentVolumeClaim, ResourceQuota};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

async fn reported_for_the_claim(ns: &TestNamespace, reason: &str, words: &[&str]) -> Result<()> {
    let (_proxy, _operator) = RunningOperator::behind_proxy(ns).await?;
    let spec = json!({"image": "tasks:1", "database": {"builtin": {"storage": {"size": "1Gi"}}}});
    ns.apply("tasks", spec).await?;
    let app = ns
        .until("tasks", &format!("{reason} is reported"), |app| {
            condition(app, "Applied").1 == reason
        })
        .await?;
    let (_, _, message) = condition(&app, "Applied");
    for word in words {
        assert!(message.contains(word), "{message}");
    }
    assert!(
        !message.contains("ServiceAccount"),
        "it is not an RBAC failure: {message}"
    );
    Ok(())
}

#[test]
fn an_exceeded_quota_is_reported_as_such() -> Result<()> {
    block_on(async {
        let ns = TestNamespace::new("quota").await?;
        let quotas: Api<ResourceQuota> = Api::namespaced(ns.client.clone(), &ns.name);
        let hard = json!({"requests.storage": "512Mi"});
        let quota = json!({"metadata": {"name": "small"}, "spec": {"hard": hard}});
        quotas
            .create(&PostParams::default(), &serde_json::from_value(quota)?)
            .await?;
        // The quota controller does not run here.
        let counted = json!({"status": {"hard": hard, "used": {"requests.storage": "0"}}});
        quotas
            .patch_status("small", &PatchParams::default(), &Patch::Merge(counted))
            .await?;
        let words = ["exceeded quota: small", "requests.storage", "raise the quota"];
        reported_for_the_claim(&ns, "QuotaExceeded", &words).await
    })
}

#[test]
fn a_limit_range_violation_is_reported_as_such() -> Result<()> {
    block_on(async {
        let ns = TestNamespace::new("limit-range").await?;
        let limits = json!([{"type": "PersistentVolumeClaim", "max": {"storage": "512Mi"}}]);
        let range = json!({"metadata": {"name": "small"}, "spec": {"limits": limits}});
        Api::<LimitRange>::namespaced(ns.client.clone(), &ns.name)
            .create(&PostParams::default(), &serde_json::from_value(range)?)
            .await?;
        let words = ["512Mi, but request is 1Gi", "widen the LimitRange"];
        reported_for_the_claim(&ns, "OutsideLimitRange", &words).await
    })
}

/// The API server's message when the operator may not create this.
async fn refusal(ns: &TestNamespace, group_version: &str, resource: &str, object: &Value) -> Result<String> {
    let uri = format!("{group_version}/namespaces/{}/{resource}", ns.name);
    let request = http::Request::post(uri)
        .header("content-type", "application/json")
        .header("impersonate-user", ns.operator())
        .body(object.to_string().into_bytes())?;
    message(ns.client.request::<Value>(request).await)
}

fn message<T>(answer: kube::Result<T>) -> Result<String> {
    match answer {
        Ok(_) => anyhow::bail!("it was not refused"),
        Err(kube::Error::Api(status)) => Ok(status.message.clone()),
        Err(error) => Err(error.into()),
    }
}

/// The messages by which `operator/controller/src/error.rs` distinguishes causes of a 403, where this can be tested
/// without an operator.
#[test]
fn the_api_server_sends_the_messages_that_the_operator_matches() -> Result<()> {
    block_on(async {
        let ns = TestNamespace::new("texts").await?;
        let role = json!({"metadata": {"name": "any"}, "rules": []});
        let text = refusal(&ns, "/apis/rbac.authorization.k8s.io/v1", "roles", &role).await?;
        assert!(text.contains(" cannot create resource \"roles\""), "{text}");

        let owner = json!({
            "apiVersion": "nowhere.example.com/v1", "kind": "Nothing", "name": "any", "uid": "1",
            "controller": true, "blockOwnerDeletion": true,
        });
        let config_map = json!({"metadata": {"name": "any", "ownerReferences": [owner]}});
        let text = refusal(&ns, "/api/v1", "configmaps", &config_map).await?;
        assert!(text.contains("cannot find RESTMapping"), "{text}");

        let class = format!("fixed-{}", ns.name);
        let fixed = json!({"metadata": {"name": class}, "provisioner": "example.com/fixed"});
        Api::<StorageClass>::all(ns.client.clone())
            .create(&PostParams::default(), &serde_json::from_value(fixed)?)
            .await?;
        let claims: Api<PersistentVolumeClaim> = Api::namespaced(ns.client.clone(), &ns.name);
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
