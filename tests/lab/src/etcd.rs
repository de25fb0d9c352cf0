//! etcd: one member, which accepts only the API server's certificate.

use std::{
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
};

use anyhow::Result;

use crate::{
    certs::{Authority, Pair, Subject},
    process::Program,
};

/// Whether writes must survive a crash of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    Crash,
    /// For tests: etcd starts and writes several times faster.
    None,
}

#[derive(Debug)]
pub struct Etcd {
    pub program: Program,
    pub url: String,
    pub client: Pair,
    pub data: PathBuf,
}

impl Etcd {
    pub fn new(
        binary: &Path,
        dir: &Path,
        port: u16,
        durability: Durability,
        authority: &Authority,
    ) -> Result<Self> {
        let local = [IpAddr::V4(Ipv4Addr::LOCALHOST)];
        let server = authority.issue(
            "etcd",
            &Subject {
                user: "etcd",
                ips: &local,
                ..Subject::default()
            },
        )?;
        let client = authority.issue(
            "etcd-client",
            &Subject {
                user: "kube-apiserver",
                ..Subject::default()
            },
        )?;
        let url = format!("https://127.0.0.1:{port}");
        let data = dir.join("etcd");
        let mut program = Program::new("etcd", binary).args([
            "--name=lab".to_owned(),
            format!("--data-dir={}", data.display()),
            format!("--listen-client-urls={url}"),
            format!("--advertise-client-urls={url}"),
            // Without peers, any free port is fine.
            "--listen-peer-urls=http://127.0.0.1:0".to_owned(),
            "--initial-advertise-peer-urls=http://127.0.0.1:0".to_owned(),
            "--initial-cluster=lab=http://127.0.0.1:0".to_owned(),
            format!("--cert-file={}", server.cert.display()),
            format!("--key-file={}", server.key.display()),
            format!("--trusted-ca-file={}", authority.cert().display()),
            "--client-cert-auth=true".to_owned(),
            "--auto-compaction-retention=5m".to_owned(),
            "--log-level=warn".to_owned(),
        ]);
        if durability == Durability::None {
            program = program.args(["--unsafe-no-fsync"]);
        }
        Ok(Self {
            program,
            url,
            client,
            data,
        })
    }
}
