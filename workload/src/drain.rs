//! The phases of a shutdown in which no request is lost.

/// What a server does with connections and requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// All is served.
    Serving,
    /// All is still served, but /readyz says no and every answer closes its connection, so that
    /// load balancers and clients turn to other replicas.
    Draining,
    /// No new connections; running requests are finished.
    Closing,
}
