//! Finds pods by name, label or prefix.

use anyhow::{Result, bail};
use serde_json::Value;

use crate::kubectl::Kubectl;

/// The last log lines of every container of the matching pods.
pub async fn logs(kubectl: &Kubectl, name: &str, lines: usize) -> Result<String> {
    let all = kubectl
        .run(&["get", "pods", "--all-namespaces", "--output=json"])
        .await?;
    let all: Value = serde_json::from_str(&all)?;
    let meant = matching(name, &all);
    if meant.is_empty() {
        bail!("no pod matches `{name}`; `kubectl get pods --all-namespaces` lists them");
    }
    let mut text = String::new();
    for (namespace, pod) in meant {
        let log = kubectl
            .run(&[
                "logs",
                &pod,
                "--namespace",
                &namespace,
                "--all-containers",
                "--prefix",
                &format!("--tail={lines}"),
            ])
            .await?;
        text.push_str(&log);
    }
    Ok(text)
}

/// Namespace and name of the pods with this name or this `app.kubernetes.io/name` or, if there are none, with this
/// prefix.
fn matching(name: &str, pods: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let select = |is_meant: &dyn Fn(&Value) -> bool| -> Vec<(String, String)> {
        let pods = pods["items"].as_array().into_iter().flatten();
        pods.map(|pod| &pod["metadata"])
            .filter(|metadata| is_meant(metadata))
            .map(|metadata| (text(&metadata["namespace"]), text(&metadata["name"])))
            .collect()
    };
    let exact =
        select(&|metadata| metadata["name"] == name || metadata["labels"]["app.kubernetes.io/name"] == name);
    if !exact.is_empty() {
        return exact;
    }
    let prefix = format!("{name}-");
    select(&|metadata| text(&metadata["name"]).starts_with(&prefix))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pod_is_found_by_name_label_or_name_prefix() {
        let pod = |namespace: &str, name: &str, label: &str| json!({"metadata": {"namespace": namespace, "name": name, "labels": {"app.kubernetes.io/name": label}}});
        let pods = json!({"items": [
            pod("monitoring", "prometheus-lab-0", "prometheus"),
            pod("monitoring", "prometheus-operator-5d9-x", "prometheus-operator"),
            pod("kube-system", "coredns-7f-y", "kube-dns"),
        ]});
        let names = |name| -> Vec<String> { matching(name, &pods).into_iter().map(|(_, pod)| pod).collect() };
        assert_eq!(names("prometheus"), ["prometheus-lab-0"]);
        assert_eq!(names("prometheus-lab-0"), ["prometheus-lab-0"]);
        assert_eq!(names("coredns"), ["coredns-7f-y"]);
        assert!(names("grafana").is_empty());
        assert_eq!(matching("coredns", &pods)[0].0, "kube-system");
    }
}
