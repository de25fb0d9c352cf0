//! The first and last thing that an operator must do: what is asked for exists, and its status says so.
#![allow(clippy::unwrap_used)]

use anyhow::Result;
use apiserver_tests::{Proxy, Running, Space, block_on, eventually, options};
use observedapp_desired::Kind;
use serde_json::json;

/// An app with everything on that this server can hold.
fn everything() -> serde_json::Value {
    json!({
        "image": "tasks:1", "port": 5000,
        "ingress": {"host": "tasks.example.com"},
        "database": {"builtin": {}}, "cache": {"builtin": {}},
        "metrics": {"port": 8000},
        "slos": [{"name": "availability", "objective": 99.9, "indicator": {"availability": {}}}],
    })
}

#[test]
fn an_app_gets_its_objects_its_status_and_then_rest() -> Result<()> {
    block_on(async {
        let space = Space::new("converge").await?;
        let proxy = Proxy::start(space.client.clone()).await?;
        let operator = Running::start(options(&["--namespaces", &space.name]), proxy.config());
        space.apply("tasks", everything()).await?;
        let app = space.applied("tasks").await?;
        let status = app.status.unwrap();
        assert!(status.applied.is_some());
        assert_eq!(status.url.as_deref(), Some("http://tasks.example.com/"));
        assert_eq!(space.names(Kind::Deployment).await?, ["tasks", "tasks-cache"]);
        assert_eq!(space.names(Kind::StatefulSet).await?, ["tasks-db"]);
        assert!(
            space
                .names(Kind::Secret)
                .await?
                .contains(&"tasks-db-app".to_owned())
        );

        let writes = proxy.writes().len();
        // Two resyncs, and whatever else would like to happen by itself.
        tokio::time::sleep(std::time::Duration::from_secs(25)).await;
        let more: Vec<_> = proxy.writes().split_off(writes);
        assert!(more.is_empty(), "written at rest: {more:#?}");

        space.delete("tasks").await?;
        eventually("only the database's data is kept", async || {
            let mut names = space.names(Kind::Service).await?;
            names.extend(space.names(Kind::Deployment).await?);
            Ok(if names.is_empty() {
                Ok(())
            } else {
                Err(format!("{names:?}"))
            })
        })
        .await?;
        assert_eq!(space.names(Kind::PersistentVolumeClaim).await?, ["tasks-db"]);
        operator.stop().await
    })
}
