//! An API server that nobody can reach for a while.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Result;
use apiserver_tests::{Proxy, Running, Space, Verdict, block_on, ends_as, eventually, options};
use kube::api::DeleteParams;
use observedapp_desired::Kind;
use serde_json::json;

use super::{small, undisturbed};

#[test]
fn an_api_server_that_was_away_is_taken_up_again() -> Result<()> {
    block_on(async {
        let spec = json!({"image": "tasks:2", "cache": {"builtin": {}}, "metrics": {}});
        let expected = undisturbed(spec.clone()).await?;
        let space = Space::new("away").await?;
        let proxy = Proxy::start(&space).await?;
        let operator = Running::start(options(&space.elected()), proxy.config());
        space.apply("tasks", small()).await?;
        space.applied("tasks").await?;
        let refused = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&refused);
        // Half of the requests are refused, the other half gets no answer at all.
        proxy.judge(move |_| {
            if count.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) {
                Verdict::Fail(503)
            } else {
                Verdict::Swallow
            }
        });
        proxy.cut_watches();
        space.apply("tasks", spec).await?;
        space
            .objects(Kind::Service)
            .delete("tasks", &DeleteParams::background())
            .await?;
        eventually("every watch and the lease were asked for in vain", async || {
            let refused = refused.load(Ordering::Relaxed);
            Ok(if refused > 25 {
                Ok(())
            } else {
                Err(format!("{refused} requests"))
            })
        })
        .await?;
        proxy.judge(|_| Verdict::Pass);
        space.applied("tasks").await?;
        ends_as(&space, &expected).await?;
        operator.stop().await
    })
}
