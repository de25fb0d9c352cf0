//! The state of a namespace as comparable text, without what differs between runs.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use futures::future::join_all;
use kube::ResourceExt;
use kube::api::ListParams;
use observedapp_api::AppRef;
use observedapp_desired::{Kind, dashboard_uid};
use serde_json::Value;

use crate::{TestNamespace, eventually};

/// All apps and all objects of the kinds that the operator creates.
pub async fn snapshot(ns: &TestNamespace) -> Result<BTreeMap<String, String>> {
    let mut all = objects(ns, |_| true).await?;
    for app in ns.apps().list(&ListParams::default()).await? {
        let value = normalised(&serde_json::to_value(&app)?, &ns.name);
        all.insert(format!("ObservedApp/{}", app.name_any()), value);
    }
    Ok(all)
}

/// The objects of one app.
pub async fn objects_of(ns: &TestNamespace, app: &str) -> Result<BTreeMap<String, String>> {
    objects(ns, |name| {
        name.strip_prefix(app)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    })
    .await
}

async fn objects(ns: &TestNamespace, which: impl Fn(&str) -> bool) -> Result<BTreeMap<String, String>> {
    let mut all = BTreeMap::new();
    let lists = Kind::ALL.iter().map(|&kind| async move {
        let list = ns.objects(kind).list(&ListParams::default()).await;
        (kind, list)
    });
    for (kind, list) in join_all(lists).await {
        let Ok(list) = list else {
            continue; // the API is not served
        };
        for object in list {
            let name = object.name_any();
            if ["kube-root-ca.crt", "default"].contains(&name.as_str()) || !which(&name) {
                continue;
            }
            let value = normalised(&serde_json::to_value(&object)?, &ns.name);
            all.insert(format!("{}/{name}", kind.as_str()), value);
        }
    }
    Ok(all)
}

/// The snapshot once it has stopped changing.
pub async fn settled(ns: &TestNamespace) -> Result<BTreeMap<String, String>> {
    // Longer than several polls of the operator and of the controllers, also on a busy machine.
    const QUIET: Duration = Duration::from_secs(3);
    let mut last = snapshot(ns).await?;
    let mut since = Instant::now();
    while since.elapsed() < QUIET {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let now = snapshot(ns).await?;
        if now != last {
            last = now;
            since = Instant::now();
        }
    }
    Ok(last)
}

/// Waits until the snapshot is as expected.
pub async fn converges_to(ns: &TestNamespace, expected: &BTreeMap<String, String>) -> Result<()> {
    eventually(
        &format!("{}: it converges to the state of a run without faults", ns.name),
        async || {
            let found = snapshot(ns).await?;
            ensure!(found == *expected, "{}", difference(expected, &found));
            Ok(())
        },
    )
    .await
}

/// The difference of two snapshots, by line.
pub fn difference(expected: &BTreeMap<String, String>, found: &BTreeMap<String, String>) -> String {
    let mut lines = Vec::new();
    let new = found.keys().filter(|key| !expected.contains_key(*key));
    for key in expected.keys().chain(new) {
        let (one, other) = (expected.get(key), found.get(key));
        if one == other {
            continue;
        }
        lines.push(format!("{key}:"));
        let split = |text: Option<&String>| -> Vec<String> {
            text.map_or("(absent)", String::as_str)
                .lines()
                .map(str::to_owned)
                .collect()
        };
        let (one, other) = (split(one), split(other));
        let missing = one.iter().filter(|line| !other.contains(line));
        lines.extend(missing.map(|line| format!("  - {line}")));
        let more = other.iter().filter(|line| !one.contains(line));
        lines.extend(more.map(|line| format!("  + {line}")));
    }
    lines.join("\n")
}

fn normalised(value: &Value, namespace: &str) -> String {
    let mut value = value.clone();
    let chosen_by_us = value["metadata"]["managedFields"]
        .to_string()
        .contains("f:nodePort");
    for port in value["spec"]["ports"].as_array_mut().into_iter().flatten() {
        if !chosen_by_us && let Some(port) = port.as_object_mut() {
            port.remove("nodePort");
        }
    }
    strip(&mut value);
    if value["type"] == "kubernetes.io/basic-auth"
        || value["data"]["password"].is_string()
        || value["data"]["uri"].is_string()
    {
        for (_, secret) in value["data"].as_object_mut().into_iter().flatten() {
            *secret = "random".into();
        }
    }
    // A dashboard's uid is derived from namespace and name.
    let name = value["metadata"]["labels"]["app.kubernetes.io/instance"]
        .as_str()
        .unwrap_or_default();
    serde_json::to_string_pretty(&value)
        .unwrap_or_default()
        .replace(&dashboard_uid(&AppRef::new(namespace, name)), "UID")
        .replace(namespace, "NAMESPACE")
}

/// Removes what differs between runs.
fn strip(value: &mut Value) {
    const DIFFERS: [&str; 13] = [
        "uid",
        "resourceVersion",
        "creationTimestamp",
        "deletionTimestamp",
        "time",
        "generation",
        "observedGeneration",
        "lastTransitionTime",
        "clusterIP",
        "clusterIPs",
        "applied",
        "managedFields",
        "deploymentGeneration",
    ];
    match value {
        Value::Object(map) => {
            map.retain(|key, _| !DIFFERS.contains(&key.as_str()));
            // Digests of random contents, or of names that include the namespace.
            for (key, value) in map.iter_mut() {
                if ["digest", "hash", "observedapp.dev/references"]
                    .iter()
                    .any(|part| key.contains(part))
                {
                    *value = "digest".into();
                } else {
                    strip(value);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(strip),
        _ => {}
    }
}
