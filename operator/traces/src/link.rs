//! The way to a collector: plain, or under TLS.

use std::sync::Arc;

use http::Uri;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;

const CERTIFICATE: &str = "OTEL_EXPORTER_OTLP_CERTIFICATE";

#[derive(Debug)]
pub(super) struct Link {
    host: String,
    port: u16,
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
}

impl Link {
    /// The way to where `uri`, the value of `setting`, points. Under TLS `certificates`, a PEM file,
    /// says whom to trust, and without one it is whom browsers trust.
    pub(super) fn to(setting: &str, uri: &Uri, certificates: &str) -> Result<Self, String> {
        let nowhere = || format!("{setting}: write http://host:4318 or https://host:4318");
        let host = uri
            .host()
            .ok_or_else(nowhere)?
            .trim_matches(['[', ']'])
            .to_owned();
        let (default_port, tls) = match uri.scheme_str() {
            Some("http") => (80, None),
            Some("https") => {
                let name = ServerName::try_from(host.clone()).map_err(|_| nowhere())?;
                (443, Some((Arc::new(trusting(certificates)?), name)))
            }
            _ => return Err(nowhere()),
        };
        let port = uri.port_u16().unwrap_or(default_port);
        Ok(Self { host, port, tls })
    }

    pub(super) async fn connect(&self) -> std::io::Result<Either<TcpStream, TlsStream<TcpStream>>> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        Ok(match &self.tls {
            None => Either::Left(stream),
            Some((config, name)) => {
                let connector = TlsConnector::from(Arc::clone(config));
                Either::Right(connector.connect(name.clone(), stream).await?)
            }
        })
    }
}

fn trusting(certificates: &str) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    if certificates.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    } else {
        let cannot_read = |error| format!("{CERTIFICATE}: cannot read {certificates}: {error}");
        let all = CertificateDer::pem_file_iter(certificates).map_err(cannot_read)?;
        for certificate in all {
            let certificate = certificate.map_err(cannot_read)?;
            roots
                .add(certificate)
                .map_err(|error| format!("{CERTIFICATE}: {certificates}: {error}"))?;
        }
        if roots.is_empty() {
            return Err(format!(
                "{CERTIFICATE}: there is no certificate in {certificates}; it must be a PEM file"
            ));
        }
    }
    // Two crypto providers may be linked in; TLS must be told which one to use.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}
