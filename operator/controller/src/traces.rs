//! Spans of reconciles, exported as OpenTelemetry's environment variables ask for it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry_otlp::{Protocol, SpanExporter as OtlpExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::resource::{EnvResourceDetector, Resource, TelemetryResourceDetector};
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use reqwest::Certificate;
use tracing::warn;

/// The name of the service in traces, and of the tracer.
pub const TRACER: &str = "observedapp";

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const TRACES_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
const CERTIFICATE: &str = "OTEL_EXPORTER_OTLP_CERTIFICATE";
const SERVICE_NAME: &str = "OTEL_SERVICE_NAME";
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);

/// What `observedapp run --help` and the reference say of traces.
pub const TRACES_HELP: &str = "\
Traces, by OpenTelemetry's own variables:
  OTEL_EXPORTER_OTLP_ENDPOINT         Collector that takes OTLP over HTTP, such as http://localhost:4318; without it no span is exported
  OTEL_EXPORTER_OTLP_TRACES_ENDPOINT  The whole URL for traces, when it is not that one with /v1/traces
  OTEL_EXPORTER_OTLP_CERTIFICATE      File of the certificates to trust when the collector is reached over https [default: public roots]
  OTEL_EXPORTER_OTLP_HEADERS          Headers sent to the collector: key=value,key=value
  OTEL_SERVICE_NAME                   Name of this service in traces [default: observedapp]
  OTEL_RESOURCE_ATTRIBUTES            Attributes of this process in traces: key=value,key=value
  OTEL_TRACES_SAMPLER                 always_on, always_off or traceidratio, with or without parentbased_ before it [default: parentbased_always_on]
  OTEL_TRACES_SAMPLER_ARG             Share of the traces that traceidratio records, 0 to 1";

/// Exports spans until it is shut down.
#[derive(Debug)]
pub struct Traces(Option<SdkTracerProvider>);

impl Traces {
    /// Reads the environment. The exporter waits for the collector in a thread of its own, which may not be started by
    /// an asynchronous runtime.
    pub fn init() -> Result<Self, String> {
        let (variable, url) = match (given(TRACES_ENDPOINT), given(ENDPOINT)) {
            (Some(url), _) => (TRACES_ENDPOINT, url),
            (None, Some(url)) => (ENDPOINT, url),
            (None, None) => return Ok(Self(None)),
        };
        if !url.starts_with("http://") && !url.starts_with("https://") {
            return Err(format!("{variable}: write http://host:4318 or https://host:4318"));
        }
        let exporter = OtlpExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_http_client(http_client()?)
            .build()
            .map_err(|error| format!("{variable}: {error}"))?;
        let provider = SdkTracerProvider::builder()
            .with_resource(resource())
            .with_batch_exporter(OutageLog {
                exporter,
                collector: url,
                failing: AtomicBool::new(false),
            })
            .build();
        opentelemetry::global::set_tracer_provider(provider.clone());
        Ok(Self(Some(provider)))
    }

    /// Sends the spans that are left.
    pub fn shutdown(self) {
        if let Some(Err(error)) = self
            .0
            .map(|provider| provider.shutdown_with_timeout(SHUTDOWN_TIMEOUT))
        {
            warn!(%error, "the last spans were not exported");
        }
    }
}

fn given(variable: &str) -> Option<String> {
    std::env::var(variable).ok().filter(|value| !value.is_empty())
}

/// What is said later wins over what was said before.
fn resource() -> Resource {
    let resource = Resource::builder_empty()
        .with_service_name(TRACER)
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_detector(Box::new(EnvResourceDetector::new()))
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
    match given(SERVICE_NAME) {
        Some(name) => resource.with_service_name(name).build(),
        None => resource.build(),
    }
}

/// Trusts the authority that the environment names, else the public ones: the image has no certificates of its own.
fn http_client() -> Result<reqwest::blocking::Client, String> {
    // It fails only if a provider was chosen already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let trusted = match given(CERTIFICATE) {
        Some(path) => certificates(&path).map_err(|error| format!("{CERTIFICATE}: {path}: {error}"))?,
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

fn certificates(path: &str) -> Result<Vec<Certificate>, String> {
    let pem = std::fs::read(path).map_err(|error| error.to_string())?;
    let all = Certificate::from_pem_bundle(&pem).map_err(|error| error.to_string())?;
    if all.is_empty() {
        return Err("there is no certificate in it; it must be a PEM file".to_owned());
    }
    Ok(all)
}

/// Says that the collector is away, and where it should be, once for an outage and not for each batch that is lost.
#[derive(Debug)]
struct OutageLog<E> {
    exporter: E,
    collector: String,
    failing: AtomicBool,
}

impl<E: SpanExporter> SpanExporter for OutageLog<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let result = self.exporter.export(batch).await;
        let known = self.failing.swap(result.is_err(), Ordering::Relaxed);
        if let (Err(error), false) = (result, known) {
            warn!(%error, collector = self.collector, "cannot export traces; dropping them until it works");
        }
        Ok(())
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_file_without_a_certificate_is_refused() {
        assert!(
            certificates("/dev/null")
                .unwrap_err()
                .contains("there is no certificate in it")
        );
        assert!(certificates("/nowhere").is_err());
    }
}
