//! Why the operator ends.

use std::net::SocketAddr;

/// Why the operator cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error("no cluster to work on: {0}; give a kubeconfig with KUBECONFIG, or run in a pod")]
    NoCluster(#[source] Box<kube::config::InferConfigError>),
    #[error("the connection to the cluster cannot be set up: {0}")]
    Client(#[source] Box<kube::Error>),
    #[error("cannot listen on {address}: {source}; choose another address with --listen")]
    Listen {
        address: SocketAddr,
        source: std::io::Error,
    },
    #[error("signals cannot be received: {0}")]
    Signals(#[from] std::io::Error),
    #[error("the reconcile loop has ended by itself; this is a bug")]
    LoopEnded,
}
