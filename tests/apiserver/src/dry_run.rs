//! Server-side dry runs.

use anyhow::Result;
use http::Request;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, Patch, PatchParams};
use kube::core::GroupVersionKind;
use serde_json::{Value, json};

use crate::TestNamespace;

/// Why an object is refused: the field and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cause {
    /// Empty where the API server names none.
    pub field: String,
    pub message: String,
}

impl TestNamespace {
    /// Whether the API server would create this object in the namespace, with strict field validation.
    pub async fn would_create(
        &self,
        gvk: &GroupVersionKind,
        plural: &str,
        object: &Value,
    ) -> Result<Result<Value, Vec<Cause>>> {
        let api = match gvk.group.as_str() {
            "" => format!("/api/{}", gvk.version),
            group => format!("/apis/{group}/{}", gvk.version),
        };
        let namespace = &self.name;
        let url = format!("{api}/namespaces/{namespace}/{plural}?dryRun=All&fieldValidation=Strict");
        let request = Request::post(url)
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(serde_json::to_vec(object)?)?;
        match self.client.request(request).await {
            Ok(created) => Ok(Ok(created)),
            Err(error) => causes(error).map(Err),
        }
    }
}

impl TestNamespace {
    /// Enforces the restricted Pod Security Standard in the namespace.
    pub async fn enforce_restricted(&self) -> Result<()> {
        let labels = json!({"metadata": {"labels": {
            "pod-security.kubernetes.io/enforce": "restricted",
            "pod-security.kubernetes.io/enforce-version": "latest",
        }}});
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        namespaces
            .patch(&self.name, &PatchParams::default(), &Patch::Merge(&labels))
            .await?;
        Ok(())
    }

    /// Whether the namespace would admit a pod of this Deployment or StatefulSet; `None` for other kinds.
    pub async fn would_run(&self, object: &Value) -> Result<Option<Result<Value, Vec<Cause>>>> {
        let Some(template) = object["spec"].get("template") else {
            return Ok(None);
        };
        let mut pod = template.clone();
        pod["apiVersion"] = json!("v1");
        pod["kind"] = json!("Pod");
        pod["metadata"]["name"] = json!("pod");
        pod["metadata"]["namespace"] = json!(self.name);
        let gvk = GroupVersionKind::gvk("", "v1", "Pod");
        self.would_create(&gvk, "pods", &pod).await.map(Some)
    }
}

/// The causes in a refusal of the API server; an error if there was no response.
pub fn causes(error: kube::Error) -> Result<Vec<Cause>> {
    let kube::Error::Api(status) = error else {
        return Err(error.into());
    };
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let mut causes: Vec<Cause> = causes
        // Added by the API server when the schema is violated; no cause of its own.
        .filter(|cause| !cause.message.contains("some validation rules were not checked"))
        .map(|cause| Cause {
            // The scale subresource spells this field differently.
            field: cause
                .field
                .replace("<nil>", "")
                .trim_start_matches('.')
                .to_owned(),
            message: cause.message.clone(),
        })
        .collect();
    if causes.is_empty() {
        causes.push(Cause {
            field: String::new(),
            message: status.message.clone(),
        });
    }
    Ok(causes)
}
