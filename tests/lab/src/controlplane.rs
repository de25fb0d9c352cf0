//! The programs of the control plane and their arguments.

use std::{
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};

use crate::{
    certs::{Authority, Pair, Subject},
    etcd::Etcd,
    kubeconfig,
    process::{Program, Supervisor},
    wait,
};

pub const SERVICE_CIDR: &str = "10.96.0.0/16";
/// The first address of `SERVICE_CIDR`, which `kubernetes.default.svc` gets.
const SERVICE_IP: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 96, 0, 1));

/// What the control planes of tests and of the node share.
#[derive(Debug)]
pub struct ControlPlane {
    pub dir: PathBuf,
    pub authority: Authority,
    pub url: String,
    /// The API server's address for pods, beside the loopback address.
    pub node_ip: Option<IpAddr>,
    pub port: u16,
    service_account: Pair,
}

impl ControlPlane {
    pub fn new(dir: &Path, node_ip: Option<IpAddr>, port: u16) -> Result<Self> {
        let authority = Authority::open(&dir.join("certs"))?;
        let service_account = authority.service_account_keys()?;
        let url = format!("https://127.0.0.1:{port}");
        Ok(Self {
            dir: dir.to_path_buf(),
            authority,
            url,
            node_ip,
            port,
            service_account,
        })
    }

    /// The administrator's kubeconfig.
    pub fn admin_kubeconfig(&self) -> PathBuf {
        self.dir.join("kubeconfig")
    }

    /// The kubeconfig of a component.
    pub fn component_kubeconfig(&self, name: &str) -> PathBuf {
        self.dir.join("certs").join(format!("{name}.kubeconfig"))
    }

    /// Issues the client certificate of `user` and writes a kubeconfig that uses it.
    pub fn write_kubeconfig(&self, path: &Path, file: &str, user: &str, group: &str) -> Result<()> {
        let pair = self.authority.issue(
            file,
            &Subject {
                user,
                group,
                ..Subject::default()
            },
        )?;
        kubeconfig::write(path, &self.url, &self.authority.cert(), &pair)
    }

    pub fn write_admin_kubeconfig(&self) -> Result<()> {
        self.write_kubeconfig(&self.admin_kubeconfig(), "admin", "lab-admin", "system:masters")
    }

    pub fn apiserver(&self, binary: &Path, etcd: &Etcd) -> Result<Program> {
        let mut ips = vec![IpAddr::V4(Ipv4Addr::LOCALHOST), SERVICE_IP];
        ips.extend(self.node_ip);
        let serving = self.authority.issue(
            "apiserver",
            &Subject {
                user: "kube-apiserver",
                dns: &[
                    "localhost",
                    "kubernetes",
                    "kubernetes.default",
                    "kubernetes.default.svc",
                    "kubernetes.default.svc.cluster.local",
                ],
                ips: &ips,
                ..Subject::default()
            },
        )?;
        let kubelet_client = self.authority.issue(
            "apiserver-kubelet-client",
            &Subject {
                user: "kube-apiserver-kubelet-client",
                group: "system:masters",
                ..Subject::default()
            },
        )?;
        let front_proxy = self.authority.issue(
            "front-proxy",
            &Subject {
                user: "front-proxy-client",
                ..Subject::default()
            },
        )?;
        let ca = self.authority.cert();
        let file = |path: &Path| path.display().to_string();
        let mut args = vec![
            format!("--secure-port={}", self.port),
            format!("--etcd-servers={}", etcd.url),
            format!("--etcd-cafile={}", file(&ca)),
            format!("--etcd-certfile={}", file(&etcd.client.cert)),
            format!("--etcd-keyfile={}", file(&etcd.client.key)),
            format!("--tls-cert-file={}", file(&serving.cert)),
            format!("--tls-private-key-file={}", file(&serving.key)),
            format!("--client-ca-file={}", file(&ca)),
            format!("--service-account-key-file={}", file(&self.service_account.cert)),
            format!(
                "--service-account-signing-key-file={}",
                file(&self.service_account.key)
            ),
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local".to_owned(),
            format!("--service-cluster-ip-range={SERVICE_CIDR}"),
            "--authorization-mode=Node,RBAC".to_owned(),
            "--enable-admission-plugins=NodeRestriction,OwnerReferencesPermissionEnforcement".to_owned(),
            format!("--kubelet-certificate-authority={}", file(&ca)),
            format!("--kubelet-client-certificate={}", file(&kubelet_client.cert)),
            format!("--kubelet-client-key={}", file(&kubelet_client.key)),
            // Otherwise `kubectl logs` and `exec` resolve the node's name by DNS.
            "--kubelet-preferred-address-types=InternalIP".to_owned(),
            format!("--requestheader-client-ca-file={}", file(&ca)),
            "--requestheader-allowed-names=front-proxy-client".to_owned(),
            "--requestheader-username-headers=X-Remote-User".to_owned(),
            "--requestheader-group-headers=X-Remote-Group".to_owned(),
            "--requestheader-extra-headers-prefix=X-Remote-Extra-".to_owned(),
            format!("--proxy-client-cert-file={}", file(&front_proxy.cert)),
            format!("--proxy-client-key-file={}", file(&front_proxy.key)),
            "--enable-aggregator-routing=true".to_owned(),
            "--profiling=false".to_owned(),
        ];
        match self.node_ip {
            Some(ip) => args.extend([
                format!("--advertise-address={ip}"),
                "--allow-privileged=true".to_owned(),
            ]),
            // No pod connects to it, and an endpoint must not be a loopback address.
            None => args.extend([
                "--bind-address=127.0.0.1".to_owned(),
                "--endpoint-reconciler-type=none".to_owned(),
            ]),
        }
        Ok(Program::new("kube-apiserver", binary).args(args))
    }

