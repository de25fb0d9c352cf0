//! Collects events, logs and objects that explain a failure on the node.

use std::path::Path;

use anyhow::Result;

use crate::{kubectl::Kubectl, node, paths};

/// Writes one file per source; a file has the error if its source fails.
pub async fn collect(kubeconfig: &Path, folder: &Path) -> Result<()> {
    let kubectl = Kubectl::new(kubeconfig).await?;
    let all = "pods,services,endpointslices,deployments,statefulsets,persistentvolumeclaims,configmaps,networkpolicies";
    let looks: [(&str, &[&str]); 4] = [
        ("events.txt", &["events", "--all-namespaces"]),
        ("pods.txt", &["get", "pods", "--all-namespaces", "--output=wide"]),
        ("objects.yaml", &["get", all, "--all-namespaces", "--output=yaml"]),
        (
            "apps.yaml",
            &[
                "get",
                "observedapps,servicemonitors,probes,prometheusrules",
                "--all-namespaces",
                "--output=yaml",
            ],
        ),
    ];
    for (file, args) in looks {
        let text = kubectl
            .run(args)
            .await
            .unwrap_or_else(|error| format!("{error:#}\n"));
        paths::write(&folder.join(file), text)?;
    }
    let pods = kubectl
        .run(&[
            "get",
            "pods",
            "--all-namespaces",
            "--output=jsonpath={range .items[*]}{.metadata.namespace} {.metadata.name}{\"\\n\"}{end}",
        ])
        .await
        .unwrap_or_default();
    for (namespace, pod) in pods.lines().filter_map(|line| line.split_once(' ')) {
        let log = [
            "logs",
            "--namespace",
            namespace,
            pod,
            "--all-containers",
            "--prefix",
            "--tail=1000",
        ];
        let text = kubectl
            .run(&log)
            .await
            .unwrap_or_else(|error| format!("{error:#}\n"));
        paths::write(&folder.join("logs").join(format!("{namespace}.{pod}.txt")), text)?;
    }
    for (name, _) in node::programs() {
        let Some(log) = node::log(&name) else { continue };
        let text = crate::process::tail(&log, 2000);
        paths::write(&folder.join("node").join(format!("{name}.txt")), text)?;
    }
    Ok(())
}
