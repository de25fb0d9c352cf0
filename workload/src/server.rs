//! Listening, serving connections, and the orderly end of both.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use anyhow::Context;
use axum::Router;
use axum::serve::Listener;
use futures::FutureExt;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;

use crate::config::Config;

/// Opens a port; `variable` is the setting that a person would change if it is taken.
pub(crate) async fn bind(address: IpAddr, port: u16, variable: &str) -> anyhow::Result<TcpListener> {
    let mut listener = TcpListener::bind((address, port)).await;
    if listener.is_err() && address == Ipv6Addr::UNSPECIFIED {
        // A machine without IPv6 still has "every address".
        listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await;
    }
    listener.with_context(|| {
        format!(
            "cannot listen on {address} port {port}; {variable} chooses another port, LISTEN_ADDRESS another address"
        )
    })
}

/// Serves connections until it is asked to close, then lets those that are open come to their end. axum's own `serve`
/// has no bounds on what a client may take in time and connections.
pub(crate) async fn serve(
    mut listener: TcpListener,
    router: Router,
    config: Config,
    closing: CancellationToken,
) {
    let graceful = GracefulShutdown::new();
    let slots = Arc::new(Semaphore::new(config.max_connections as usize));
    let open = |(stream, slot): (TcpStream, Option<OwnedSemaphorePermit>)| {
        // An answer is one write; waiting for more only delays it.
        let _ = stream.set_nodelay(true);
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(config.write_timeout));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(config.header_timeout)
            .serve_connection(
                TokioIo::new(Box::pin(stream)),
                TowerToHyperService::new(router.clone()),
            );
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            // How a client breaks off is its own affair.
            let _ = connection.await;
            drop(slot);
        });
    };
    while let Some(accepted) = closing.run_until_cancelled(accept(&mut listener, &slots)).await {
        open(accepted);
    }
    // Connections that were made before the port closes have a right to an answer.
    while let Some(accepted) = accept(&mut listener, &slots).now_or_never() {
        open(accepted);
    }
    drop(listener);
    graceful.shutdown().await;
}

/// Waits for a slot first: who has none waits in the kernel.
async fn accept(
    listener: &mut TcpListener,
    slots: &Arc<Semaphore>,
) -> (TcpStream, Option<OwnedSemaphorePermit>) {
    let slot = Arc::clone(slots).acquire_owned().await.ok();
    // axum's accept waits after a failure, which would otherwise come again at once.
    let (stream, _) = Listener::accept(listener).await;
    (stream, slot)
}
