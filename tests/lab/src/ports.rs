//! Free ports.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Context, Result};

/// The default port of the API server.
pub const APISERVER_PORT: u16 = 6443;

/// Asks the kernel for `N` different free ports of the loopback address.
pub fn free<const N: usize>() -> Result<[u16; N]> {
    // All are held until the last is chosen, so that they differ.
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

/// Whether this port is free on every address.
pub fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok()
}
