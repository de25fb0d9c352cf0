//! The Probe is created when the app is available for the first time, and kept when it no longer is.

use anyhow::{Result, ensure};
use apiserver_tests::{
    Proxy, RunningOperator, TestNamespace, block_on, condition, eventually, options, set_ready,
};
use observedapp_desired::Kind;
use serde_json::json;

#[test]
fn an_app_is_probed_once_it_has_been_available() -> Result<()> {
    block_on(async {
        let ns = TestNamespace::new("probed").await?;
        let proxy = Proxy::start(&ns).await?;
        let arguments = [
            "--namespaces",
            &ns.name,
            "--prober-url=blackbox.monitoring.svc:9115",
        ];
        let operator = RunningOperator::start(options(&arguments), proxy.config());
        let spec = |image: &str| json!({"image": image, "replicas": 1, "probe": {"path": "/tasks"}});
        ns.apply("tasks", spec("tasks:1")).await?;
        ns.applied("tasks").await?;
        assert!(
            ns.names(Kind::Probe).await?.is_empty(),
            "it has not been available yet"
        );
        set_ready(&ns, "tasks", 1).await?;
        eventually("it is probed", async || {
            let probes = ns.names(Kind::Probe).await?;
            ensure!(probes == ["tasks"], "{probes:?}");
            Ok(())
        })
        .await?;
        set_ready(&ns, "tasks", 0).await?;
        operator.stop().await?;
        // A restarted operator, which has not seen it available, keeps the Probe, too.
        let _second = RunningOperator::start(options(&arguments), proxy.config());
        ns.apply("tasks", spec("tasks:2")).await?;
        let app = ns.applied("tasks").await?;
        assert_eq!(condition(&app, "Available").0, "False");
        assert_eq!(ns.names(Kind::Probe).await?, ["tasks"]);
        Ok(())
    })
}
