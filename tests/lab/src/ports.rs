//! Ports that nobody listens on.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Context, Result};

/// Where an API server listens unless somebody else does.
pub const APISERVER_PORT: u16 = 6443;

/// Asks the kernel for `N` different free ports of the loopback address.
pub fn free<const N: usize>() -> Result<[u16; N]> {
    // All are held until the last is known, or the kernel could name one of them twice.
    let held = (0..N)
        .map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
        .collect::<std::io::Result<Vec<_>>>()
        .context("the kernel has no free port")?;
    let mut ports = [0; N];
    for (port, listener) in ports.iter_mut().zip(&held) {
        *port = listener.local_addr()?.port();
    }
    Ok(ports)
}

/// Whether a program could listen on this port of every address.
pub fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok()
}
