//! The crypto provider of TLS.

/// Installs ring as the default provider, as the operator does. Every program needs it before it creates a client:
/// built together, the workspace's programs enable two providers, and then none is the default.
pub fn choose() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}
