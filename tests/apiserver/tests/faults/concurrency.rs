//! Many apps at once.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use anyhow::{Result, ensure};
use apiserver_tests::{Action, Gate, Proxy, RunningOperator, TestNamespace, block_on, eventually, options};

use super::small;

#[test]
fn no_more_apps_are_reconciled_at_once_than_configured() -> Result<()> {
    const APPS: usize = 6;
    const CONCURRENCY: usize = 2;
    block_on(async {
        let ns = TestNamespace::new("crowd").await?;
        let names: Vec<String> = (0..APPS).map(|number| format!("app{number}")).collect();
        for name in &names {
            ns.apply(name, small()).await?;
        }
        let proxy = Proxy::start(&ns).await?;
        let gate = Gate::default();
        let (held, begun) = (gate.clone(), Arc::new(Mutex::new(BTreeSet::new())));
        let record = Arc::clone(&begun);
        proxy.on_request(move |call| match (call.verb, &call.name) {
            ("patch", Some(name)) if call.resource == "serviceaccounts" => {
                record.lock().unwrap().insert(name.clone());
                Action::Hold(held.clone())
            }
            _ => Action::Pass,
        });
        let arguments = ["--namespaces", &ns.name, "--concurrency", "2"];
        let _operator = RunningOperator::start(options(&arguments), proxy.config());
        eventually("as many apps as allowed are being reconciled", async || {
            let begun = begun.lock().unwrap().clone();
            ensure!(begun.len() >= CONCURRENCY, "{begun:?}");
            Ok(())
        })
        .await?;
        gate.open();
        for name in &names {
            ns.applied(name).await?;
        }
        // An app is being reconciled from its first request until its status is sent.
        let (mut in_hand, mut done) = (BTreeSet::new(), BTreeSet::new());
        for call in proxy.calls() {
            let Some(name) = call
                .name
                .filter(|name| names.contains(name) && !done.contains(name))
            else {
                continue;
            };
            if call.resource == "observedapps/status" {
                in_hand.remove(&name);
                done.insert(name);
            } else {
                in_hand.insert(name);
            }
            assert!(in_hand.len() <= CONCURRENCY, "{in_hand:?}");
        }
        assert_eq!(done.len(), APPS);
        Ok(())
    })
}
