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
        let answer = ask(&cluster, INGRESS_PORT, &host, "POST", "/tasks", task).await?;
        ensure!(answer.starts_with("HTTP/1.1 201"), "{answer}");
        anyhow::Ok(())
    })
    .await?;
    let answer = ask(&cluster, INGRESS_PORT, &host, "GET", "/tasks", "").await?;
    ensure!(answer.contains("Walk the dog"), "{answer}");
    // Another host gets no response of the app.
    let answer = ask(&cluster, INGRESS_PORT, "other.example.com", "GET", "/tasks", "").await?;
    ensure!(answer.starts_with("HTTP/1.1 404"), "{answer}");

    let url = app
        .api()
        .get(&app.name)
        .await?
        .status
        .and_then(|status| status.url);
    ensure!(url.as_deref() == Some(&*format!("http://{host}/")), "{url:?}");
    namespace.delete().await
}
