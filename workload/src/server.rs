//! Listening, serving connections, and the orderly end of both.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_io_timeout::TimeoutStream;
use tokio_util::task::TaskTracker;

use crate::state::Phase;

/// Pause after a failed accept, which would otherwise fail again at once: most often there are no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub header_timeout: Duration,
    /// How long a client may take nothing of an answer: one that reads slowly must not keep the answer in memory for ever.
    pub write_timeout: Duration,
    pub max_connections: usize,
}

#[derive(Debug, thiserror::Error)]
#[error(
    "cannot listen on {address} port {port}: {cause}. {variable} chooses another port, LISTEN_ADDRESS another address"
)]
pub struct BindError {
    address: IpAddr,
    port: u16,
    variable: &'static str,
    cause: std::io::Error,
}

/// Opens a port; `variable` is the setting that a person would change if it is taken.
pub async fn bind(address: IpAddr, port: u16, variable: &'static str) -> Result<TcpListener, BindError> {
    let listener = match TcpListener::bind(SocketAddr::new(address, port)).await {
        // A machine without IPv6 still has "every address".
        Err(error) if address.is_ipv6() && address.is_unspecified() && no_ipv6(&error) => {
            TcpListener::bind(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port)).await
        }
        other => other,
    };
    listener.map_err(|cause| BindError {
        address,
        port,
        variable,
        cause,
    })
}

fn no_ipv6(error: &std::io::Error) -> bool {
    const EAFNOSUPPORT: i32 = 97;
    error.kind() == ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(EAFNOSUPPORT)
}

/// Serves connections until `phase` says `Closing`, then lets those that are open come to their end.
/// The future ends when the last one has.
pub async fn serve(listener: TcpListener, router: Router, limits: Limits, phase: watch::Receiver<Phase>) {
    let connections = TaskTracker::new();
    let slots = Arc::new(Semaphore::new(limits.max_connections));
    let open = |stream: TcpStream, slot: OwnedSemaphorePermit| {
        connections.spawn(serve_connection(
            stream,
            router.clone(),
            limits,
            phase.clone(),
            slot,
        ));
    };
    let mut closing = phase.clone();
    let mut closing = std::pin::pin!(closing.wait_for(|phase| *phase == Phase::Closing));
    loop {
        let accepted = tokio::select! {
            biased;
            _ = &mut closing => break,
            accepted = accept(&listener, &slots) => accepted,
        };
        if let Some((stream, slot)) = accepted {
            open(stream, slot);
        }
    }
    // Connections that were made before the port closes have a right to an answer.
    while let Some(Some((stream, slot))) = futures::FutureExt::now_or_never(accept(&listener, &slots)) {
        open(stream, slot);
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

async fn accept(listener: &TcpListener, slots: &Arc<Semaphore>) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, slot)),
        Err(error) if error.kind() == ErrorKind::ConnectionAborted => None,
        Err(error) => {
            tracing::error!(%error, "cannot accept a connection");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

async fn serve_connection(
    stream: TcpStream,
    router: Router,
    limits: Limits,
    mut phase: watch::Receiver<Phase>,
    _slot: OwnedSemaphorePermit,
) {
    // An answer is one write; waiting for more only delays it.
    let _ = stream.set_nodelay(true);
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(limits.write_timeout));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .serve_connection(TokioIo::new(Box::pin(stream)), TowerToHyperService::new(router));
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        // How a client breaks off is its own affair.
        _ = connection.as_mut() => return,
        _ = phase.wait_for(|phase| *phase == Phase::Closing) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = connection.await;
}
