//! An API server that is unreachable for a while.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Result, ensure};
use apiserver_tests::{
    Action, Proxy, RunningOperator, TestNamespace, block_on, converges_to, eventually, options,
};
use kube::api::DeleteParams;
use observedapp_desired::Kind;
use serde_json::json;

use super::{small, without_faults};

#[test]
fn an_unreachable_api_server_is_retried_until_it_is_back() -> Result<()> {
    block_on(async {
        let spec = json!({"image": "tasks:2", "cache": {"builtin": {}}, "metrics": {}});
        let expected = without_faults(spec.clone()).await?;
        let ns = TestNamespace::new("away").await?;
        let proxy = Proxy::start(&ns).await?;
        let operator = RunningOperator::start(options(&ns.elected()), proxy.config());
        ns.apply("tasks", small()).await?;
        ns.applied("tasks").await?;
        let refused = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&refused);
        // Half of the requests are refused, the others get no response.
        proxy.on_request(move |_| {
            if count.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) {
                Action::Fail(503)
            } else {
                Action::DropRequest
            }
        });
        proxy.cut_watches();
        ns.apply("tasks", spec).await?;
        ns.objects(Kind::Service)
            .delete("tasks", &DeleteParams::background())
            .await?;
        eventually("every watch and the lease request failed", async || {
            let refused = refused.load(Ordering::Relaxed);
            ensure!(refused > 25, "{refused} requests");
            Ok(())
        })
        .await?;
        proxy.on_request(|_| Action::Pass);
        ns.applied("tasks").await?;
        converges_to(&ns, &expected).await?;
        operator.stop().await
    })
}
