//! Spans, as OpenTelemetry's environment variables ask for them.

use std::env;

use anyhow::Context;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::resource::{EnvResourceDetector, Resource, TelemetryResourceDetector};
use opentelemetry_sdk::trace::SdkTracerProvider;
use reqwest::Certificate;

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const TRACES_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
const CERTIFICATE: &str = "OTEL_EXPORTER_OTLP_CERTIFICATE";

fn given(variable: &str) -> Option<String> {
    env::var(variable).ok().filter(|value| !value.is_empty())
}

/// Without a collector nothing is exported, but a trace is still carried on, and every log line has its id.
pub(super) fn provider() -> anyhow::Result<SdkTracerProvider> {
    // What is said later wins over what was said before.
    let mut resource = Resource::builder_empty()
        .with_service_name("tasks")
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_detector(Box::new(EnvResourceDetector::new()));
    if let Some(name) = given("OTEL_SERVICE_NAME") {
        resource = resource.with_service_name(name);
    }
    let mut provider = SdkTracerProvider::builder().with_resource(resource.build());
    if given(ENDPOINT).or(given(TRACES_ENDPOINT)).is_some() {
        let exporter = SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_http_client(http_client()?)
            .build()
            .context(ENDPOINT)?;
        provider = provider.with_batch_exporter(exporter);
    }
    Ok(provider.build())
}

/// Trusts the authority that the environment names, else the public ones: the image has no certificates of its own.
fn http_client() -> anyhow::Result<reqwest::blocking::Client> {
    let trusted: Vec<Certificate> = match given(CERTIFICATE) {
        Some(path) => {
            let pem = std::fs::read(&path).with_context(|| format!("{CERTIFICATE}: {path}"))?;
            Certificate::from_pem_bundle(&pem).with_context(|| format!("{CERTIFICATE}: {path}"))?
        }
        None => webpki_root_certs::TLS_SERVER_ROOT_CERTS
            .iter()
            .filter_map(|der| Certificate::from_der(der).ok())
            .collect(),
    };
    let client = reqwest::blocking::Client::builder().tls_certs_only(trusted);
    client.build().context("the client for spans cannot be set up")
}
