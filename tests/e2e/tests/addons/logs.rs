//! The logs of all pods in Loki.

use anyhow::{Result, ensure};
use e2e_tests::{App, Cluster, SMALL, eventually};
use lab::addons::LOKI_PORT;
use serde_json::json;

use crate::{TIMEOUT, ask};

#[tokio::test]
async fn loki_has_the_log_of_a_request() -> Result<()> {
    let cluster = Cluster::connect().await?;
    let namespace = cluster.temp_namespace("logs").await?;
    let app = App::apply(&cluster, &namespace.name, SMALL).await?;
    app.condition("Ready", "True", TIMEOUT).await?;
    let reply = app
        .request("POST", "/tasks", Some(&json!({"task": "Be heard"})))
        .await?;
    ensure!(reply.status == 201, "{reply:?}");

    // {k8s_namespace_name="NS"} |= "POST /tasks called"
    let query = format!(
        "/loki/api/v1/query_range?query=%7Bk8s_namespace_name%3D%22{}%22%7D%20%7C%3D%20%22POST%20%2Ftasks%20called%22",
        namespace.name
    );
    eventually("Loki has the line", TIMEOUT, async || {
        let reply = ask(&cluster, LOKI_PORT, "loki", "GET", &query, "").await?;
        ensure!(
            reply.body.contains("POST /tasks called") && reply.body.contains("trace_id"),
            "{reply:?}"
        );
        anyhow::Ok(())
    })
    .await?;
    namespace.delete().await
}