    /// The controller manager, with all controllers or only these.
    pub fn controller_manager(&self, binary: &Path, port: u16, only: &[&str]) -> Result<Program> {
        let path = self.component_kubeconfig("controller-manager");
        let (user, group) = match only {
            [] => ("system:kube-controller-manager", ""),
            // Otherwise each controller needs a service account of its own.
            _ => ("lab-controller-manager", "system:masters"),
        };
        self.write_kubeconfig(&path, "controller-manager", user, group)?;
        let path = path.display();
        let mut args = vec![
            format!("--kubeconfig={path}"),
            format!("--authentication-kubeconfig={path}"),
            format!("--authorization-kubeconfig={path}"),
            format!("--secure-port={port}"),
            "--bind-address=127.0.0.1".to_owned(),
            format!("--root-ca-file={}", self.authority.cert().display()),
            format!(
                "--service-account-private-key-file={}",
                self.service_account.key.display()
            ),
            format!("--cluster-signing-cert-file={}", self.authority.cert().display()),
            format!("--cluster-signing-key-file={}", self.authority.key().display()),
            format!("--use-service-account-credentials={}", only.is_empty()),
            "--leader-elect=false".to_owned(),
            "--profiling=false".to_owned(),
        ];
        if !only.is_empty() {
            args.push(format!("--controllers={}", only.join(",")));
        }
        Ok(Program::new("kube-controller-manager", binary).args(args))
    }

    pub fn scheduler(&self, binary: &Path, port: u16) -> Result<Program> {
        let path = self.component_kubeconfig("scheduler");
        self.write_kubeconfig(&path, "scheduler", "system:kube-scheduler", "")?;
        let path = path.display();
        Ok(Program::new("kube-scheduler", binary).args([
            format!("--kubeconfig={path}"),
            format!("--authentication-kubeconfig={path}"),
            format!("--authorization-kubeconfig={path}"),
            format!("--secure-port={port}"),
            "--bind-address=127.0.0.1".to_owned(),
            "--leader-elect=false".to_owned(),
            "--profiling=false".to_owned(),
        ]))
    }

    /// Waits until the API server is ready; returns the administrator's client.
    pub async fn ready(&self, supervisor: &Supervisor) -> Result<Client> {
        let client = client(&self.admin_kubeconfig()).await?;
        wait::until("the API server", Duration::from_mins(2), || async {
            supervisor.check("etcd")?;
            supervisor.check("kube-apiserver")?;
            let ready = client.request_text(http::Request::get("/readyz").body(Vec::new())?);
            Ok(ready.await.map_err(|error| error.to_string()))
        })
        .await?;
        Ok(client)
    }
}

/// A client for a kubeconfig that the lab wrote.
pub async fn client(kubeconfig: &Path) -> Result<Client> {
    let known = Kubeconfig::read_from(kubeconfig)
        .with_context(|| format!("{} is not a kubeconfig", kubeconfig.display()))?;
    crate::tls::choose();
    let config = Config::from_custom_kubeconfig(known, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}
