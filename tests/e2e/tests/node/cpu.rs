//! A pod with high CPU usage alerts, and resolves afterwards.

use std::time::Duration;

use anyhow::Result;
use e2e_tests::{Alertmanager, App, Cluster, busy};
use serde_json::json;

#[tokio::test]
async fn burning_cpu_alerts_and_clears() -> Result<()> {
    let cluster = Cluster::connect().await?;
    let namespace = cluster.temp_namespace("burn-cpu").await?;
    let manifest = busy("replicas: 1\n  alerts: {highCPU: {percent: 80, for: 1m}}");
    let app = App::apply(&cluster, &namespace.name, &manifest).await?;
    app.condition("Ready", "True", Duration::from_mins(3)).await?;
    let alert = async |wanted| {
        // The alert's `for`, the range of its rate, a scrape, and Alertmanager's `group_wait`.
        let timeout = Duration::from_mins(10);
        Alertmanager(&cluster)
            .until(&namespace.name, "HighCPUUsage", None, wanted, timeout)
            .await
    };
    alert(true).await?;
    app.patch(json!({"args": ["exec redis-server --save ''"]}))
        .await?;
    alert(false).await?;
    namespace.delete().await
}
