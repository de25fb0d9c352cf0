//! Requests from outside the cluster, by host name.

use anyhow::{Result, ensure};
use e2e_tests::{App, Cluster, SMALL, eventually};
use lab::addons::INGRESS_PORT;
use serde_json::json;

use crate::{TIMEOUT, ask};

#[tokio::test]
async fn tasks_are_added_and_read_through_the_ingress() -> Result<()> {
    let cluster = Cluster::connect().await?;
    let namespace = cluster.temp_namespace("ingress").await?;
    let app = App::apply(&cluster, &namespace.name, SMALL).await?;
    let host = format!("{}.example.com", namespace.name);
    app.patch(json!({"ingress": {"host": host}})).await?;
    app.condition("Ready", "True", TIMEOUT).await?;

    let task = r#"{"task":"Walk the dog"}"#;
    eventually("the Ingress routes to the app", TIMEOUT, async || {
        let reply = ask(&cluster, INGRESS_PORT, &host, "POST", "/tasks", task).await?;
        ensure!(reply.status == 201, "{reply:?}");
        anyhow::Ok(())
    })
    .await?;
    let reply = ask(&cluster, INGRESS_PORT, &host, "GET", "/tasks", "").await?;
    ensure!(reply.body.contains("Walk the dog"), "{reply:?}");
    // Another host gets no response of the app.
    let reply = ask(&cluster, INGRESS_PORT, "other.example.com", "GET", "/tasks", "").await?;
    ensure!(reply.status == 404, "{reply:?}");

    let url = app
        .api()
        .get(&app.name)
        .await?
        .status
        .and_then(|status| status.url);
    ensure!(url.as_deref() == Some(&*format!("http://{host}/")), "{url:?}");
    namespace.delete().await
}
