//! Every golden object is validated by a real API server, with the released CRDs of prometheus-operator, CloudNativePG
//! and the Gateway API. The server is not shared: other tests install these CRDs without schemas.
#![allow(clippy::unwrap_used)]

use anyhow::{Result, ensure};
use apiserver_tests::{TestNamespace, block_on, eventually, install};
use golden_tests::Case;
use k8s_openapi::api::scheduling::v1::PriorityClass;
use kube::api::{Api, PostParams};
use observedapp_desired::{Kind, desired};
use serde_json::{Value, json};

/// Installs the released CRDs and waits until they are enforced.
async fn install_released(ns: &TestNamespace) -> Result<()> {
    for &kind in Kind::ALL.iter().filter(|kind| kind.is_optional()) {
        install(&ns.client, &serde_json::from_value(golden_tests::crd(kind)?)?).await?;
        let unknown = object_of(kind, ns, "unknown", json!({"observedapp": true}));
        eventually(
            &format!("a {} with an unknown field is refused", kind.as_str()),
            async || {
                let answer = ns.would_create(&kind.gvk(), kind.plural(), &unknown).await?;
                let causes = answer.err().unwrap_or_default();
                let refused = causes.iter().any(|cause| cause.message.contains("unknown field"));
                ensure!(refused, "{causes:?}");
                Ok(())
            },
        )
        .await?;
    }
    Ok(())
}

fn object_of(kind: Kind, ns: &TestNamespace, name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": kind.gvk().api_version(), "kind": kind.as_str(),
        "metadata": {"name": name, "namespace": ns.name}, "spec": spec,
    })
}

#[test]
fn every_object_passes_strict_field_validation() -> Result<()> {
    block_on(async {
        let ns = TestNamespace::new("golden").await?;
        install_released(&ns).await?;
        let mut refused = Vec::new();
        let mut accepted = 0;
        for case in Case::all()? {
            let desired = desired(&case.validate().unwrap());
            let mut objects: Vec<(Kind, Value)> = Vec::new();
            for object in &desired.objects {
                objects.push((object.kind(), serde_json::to_value(object)?));
            }
            for secret in &desired.generated {
                objects.push((Kind::Secret, serde_json::to_value(secret)?));
            }
            for (kind, mut object) in objects {
                object["metadata"]["namespace"] = json!(ns.name);
                match ns.would_create(&kind.gvk(), kind.plural(), &object).await? {
                    Ok(_) => accepted += 1,
                    Err(causes) => refused.push(format!("{}: {}: {causes:?}", case.name, kind.as_str())),
                }
            }
        }
        ensure!(refused.is_empty(), "{}", refused.join("\n"));
        ensure!(accepted > 100, "only {accepted} objects");
        Ok(())
    })
}

#[test]
fn every_pod_passes_the_restricted_standard() -> Result<()> {
    block_on(async {
        let ns = TestNamespace::new("restricted").await?;
        ns.enforce_restricted().await?;
        let class: PriorityClass =
            serde_json::from_value(json!({"metadata": {"name": "important"}, "value": 1}))?;
        Api::<PriorityClass>::all(ns.client.clone())
            .create(&PostParams::default(), &class)
            .await?;

        let mut pods = 0;
        for mut case in Case::all()? {
            for as_root in [false, true] {
                case.app.spec.security_context.run_as_non_root = !as_root;
                for object in desired(&case.validate().unwrap()).objects {
                    let what = format!("{}: {} {}", case.name, object.kind().as_str(), object.name());
                    let is_the_app = object.kind() == Kind::Deployment && object.name() == "tasks";
                    let Some(answer) = ns.would_run(&serde_json::to_value(&object)?).await? else {
                        continue;
                    };
                    // An app can ask for root, which this standard refuses.
                    if as_root && is_the_app {
                        let causes = format!("{:?}", answer.unwrap_err());
                        ensure!(causes.contains("runAsNonRoot"), "{what}: {causes}");
                    } else {
                        ensure!(answer.is_ok(), "{what}: {answer:?}");
                    }
                    pods += 1;
                }
            }
        }
        ensure!(pods > 30, "only {pods} pods");
        Ok(())
    })
}
