//! Spans, as OpenTelemetry's environment variables ask for them.

use std::env;

use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use reqwest::Certificate;

const ENDPOINTS: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
];
const CERTIFICATE: &str = "OTEL_EXPORTER_OTLP_CERTIFICATE";
const SERVICE_NAME: &str = "OTEL_SERVICE_NAME";

fn given(variable: &str) -> Option<String> {
    env::var(variable).ok().filter(|value| !value.is_empty())
}

/// Without a collector nothing is exported, but a trace is still carried on, and every log line has its id.
pub fn provider() -> Result<SdkTracerProvider, String> {
    opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());
    let mut resource = Resource::builder();
    if given(SERVICE_NAME).is_none() {
        resource = resource.with_service_name("tasks");
    }
    let mut provider = SdkTracerProvider::builder().with_resource(resource.build());
    if ENDPOINTS.iter().any(|variable| given(variable).is_some()) {
        let exporter = SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_http_client(http_client()?)
            .build()
            .map_err(|error| format!("{}: {error}", ENDPOINTS[0]))?;
        provider = provider.with_batch_exporter(exporter);
    }
    Ok(provider.build())
}

/// Trusts the authority that the environment names, else the public ones: the image has no certificates of its own.
fn http_client() -> Result<reqwest::blocking::Client, String> {
    // Two crypto providers may be linked in; TLS must be told which one to use.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let trusted: Vec<Certificate> = match given(CERTIFICATE) {
        Some(path) => std::fs::read(&path)
            .map_err(|error| error.to_string())
            .and_then(|pem| Certificate::from_pem_bundle(&pem).map_err(|error| error.to_string()))
            .map_err(|error| format!("{CERTIFICATE}: {path}: {error}"))?,
        None => webpki_root_certs::TLS_SERVER_ROOT_CERTS
            .iter()
            .filter_map(|der| Certificate::from_der(der).ok())
            .collect(),
    };
    reqwest::blocking::Client::builder()
        .tls_certs_only(trusted)
        .build()
        .map_err(|error| format!("the client for spans cannot be set up: {error}"))
}
