//! A pod with high CPU usage alerts, and resolves afterwards.

use std::time::Duration;

use anyhow::Result;
use e2e_tests::{Alertmanager, App, Cluster};
use serde_json::json;

/// A server next to a busy loop that uses all CPU.
const BURNER: &str = r#"
apiVersion: observedapp.dev/v1alpha1
kind: ObservedApp
metadata: {name: burner}
spec:
  image: docker.io/library/redis:8
  port: 6379
  replicas: 1
  command: [bash, -c]
  args: ["redis-server --save '' & while :; do :; done"]
  securityContext: {runAsUser: 999}
  resources:
    requests: {cpu: 50m, memory: 32Mi}
    limits: {cpu: 200m, memory: 64Mi}
  alerts:
    highCPU: {percent: 80, for: 1m}
"#;

#[tokio::test]
async fn burning_cpu_alerts_and_clears() -> Result<()> {
    let cluster = Cluster::connect().await?;
    let namespace = cluster.temp_namespace("burn-cpu").await?;
    let app = App::apply(&cluster, &namespace.name, BURNER).await?;
    app.condition("Ready", "True", Duration::from_mins(3)).await?;
    let alert = async |wanted| {
        // The alert's `for`, the range of its rate, a scrape, and Alertmanager's `group_wait`.
        let patience = Duration::from_mins(10);
        Alertmanager(&cluster)
            .until(&namespace.name, "HighCPUUsage", None, wanted, patience)
            .await
    };
    alert(true).await?;
    app.patch(json!({"args": ["exec redis-server --save ''"]}))
        .await?;
    alert(false).await?;
    namespace.delete().await
}
