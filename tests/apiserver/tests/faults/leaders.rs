//! Two replicas of the operator, of which one leads.

use anyhow::Result;
use apiserver_tests::{Proxy, Running, Space, Verdict, block_on, options};
use serde_json::json;

use super::small;

fn candidate(space: &Space, proxy: &Proxy, identity: &str) -> Running {
    let arguments = [
        "--namespaces",
        &space.name,
        "--leader-elect",
        "--leader-elect-namespace",
        &space.name,
        "--identity",
        identity,
    ];
    Running::start(options(&arguments), proxy.config())
}

#[test]
fn of_two_operators_one_leads_and_the_other_takes_over() -> Result<()> {
    block_on(async {
        let space = Space::new("leaders").await?;
        let [one, two] = [Proxy::start(&space).await?, Proxy::start(&space).await?];
        let first = candidate(&space, &one, "one");
        space.apply("tasks", small()).await?;
        space.applied("tasks").await?;
        let _second = candidate(&space, &two, "two");
        // The leader is cut off from the API server in the middle of its life: it must stop before the other begins.
        one.judge(|_| Verdict::Swallow);
        space
            .apply("tasks", json!({"image": "tasks:2", "replicas": 1}))
            .await?;
        space.applied("tasks").await?;
        let by_first = one.writes().len();
        // It comes back to life, and has nothing to say.
        one.judge(|_| Verdict::Pass);
        space
            .apply("tasks", json!({"image": "tasks:3", "replicas": 1}))
            .await?;
        space.applied("tasks").await?;
        assert_eq!(one.writes().len(), by_first, "{:#?}", one.writes());
        first.kill().await;
        Ok(())
    })
}
