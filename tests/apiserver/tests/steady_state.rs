//! An app gets its objects and its status, and then the operator writes nothing.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use anyhow::{Result, ensure};
use apiserver_tests::{
    Call, Proxy, RunningOperator, TestNamespace, block_on, converges_to, eventually, options, settled,
};
use lab::layers;
use observedapp_desired::Kind;
use serde_json::json;

/// An app with every capability that this server's APIs allow.
fn everything() -> serde_json::Value {
    json!({
        "image": "tasks:1", "port": 5000,
        "ingress": {"host": "tasks.example.com"},
        "database": {"builtin": {}}, "cache": {"builtin": {}},
        "metrics": {"port": 8000},
        "envFrom": [{"secretRef": {"name": "nowhere", "optional": true}}],
        "slos": [{"name": "availability", "objective": 99.9, "indicator": {"availability": {}}}],
    })
}

#[test]
fn an_app_gets_objects_and_status_and_retains_only_data_when_deleted() -> Result<()> {
    block_on(async {
        let ns = TestNamespace::new("converge").await?;
        let (_proxy, operator) = RunningOperator::behind_proxy(&ns).await?;
        ns.apply("tasks", everything()).await?;
        let app = ns.applied("tasks").await?;
        let status = app.status.unwrap();
        assert!(status.applied.is_some());
        assert_eq!(status.url.as_deref(), Some("http://tasks.example.com/"));
        assert_eq!(ns.names(Kind::Deployment).await?, ["tasks", "tasks-cache"]);
        assert_eq!(ns.names(Kind::StatefulSet).await?, ["tasks-db"]);
        assert!(ns.names(Kind::Secret).await?.contains(&"tasks-db-app".to_owned()));

        ns.delete("tasks").await?;
        eventually("only the database's data is left", async || {
            let mut names = ns.names(Kind::Service).await?;
            names.extend(ns.names(Kind::Deployment).await?);
            ensure!(names.is_empty(), "{names:?}");
            Ok(())
        })
        .await?;
        assert_eq!(ns.names(Kind::PersistentVolumeClaim).await?, ["tasks-db"]);
        operator.stop().await
    })
}

/// Requests that are allowed at rest: the Lease, watches and discovery.
fn is_rest(call: &Call) -> bool {
    call.verb == "watch" || call.resource == "leases" || (call.verb == "get" && call.resource.is_empty())
}

#[test]
fn nothing_is_written_or_read_at_rest() -> Result<()> {
    block_on(async {
        let ns = TestNamespace::new("rest").await?;
        let proxy = Proxy::start(&ns).await?;
        let folder = tempfile::tempdir()?;
        let token = folder.path().join("token");
        std::fs::write(&token, "first")?;
        let mut config = proxy.config();
        config.auth_info.token_file = Some(token.to_string_lossy().into_owned());
        let operator = RunningOperator::start(options(&ns.elected()), config.clone());
        ns.apply("tasks", everything()).await?;
        ns.applied("tasks").await?;
        let before = settled(&ns).await?;

        let calls = proxy.calls().len();
        std::fs::write(&token, "second")?;
        // A dozen resyncs and every other periodic task.
        let rest = if layers::is_long() { 30 } else { 2 };
        tokio::time::sleep(Duration::from_mins(rest)).await;
        let more: Vec<_> = proxy
            .calls()
            .split_off(calls)
            .into_iter()
            .filter(|call| !is_rest(call))
            .collect();
        assert!(more.is_empty(), "requests at rest: {more:#?}");
        assert!(proxy.calls().len() > calls, "the operator made no request at all");
        assert_eq!(
            proxy.tokens(),
            ["Bearer first", "Bearer second"],
            "a rotated token is used"
        );
        converges_to(&ns, &before).await?;
        operator.stop().await?;

        // A restarted operator changes nothing.
        let writes = proxy.writes().len();
        let again = RunningOperator::start(options(&ns.elected()), config);
        let reads = proxy.calls().len();
        let watched = |call: &Call| call.verb == "watch" && call.resource == "observedapps";
        eventually("the restarted operator has listed", async || {
            let begun = proxy.calls().split_off(reads).iter().any(watched);
            ensure!(begun);
            Ok(())
        })
        .await?;
        assert_eq!(settled(&ns).await?, before);
        let written = proxy.writes().split_off(writes);
        assert!(written.is_empty(), "written after a restart: {written:#?}");
        again.stop().await
    })
}
