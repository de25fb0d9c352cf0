//! Several apps that claim one host.

use anyhow::{Result, ensure};
use apiserver_tests::{
    Action, Gate, Proxy, RunningOperator, TestNamespace, block_on, condition, eventually, options, rights,
};
use observedapp_desired::Kind;
use serde_json::{Value, json};

use super::small;

fn asking(host: &str, path: &str) -> Value {
    let mut spec = small();
    spec["ingress"] = json!({"host": host, "path": path});
    spec
}

/// One operator for two namespaces.
async fn two_namespaces(purpose: &str) -> Result<([TestNamespace; 2], Proxy, RunningOperator)> {
    let test_namespaces = [
        TestNamespace::new(&format!("{purpose}-a")).await?,
        TestNamespace::new(&format!("{purpose}-b")).await?,
    ];
    let names = [test_namespaces[0].name.as_str(), test_namespaces[1].name.as_str()];
    rights::grant_in_namespaces(&test_namespaces[0].client, names[0], &names).await?;
    let proxy = Proxy::start(&test_namespaces[0]).await?;
    let operator = RunningOperator::start(options(&["--namespaces", &names.join(",")]), proxy.config());
    Ok((test_namespaces, proxy, operator))
}

async fn ingresses(ns: &TestNamespace, wanted: &[&str]) -> Result<()> {
    eventually(&format!("{} has the Ingresses {wanted:?}", ns.name), async || {
        let names = ns.names(Kind::Ingress).await?;
        ensure!(names == wanted, "{names:?}");
        Ok(())
    })
    .await
}

#[test]
fn an_older_app_does_not_take_a_host_and_gets_it_once_released() -> Result<()> {
    block_on(async {
        let ([theirs, ours], _proxy, _operator) = two_namespaces("taken").await?;
        // Older, and claims the host later.
        theirs
            .apply("older", asking("own.taken.example.com", "/"))
            .await?;
        theirs.applied("older").await?;
        ingresses(&theirs, &["older"]).await?;
        ours.apply("tasks", asking("taken.example.com", "/")).await?;
        ours.applied("tasks").await?;
        ingresses(&ours, &["tasks"]).await?;

        for path in ["/", "/login"] {
            theirs.apply("older", asking("taken.example.com", path)).await?;
            let app = theirs
                .until("older", "the conflict is reported", |app| {
                    condition(app, "Exposed").1 == "HostTaken"
                })
                .await?;
            let (_, _, message) = condition(&app, "Exposed");
            assert!(message.contains(&format!("{}/tasks", ours.name)), "{message}");
            assert_eq!(condition(&app, "Valid").0, "True");
            assert_eq!(condition(&app, "Applied").0, "True");
            assert_eq!(condition(&app, "Ready").0, "False");
            let url = app.status.unwrap().url.unwrap();
            assert!(url.starts_with("http://older."), "{url}");
            assert_eq!(theirs.names(Kind::Ingress).await?, Vec::<String>::new());
            assert_eq!(theirs.names(Kind::Deployment).await?, ["older"]);
        }

        // The app that holds the host is not affected.
        let mut newer = asking("taken.example.com", "/");
        newer["image"] = json!("tasks:2");
        ours.apply("tasks", newer).await?;
        let app = ours.applied("tasks").await?;
        assert_eq!(app.status.unwrap().url.unwrap(), "http://taken.example.com/");
        ingresses(&ours, &["tasks"]).await?;

        // Within a namespace, apps can share a host by different paths.
        ours.apply("login", asking("taken.example.com", "/login")).await?;
        ours.apply("again", asking("taken.example.com", "/")).await?;
        ours.until("again", "the conflict of paths is reported", |app| {
            condition(app, "Exposed").1 == "HostTaken"
        })
        .await?;
        ingresses(&ours, &["login", "tasks"]).await?;

        for app in ["again", "login"] {
            ours.apply(app, small()).await?;
        }
        ingresses(&ours, &["tasks"]).await?;
        ours.apply("tasks", asking("other.taken.example.com", "/"))
            .await?;
        ingresses(&theirs, &["older"]).await
    })
}

/// The Ingresses of both are sent before either exists.
#[test]
fn one_of_two_concurrent_claims_to_a_host_wins() -> Result<()> {
    block_on(async {
        let ([a, b], proxy, _operator) = two_namespaces("at-once").await?;
        a.apply("tasks", small()).await?;
        a.applied("tasks").await?;
        let gate = Gate::default();
        let held = gate.clone();
        proxy.on_request(move |call| match (call.verb, &*call.resource) {
            ("patch", "ingresses") => Action::Hold(held.clone()),
            _ => Action::Pass,
        });
        let sent = async |count: usize| {
            eventually(&format!("{count} Ingresses are sent"), async || {
                let calls = proxy.calls();
                let on_way = calls
                    .iter()
                    .filter(|call| call.resource == "ingresses" && call.verb == "patch");
                let on_way = on_way.count();
                ensure!(on_way == count, "{on_way}");
                Ok(())
            })
            .await
        };
        // The younger app claims it first; then the older one, whose Ingress nobody has seen.
        b.apply("tasks", asking("at-once.example.com", "/")).await?;
        sent(1).await?;
        a.apply("tasks", asking("at-once.example.com", "/")).await?;
        sent(2).await?;
        gate.open();
        eventually(
            "one app has the host, and the other reports the conflict",
            async || {
                let mut found = Vec::new();
                for ns in [&a, &b] {
                    let app = ns.apps().get("tasks").await?;
                    let made = ns.names(Kind::Ingress).await?.len();
                    found.push((made, condition(&app, "Exposed").1 == "HostTaken"));
                }
                found.sort_unstable();
                ensure!(found == [(0, true), (1, false)], "{found:?}");
                Ok(())
            },
        )
        .await
    })
}
