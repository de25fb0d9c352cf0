//! Database volumes and passwords: retained, reused, grown.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Result, ensure};
use apiserver_tests::{
    Action, Gate, RunningOperator, TestNamespace, block_on, condition, eventually, options,
};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Secret};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use observedapp_desired::Kind;
use serde_json::{Value, json};

use super::small;

#[test]
fn retained_data_is_reused_with_the_same_password() -> Result<()> {
    block_on(async {
        let ns = TestNamespace::new("kept").await?;
        let (proxy, operator) = RunningOperator::behind_proxy(&ns).await?;
        let with = json!({"image": "tasks:1", "database": {"builtin": {}}});
        ns.apply("tasks", with.clone()).await?;
        ns.applied("tasks").await?;
        let secrets: Api<Secret> = Api::namespaced(ns.client.clone(), &ns.name);
        let password =
            async || anyhow::Ok(secrets.get("tasks-db-app").await?.data.unwrap()["password"].clone());
        let first = password().await?;
        ns.apply("tasks", small()).await?;
        ns.applied("tasks").await?;
        eventually("the database is deleted and its data retained", async || {
            let sets = ns.names(Kind::StatefulSet).await?;
            ensure!(sets.is_empty(), "{sets:?}");
            Ok(())
        })
        .await?;
        assert_eq!(ns.names(Kind::PersistentVolumeClaim).await?, ["tasks-db"]);
        ns.delete("tasks").await?;
        eventually("the app is deleted", async || {
            ensure!(ns.apps().get_opt("tasks").await?.is_none());
            Ok(())
        })
        .await?;
        ns.apply("tasks", with.clone()).await?;
        ns.applied("tasks").await?;
        assert_eq!(password().await?, first);

        // A claim whose Secret is lost never gets a new password.
        ns.apply("tasks", small()).await?;
        ns.applied("tasks").await?;
        // A running operator would restore it from its cache.
        operator.kill().await;
        secrets.delete("tasks-db-app", &DeleteParams::default()).await?;
        let _operator = RunningOperator::start(options(&["--namespaces", &ns.name]), proxy.config());
        ns.apply("tasks", with).await?;
        let app = ns
            .until("tasks", "the lost Secret is reported", |app| {
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
fn a_secret_created_by_another_replica_is_used() -> Result<()> {
    block_on(async {
        let ns = TestNamespace::new("faster").await?;
        let (proxy, _operator) = RunningOperator::behind_proxy(&ns).await?;
        let gate = Gate::default();
        let (held, arrived) = (gate.clone(), Arc::new(AtomicBool::new(false)));
        let record = Arc::clone(&arrived);
        proxy.on_request(move |call| {
            // The name of a Secret to create is in the body, not in the path.
            if call.verb == "create" && call.resource == "secrets" {
                record.store(true, Ordering::Relaxed);
                Action::Hold(held.clone())
            } else {
                Action::Pass
            }
        });
        ns.apply("tasks", json!({"image": "tasks:1", "database": {"builtin": {}}}))
            .await?;
        eventually("a password is generated", async || {
            let arrived = arrived.load(Ordering::Relaxed);
            ensure!(arrived);
            Ok(())
        })
        .await?;
        let secrets: Api<Secret> = Api::namespaced(ns.client.clone(), &ns.name);
        for (name, user) in [("tasks-db-app", "app"), ("tasks-db-superuser", "postgres")] {
            let ours = serde_json::from_value(json!({
                "metadata": {"name": name, "labels": {
                    "app.kubernetes.io/managed-by": "observedapp", "app.kubernetes.io/instance": "tasks",
                }},
                "type": "kubernetes.io/basic-auth",
                "stringData": {"username": user, "password": "the-first"},
            }))?;
            secrets.create(&PostParams::default(), &ours).await?;
        }
        gate.open();
        ns.applied("tasks").await?;
        let data = secrets.get("tasks-db-app").await?.data.unwrap();
        assert_eq!(data["password"].0, b"the-first");
        let uri = String::from_utf8(data["uri"].0.clone())?;
        assert!(uri.contains("the-first"), "{uri}");
        Ok(())
    })
}

fn with_storage(size: &str) -> Value {
    json!({"image": "tasks:1", "database": {"builtin": {"storage": {"size": size, "className": "growing"}}}})
}

/// Binds the claim, as a provisioner does.
async fn bind(ns: &TestNamespace, size: &str) -> Result<()> {
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(ns.client.clone(), &ns.name);
    let volume = json!({"spec": {"volumeName": format!("volume-of-{}", ns.name)}});
    claims
        .patch("tasks-db", &PatchParams::default(), &Patch::Merge(&volume))
        .await?;
    let status = json!({"status": {"phase": "Bound", "accessModes": ["ReadWriteOnce"], "capacity": {"storage": size}}});
    claims
        .patch_status("tasks-db", &PatchParams::default(), &Patch::Merge(&status))
        .await?;
    Ok(())
}

#[test]
fn a_claim_grows_and_never_shrinks() -> Result<()> {
    block_on(async {
        let ns = TestNamespace::new("claim").await?;
        let class = json!({
            "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "growing"},
            "provisioner": "example.com/growing", "allowVolumeExpansion": true,
        });
        Api::<StorageClass>::all(ns.client.clone())
            .patch("growing", &PatchParams::apply("tests"), &Patch::Apply(&class))
            .await?;
        let (_proxy, _operator) = RunningOperator::behind_proxy(&ns).await?;
        let claims: Api<PersistentVolumeClaim> = Api::namespaced(ns.client.clone(), &ns.name);
        let requested = async || {
            let claim = serde_json::to_value(claims.get("tasks-db").await?)?;
            anyhow::Ok(claim["spec"]["resources"]["requests"]["storage"].clone())
        };
        ns.apply("tasks", with_storage("1Gi")).await?;
        ns.applied("tasks").await?;
        // An unbound claim cannot be resized: the API server refuses it, and the app reports that.
        ns.apply("tasks", with_storage("2Gi")).await?;
        let app = ns
            .until("tasks", "the refusal is reported", |app| {
                condition(app, "Applied").0 == "False"
            })
            .await?;
        assert!(
            condition(&app, "Applied")
                .2
                .contains("PersistentVolumeClaim tasks-db"),
            "{:?}",
            condition(&app, "Applied")
        );
        bind(&ns, "1Gi").await?;
        ns.applied("tasks").await?;
        assert_eq!(requested().await?, "2Gi");
        bind(&ns, "2Gi").await?;

        // A smaller size is accepted, so that a user can go back; the claim keeps its size.
        ns.apply("tasks", with_storage("1Gi")).await?;
        let app = ns.applied("tasks").await?;
        let (_, reason, message) = condition(&app, "Valid");
        assert_eq!(reason, "ValidWithNotes");
        assert!(message.contains("no claim can shrink"), "{message}");
        assert_eq!(requested().await?, "2Gi");

        // A new database with a smaller size than the retained claim uses the claim as it is.
        ns.apply("tasks", small()).await?;
        ns.applied("tasks").await?;
        ns.apply("tasks", with_storage("1Gi")).await?;
        ns.applied("tasks").await?;
        assert_eq!(requested().await?, "2Gi");
        Ok(())
    })
}
