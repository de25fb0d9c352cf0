//! The kubelet of the lab's node.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
};

use anyhow::Result;
use lab_tools::upstream;
use serde_json::json;

use crate::{
    certs::Subject,
    containerd::{self, Containerd},
    controlplane::ControlPlane,
    paths,
    process::{Program, Supervisor},
};

pub const NODE: &str = "lab";
pub const DNS_IP: &str = "10.96.0.10";

/// The folder of the containers' logs.
pub fn pod_logs(dir: &Path) -> PathBuf {
    dir.join("pod-logs")
}

/// The kubelet writes only under `dir`.
pub fn kubelet(
    plane: &ControlPlane,
    supervisor: &Supervisor,
    binary: &Path,
    dir: &Path,
    ip: IpAddr,
    port: u16,
) -> Result<Program> {
    let kubeconfig = plane.component_kubeconfig("kubelet");
    plane.write_kubeconfig(
        &kubeconfig,
        "kubelet",
        &format!("system:node:{NODE}"),
        "system:nodes",
    )?;
    let serving = plane.authority.issue(
        "kubelet-serving",
        &Subject {
            user: NODE,
            dns: &[NODE],
            ips: &[ip],
            ..Subject::default()
        },
    )?;
    let socket = Containerd::socket();
    let endpoint = format!("unix://{}", socket.display());
    let config = json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        // Prometheus scrapes it from a pod.
        "address": "0.0.0.0",
        "port": port,
        "readOnlyPort": 0,
        "healthzPort": 0,
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": true},
            "x509": {"clientCAFile": plane.authority.cert()},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": serving.cert,
        "tlsPrivateKeyFile": serving.key,
        "containerRuntimeEndpoint": endpoint,
        "clusterDNS": [DNS_IP],
        "clusterDomain": "cluster.local",
        "resolvConf": resolv_conf(dir)?,
        "cgroupDriver": "cgroupfs",
        "failCgroupV1": false,
        "failSwapOn": false,
        "serializeImagePulls": false,
        // Changed ConfigMaps and Secrets reach pods in 9 to 12 s instead of up to a minute.
        "syncFrequency": "10s",
        "volumePluginDir": dir.join("plugins"),
        "podLogsDir": pod_logs(dir),
        // No eviction by disk usage: the images are built here and cannot be pulled again.
        "evictionHard": {"nodefs.available": "0%", "nodefs.inodesFree": "0%", "imagefs.available": "0%", "memory.available": "100Mi"},
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "shutdownGracePeriod": "0s",
    });
    let config_file = dir.join("config.json");
    paths::write(&config_file, serde_json::to_vec_pretty(&config)?)?;
    paths::create_dir(&dir.join("root"))?;
    containerd::beside_containerd(
        supervisor,
        "kubelet",
        binary,
        [
            format!("--config={}", config_file.display()),
            format!("--kubeconfig={}", kubeconfig.display()),
            format!("--root-dir={}", dir.join("root").display()),
            format!("--hostname-override={NODE}"),
            format!("--node-ip={ip}"),
            // Without this flag, cAdvisor does not find containerd and the containers' names.
            format!("--containerd={}", socket.display()),
            format!("--pod-infra-container-image={}", upstream::PAUSE),
        ],
    )
}

/// A resolver on this machine's loopback address is not reachable from pods.
fn resolv_conf(dir: &Path) -> Result<String> {
    for file in ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"] {
        if let Ok(text) = std::fs::read_to_string(file)
            && has_reachable_resolver(&text)
        {
            return Ok(file.to_owned());
        }
    }
    // Without a resolver, external names do not resolve. CoreDNS refuses an empty list, so it forwards to an address
    // reserved for documentation.
    let file = dir.join("resolv.conf");
    paths::write(&file, "nameserver 203.0.113.1\n")?;
    Ok(file.display().to_string())
}

fn has_reachable_resolver(resolv_conf: &str) -> bool {
    resolv_conf
        .lines()
        .filter_map(|line| line.strip_prefix("nameserver")?.trim().parse::<IpAddr>().ok())
        .any(|ip| !ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resolver_on_the_loopback_address_is_not_given_to_pods() {
        assert!(!has_reachable_resolver(
            "search example.com\nnameserver 127.0.0.53\n"
        ));
        assert!(has_reachable_resolver(
            "nameserver 127.0.0.53\nnameserver 192.0.2.53\n"
        ));
        assert!(!has_reachable_resolver(""));
    }
}
