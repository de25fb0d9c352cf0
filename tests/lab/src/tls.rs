//! Which cryptography TLS is done with.

/// Chooses ring, as the operator does. It must be said wherever a client is made: built together, the workspace's
/// programs bring two kinds, and then none is the default. A choice that was made already stays.
pub fn choose() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}
