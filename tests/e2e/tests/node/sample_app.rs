//! The sample app: it serves, keeps its data, and follows capabilities that are disabled and enabled.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e_tests::{App, Cluster, eventually};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::DeleteParams;
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use crate::SAMPLE;

/// Images are on the node already; Postgres' first start takes most of the time.
const READY: Duration = Duration::from_mins(3);

async fn add(app: &App<'_>, task: &str) -> Result<()> {
    let reply = app
        .request("POST", "/tasks", Some(&json!({ "task": task })))
        .await?;
    ensure!(
        reply.status == 201 && reply.json()? == json!({"message": "Task added"}),
        "{reply:?}"
    );
    Ok(())
}

async fn tasks(app: &App<'_>) -> Result<Vec<(u64, String)>> {
    let reply = app.request("GET", "/tasks", None).await?;
    ensure!(reply.status == 200, "{reply:?}");
    let tasks = reply.json()?;
    tasks
        .as_array()
        .context("not a list")?
        .iter()
        .map(|task| {
            Ok((
                task["id"].as_u64().context("id")?,
                task["task"].as_str().context("task")?.to_owned(),
            ))
        })
        .collect()
}

async fn password(app: &App<'_>) -> Result<Vec<u8>> {
    let secrets = Api::<Secret>::namespaced(app.cluster.client.clone(), &app.namespace);
    let secret = secrets.get(&format!("{}-db-app", app.name)).await?;
    let data = secret.data.context("no data")?;
    Ok(data.get("password").context("no password")?.0.clone())
}

#[tokio::test]
async fn data_outlives_the_database_pod_and_the_app() -> Result<()> {
    let cluster = Cluster::connect().await?;
    let namespace = cluster.temp_namespace("sample-data").await?;
    let app = App::apply(&cluster, &namespace.name, SAMPLE).await?;
    app.condition("Ready", "True", READY).await?;

    add(&app, "Buy milk").await?;
    add(&app, "Walk the dog").await?;
    let (id, task) = tasks(&app).await?.remove(0);
    assert_eq!(task, "Buy milk");
    let changed = app
        .request(
            "PUT",
            &format!("/tasks/{id}"),
            Some(&json!({"task": "Buy oat milk"})),
        )
        .await?;
    assert_eq!(
        (changed.status, changed.json()?),
        (200, json!({"message": "Task updated"}))
    );
    let (second, _) = tasks(&app).await?.remove(1);
    let gone = app.request("DELETE", &format!("/tasks/{second}"), None).await?;
    assert_eq!(
        (gone.status, gone.json()?),
        (200, json!({"message": "Task deleted"}))
    );
    let kept = vec![(id, "Buy oat milk".to_owned())];
    assert_eq!(tasks(&app).await?, kept);

    // The database's pod is replaced.
    let pods = Api::<Pod>::namespaced(cluster.client.clone(), &namespace.name);
    let database = app
        .pods("database")
        .await?
        .pop()
        .context("the database has no pod")?
        .name_any();
    pods.delete(&database, &DeleteParams::default().grace_period(0))
        .await?;
    eventually("the tasks are kept", READY, async || {
        let reply = app.request("GET", "/tasks", None).await?;
        // Meanwhile the service responds with an error that names the cause.
        if reply.status == 503 {
            ensure!(reply.json()?["error"].is_string(), "{reply:?}");
        }
        let found = tasks(&app).await?;
        ensure!(found == kept, "{found:?}");
        anyhow::Ok(())
    })
    .await?;

    // The app is deleted and its data retained; recreated, it uses the data with the same password.
    let before = password(&app).await?;
    app.delete().await?;
    assert_eq!(
        password(&app).await?,
        before,
        "the Secret must be retained with the data"
    );
    let app = App::apply(&cluster, &namespace.name, SAMPLE).await?;
    app.condition("Ready", "True", READY).await?;
    assert_eq!(tasks(&app).await?, kept);
    assert_eq!(password(&app).await?, before);
    namespace.delete().await
}

#[tokio::test]
async fn each_capability_follows_its_field() -> Result<()> {
    let cluster = Cluster::connect().await?;
    let namespace = cluster.temp_namespace("sample-capabilities").await?;
    let app = App::apply(&cluster, &namespace.name, SAMPLE).await?;
    app.condition("Ready", "True", READY).await?;
    let before = password(&app).await?;
    add(&app, "Still here").await?;

    let switches: [(&str, &str, &str, Value); 4] = [
        (
            "cache",
            "apps/v1/namespaces/NS/deployments/tasks-cache",
            "/apis",
            json!({"builtin": {"memory": "32Mi"}}),
        ),
        (
            "metrics",
            "monitoring.coreos.com/v1/namespaces/NS/servicemonitors/tasks",
            "/apis",
            json!({"port": 8000}),
        ),
        (
            "probe",
            "monitoring.coreos.com/v1/namespaces/NS/probes/tasks",
            "/apis",
            json!({"path": "/tasks"}),
        ),
        (
            "database",
            "apps/v1/namespaces/NS/statefulsets/tasks-db",
            "/apis",
            json!({"builtin": {"version": "18", "storage": {"size": "1Gi"}}}),
        ),
    ];
    let exists = async |path: &str, base: &str| {
        let uri = format!("{base}/{}", path.replace("NS", &namespace.name));
        match cluster
            .client
            .request::<Value>(http::Request::get(uri).body(Vec::new()).unwrap())
            .await
        {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(false),
            Err(error) => Err(anyhow::Error::from(error)),
        }
    };
    for (field, object, base, on) in switches {
        // Objectives need metrics, so both are removed together.
        let off = if field == "metrics" {
            json!({"metrics": null, "slos": null})
        } else {
            json!({ field: null })
        };
        app.patch(off).await?;
        eventually(&format!("{object} is deleted"), READY, async || {
            ensure!(!exists(object, base).await?, "it still exists");
            anyhow::Ok(())
        })
        .await?;
        app.patch(json!({ field: on })).await?;
        eventually(&format!("{object} is back"), READY, async || {
            ensure!(exists(object, base).await?, "it does not exist");
            anyhow::Ok(())
        })
        .await?;
    }
    app.condition("Ready", "True", READY).await?;
    assert_eq!(password(&app).await?, before, "the database has its old password");
    let found = tasks(&app).await?;
    assert!(found.iter().any(|(_, task)| task == "Still here"), "{found:?}");
    namespace.delete().await
}
