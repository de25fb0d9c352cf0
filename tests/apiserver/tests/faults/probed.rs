//! The check from outside begins when the app has answered once, and goes on when it answers no more.

use anyhow::Result;
use apiserver_tests::{Proxy, Running, Space, answers, block_on, condition, eventually, options};
use observedapp_desired::Kind;
use serde_json::json;

#[test]
fn an_app_is_probed_from_its_first_answer_on() -> Result<()> {
    block_on(async {
        let space = Space::new("probed").await?;
        let proxy = Proxy::start(&space).await?;
        let arguments = [
            "--namespaces",
            &space.name,
            "--prober-url=blackbox.monitoring.svc:9115",
        ];
        let operator = Running::start(options(&arguments), proxy.config());
        let spec = |image: &str| json!({"image": image, "replicas": 1, "probe": {"path": "/tasks"}});
        space.apply("tasks", spec("tasks:1")).await?;
        space.applied("tasks").await?;
        assert!(
            space.names(Kind::Probe).await?.is_empty(),
            "it has not answered yet"
        );
        answers(&space, "tasks", 1).await?;
        eventually("it is probed", async || {
            let probes = space.names(Kind::Probe).await?;
            Ok(if probes == ["tasks"] {
                Ok(())
            } else {
                Err(format!("{probes:?}"))
            })
        })
        .await?;
        answers(&space, "tasks", 0).await?;
        operator.stop().await?;
        // Not even an operator that has not seen it answer takes the Probe away.
        let _second = Running::start(options(&arguments), proxy.config());
        space.apply("tasks", spec("tasks:2")).await?;
        let app = space.applied("tasks").await?;
        assert_eq!(condition(&app, "Available").0, "False");
        assert_eq!(space.names(Kind::Probe).await?, ["tasks"]);
        Ok(())
    })
}
