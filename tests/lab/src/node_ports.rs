//! The ports of the node's programs.

use std::fs;
use std::path::Path;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::{paths, ports, process::Supervisor};

/// The ports of the node's programs, saved so that a second `up` uses the same.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Ports {
    pub apiserver: u16,
    pub kubelet: u16,
    pub etcd: u16,
    pub controller_manager: u16,
    pub scheduler: u16,
    pub kube_proxy: u16,
    pub kube_proxy_health: u16,
}

impl Ports {
    /// Kubernetes' default ports if they are free, else others.
    pub(crate) fn choose(supervisor: &Supervisor, file: &Path) -> Result<Self> {
        let [etcd, controller_manager, scheduler, kube_proxy, kube_proxy_health] = ports::free()?;
        let known: Option<Self> = fs::read(file)
            .ok()
            .and_then(|json| serde_json::from_slice(&json).ok());
        let mut ports = known.unwrap_or(Self {
            apiserver: ports::APISERVER_PORT,
            kubelet: 10250,
            etcd,
            controller_manager,
            scheduler,
            kube_proxy,
            kube_proxy_health,
        });
        for (program, port) in [
            ("kube-apiserver", &mut ports.apiserver),
            ("kubelet", &mut ports.kubelet),
            ("etcd", &mut ports.etcd),
            ("kube-controller-manager", &mut ports.controller_manager),
            ("kube-scheduler", &mut ports.scheduler),
            ("kube-proxy", &mut ports.kube_proxy),
            ("kube-proxy", &mut ports.kube_proxy_health),
        ] {
            if supervisor.running(program).is_none() && !ports::is_free(*port) {
                [*port] = ports::free()?;
            }
        }
        paths::write(file, serde_json::to_vec_pretty(&ports)?)?;
        Ok(ports)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::net::{Ipv4Addr, TcpListener};

    use super::*;
    use crate::process::Lifetime;

    #[test]
    fn a_port_taken_meanwhile_is_replaced_and_the_others_stay() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ports.json");
        let supervisor = Supervisor::new(folder.path().to_owned(), Lifetime::Detached);
        let first = Ports::choose(&supervisor, &file).unwrap();
        let taken = TcpListener::bind((Ipv4Addr::UNSPECIFIED, first.etcd)).unwrap();
        let second = Ports::choose(&supervisor, &file).unwrap();
        assert_ne!(second.etcd, first.etcd);
        assert_eq!(second.scheduler, first.scheduler);
        drop(taken);
        assert_eq!(Ports::choose(&supervisor, &file).unwrap().etcd, second.etcd);
    }
}
