//! One host, and more than one app that asks for it.

use anyhow::Result;
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

/// Two namespaces under one operator.
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
        Ok(if names == wanted {
            Ok(())
        } else {
            Err(format!("{names:?}"))
        })
    })
    .await
}

#[test]
fn an_older_app_does_not_take_a_host_and_gets_it_once_released() -> Result<()> {
    block_on(async {
        let ([theirs, ours], _proxy, _operator) = two_namespaces("taken").await?;
        // Made first, and given the host later.
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
                .until("older", "the host is refused", |app| {
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

        // The holder goes on as if nothing were.
        let mut newer = asking("taken.example.com", "/");
        newer["image"] = json!("tasks:2");
        ours.apply("tasks", newer).await?;
        let app = ours.applied("tasks").await?;
        assert_eq!(app.status.unwrap().url.unwrap(), "http://taken.example.com/");
        ingresses(&ours, &["tasks"]).await?;

        // In its own namespace it shares the host by another path, and not by the same.
        ours.apply("login", asking("taken.example.com", "/login")).await?;
        ours.apply("again", asking("taken.example.com", "/")).await?;
        ours.until("again", "the path is refused", |app| {
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

/// Neither is there when the other is given the host: both Ingresses are on their way.
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
            eventually(&format!("{count} Ingresses are on their way"), async || {
                let calls = proxy.calls();
                let on_way = calls
                    .iter()
                    .filter(|call| call.resource == "ingresses" && call.verb == "patch");
                let on_way = on_way.count();
                Ok(if on_way == count {
                    Ok(())
                } else {
                    Err(on_way.to_string())
                })
            })
            .await
        };
        // The younger one alone asks for it; then the older one does, of which nobody has an Ingress to be seen.
        b.apply("tasks", asking("at-once.example.com", "/")).await?;
        sent(1).await?;
        a.apply("tasks", asking("at-once.example.com", "/")).await?;
        sent(2).await?;
        gate.open();
        eventually("one of the two has it, and the other is told", async || {
            let mut found = Vec::new();
            for ns in [&a, &b] {
                let app = ns.apps().get("tasks").await?;
                let made = ns.names(Kind::Ingress).await?.len();
                found.push((made, condition(&app, "Exposed").1 == "HostTaken"));
            }
            found.sort_unstable();
            Ok(if found == [(0, true), (1, false)] {
                Ok(())
            } else {
                Err(format!("{found:?}"))
            })
        })
        .await
    })
}
