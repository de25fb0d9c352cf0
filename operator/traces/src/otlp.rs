//! Where and how spans are sent, from OpenTelemetry's own settings.

use std::fmt;
use std::time::Duration;

use clap::Args;
use http::uri::Authority;
use http::{HeaderName, HeaderValue, Request, Uri, header};
use http_body_util::Full;
use hyper::body::{Buf, Bytes};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

use crate::exporter::{Attribute, Traces};
use crate::link::Link;
use crate::protobuf;
use crate::sampler::Sampler;

const SEND_TIMEOUT: Duration = Duration::from_secs(10);

/// OpenTelemetry's settings, by its own names.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Traces")]
pub struct TraceConfig {
    /// Collector that takes OTLP over HTTP, such as http://localhost:4318; without it no spans are sent
    #[arg(
        long,
        env = "OTEL_EXPORTER_OTLP_ENDPOINT",
        value_name = "URL",
        default_value = ""
    )]
    otlp_endpoint: String,

    /// The whole URL for traces, when it is not that one with /v1/traces
    #[arg(
        long,
        env = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        value_name = "URL",
        default_value = ""
    )]
    otlp_traces_endpoint: String,

    /// File of the certificates to trust when the collector is reached over https [default: public roots]
    #[arg(
        long,
        env = "OTEL_EXPORTER_OTLP_CERTIFICATE",
        value_name = "PEM",
        default_value = ""
    )]
    otlp_certificate: String,

    /// Headers sent to the collector: key=value,key=value
    #[arg(
        long,
        env = "OTEL_EXPORTER_OTLP_HEADERS",
        hide_env_values = true,
        default_value = ""
    )]
    otlp_headers: String,

    /// Name of this service in traces
    #[arg(long, env = "OTEL_SERVICE_NAME", default_value = "")]
    otel_service_name: String,

    /// Attributes of this process in traces: key=value,key=value
    #[arg(long, env = "OTEL_RESOURCE_ATTRIBUTES", default_value = "")]
    otel_resource_attributes: String,

    /// always_on, always_off or traceidratio, with or without parentbased_ before it [default: parentbased_always_on]
    #[arg(long, env = "OTEL_TRACES_SAMPLER", default_value = "")]
    otel_traces_sampler: String,

    /// Share of the traces that traceidratio records, 0 to 1
    #[arg(long, env = "OTEL_TRACES_SAMPLER_ARG", default_value = "")]
    otel_traces_sampler_arg: String,
}

/// A collector, and what is said of this process in each message to it.
#[derive(Debug)]
pub(super) struct Destination {
    uri: Uri,
    link: Link,
    headers: Vec<(HeaderName, HeaderValue)>,
    source: Source,
}

/// Whose spans they are, as the fields of OTLP's messages.
#[derive(Debug, Default)]
struct Source {
    /// A `Resource`, in `ResourceSpans`.
    resource: Vec<u8>,
    /// An `InstrumentationScope`, in `ScopeSpans`.
    scope: Vec<u8>,
}

impl Source {
    /// An `ExportTraceServiceRequest` with these spans, which may be a megabyte, and stay where they are.
    fn message(&self, spans: Bytes) -> impl Buf + Send + use<> {
        let mut source = self.resource.clone();
        protobuf::delimited(&mut source, 2, self.scope.len() + spans.len());
        source.extend_from_slice(&self.scope);
        let mut head = Vec::with_capacity(source.len() + 16);
        protobuf::delimited(&mut head, 1, source.len() + spans.len());
        head.extend_from_slice(&source);
        Bytes::from(head).chain(spans)
    }
}

impl TraceConfig {
    /// Starts to export the spans of a program, by its name and version, if that was asked for; else says which setting
    /// is wrong.
    pub fn start(&self, program: &str, version: &str) -> Result<Traces, String> {
        let (name, url) = match (
            self.otlp_traces_endpoint.as_str(),
            self.otlp_endpoint.trim_end_matches('/'),
        ) {
            ("", "") => return Ok(Traces::default()),
            ("", base) => ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("{base}/v1/traces")),
            (url, _) => ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", url.to_owned()),
        };
        let uri: Uri = url.parse().map_err(|error| format!("{name}: {error}"))?;
        let link = Link::to(name, &uri, &self.otlp_certificate)?;
        let sampler = Sampler::parse(&self.otel_traces_sampler, &self.otel_traces_sampler_arg)?;
        Ok(Traces::start(
            Destination {
                uri,
                link,
                headers: self.headers()?,
                source: self.source(program, version)?,
            },
            sampler,
        ))
    }

    fn headers(&self) -> Result<Vec<(HeaderName, HeaderValue)>, String> {
        let header = |(key, value): (&str, &str)| Some((key.parse().ok()?, value.parse().ok()?));
        pairs("OTEL_EXPORTER_OTLP_HEADERS", &self.otlp_headers)?
            .into_iter()
            .map(|pair| header(pair).ok_or_else(|| "OTEL_EXPORTER_OTLP_HEADERS: not a header".to_owned()))
            .collect()
    }

    fn source(&self, program: &str, version: &str) -> Result<Source, String> {
        let given = pairs("OTEL_RESOURCE_ATTRIBUTES", &self.otel_resource_attributes)?;
        let own_name = Some(self.otel_service_name.as_str()).filter(|name| !name.is_empty());
        let named = given
            .iter()
            .find(|(key, _)| *key == "service.name")
            .map(|(_, value)| *value);
        let service = ("service.name", own_name.or(named).unwrap_or(program));
        let version = ("service.version", version);
        let others = given
            .into_iter()
            .filter(|(key, _)| !["service.name", "service.version"].contains(key));
        let mut source = Source::default();
        protobuf::message(&mut source.resource, 1, |out| {
            for (key, value) in [service, version].into_iter().chain(others) {
                Attribute::Text(value).write(out, 1, key);
            }
        });
        protobuf::message(&mut source.scope, 1, |out| {
            protobuf::bytes(out, 1, program.as_bytes());
        });
        Ok(source)
    }
}

fn pairs<'a>(setting: &str, text: &'a str) -> Result<Vec<(&'a str, &'a str)>, String> {
    text.split(',')
        .map(str::trim)
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            pair.split_once('=')
                .ok_or_else(|| format!("{setting}: write key=value,key=value"))
        })
        .collect()
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.uri.fmt(f)
    }
}

impl Destination {
    /// Sends spans, each written as a field of the message.
    pub(super) async fn send(&self, spans: Bytes) -> Result<(), String> {
        tokio::time::timeout(SEND_TIMEOUT, self.post(spans))
            .await
            .unwrap_or_else(|_| Err(format!("no answer within {SEND_TIMEOUT:?}")))
    }

    async fn post(&self, spans: Bytes) -> Result<(), String> {
        let stream = self.link.connect().await.map_err(|error| error.to_string())?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| error.to_string())?;
        let body = self.source.message(spans);
        let mut request = Request::post(self.uri.path())
            .header(header::HOST, self.uri.authority().map_or("", Authority::as_str))
            .header(header::CONTENT_TYPE, "application/x-protobuf")
            .header(header::CONNECTION, "close");
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(body)).map_err(|error| error.to_string())?;
        let answer = async {
            let response = sender
                .send_request(request)
                .await
                .map_err(|error| error.to_string())?;
            if response.status().is_success() {
                Ok(())
            } else {
                Err(format!("answered {}", response.status()))
            }
        };
        tokio::select! {
            answer = answer => answer,
            ended = connection => Err(ended.err().map_or("hung up".to_owned(), |error| error.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use clap::Parser;
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use opentelemetry_proto::tonic::common::v1::any_value;
    use prost::Message;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        traces: TraceConfig,
    }

    fn parse(arguments: &[&str]) -> TraceConfig {
        Cli::parse_from(["tasks"].iter().chain(arguments)).traces
    }

    #[test]
    fn what_cannot_be_used_is_told_by_its_name() {
        for (arguments, begins) in [
            (
                vec!["--otlp-endpoint", "ftp://collector"],
                "OTEL_EXPORTER_OTLP_ENDPOINT: ",
            ),
            (
                vec!["--otlp-endpoint", "collector:4318"],
                "OTEL_EXPORTER_OTLP_ENDPOINT: ",
            ),
            (
                vec!["--otlp-traces-endpoint", "http://"],
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: ",
            ),
            (
                vec!["--otlp-endpoint", "https://c", "--otlp-certificate", "/nowhere"],
                "OTEL_EXPORTER_OTLP_CERTIFICATE: cannot read /nowhere: ",
            ),
            (
                vec!["--otlp-endpoint", "https://c", "--otlp-certificate", "/dev/null"],
                "OTEL_EXPORTER_OTLP_CERTIFICATE: there is no certificate in /dev/null; ",
            ),
            (
                vec!["--otlp-endpoint", "http://c", "--otlp-headers", "secret"],
                "OTEL_EXPORTER_OTLP_HEADERS: ",
            ),
            (
                vec!["--otlp-endpoint", "http://c", "--otel-traces-sampler", "x"],
                "OTEL_TRACES_SAMPLER: ",
            ),
        ] {
            let problem = parse(&arguments).start("tasks", "1").unwrap_err();
            assert!(problem.starts_with(begins), "{problem}");
            assert!(!problem.contains("secret"), "{problem}");
        }
    }

    #[test]
    fn the_service_is_named_in_every_message() {
        let named = |arguments: &[&str]| {
            let message = parse(arguments)
                .source("tasks", "1")
                .unwrap()
                .message(Bytes::new());
            let message = ExportTraceServiceRequest::decode(message).unwrap();
            let resource = message.resource_spans[0].resource.clone().unwrap();
            let name = resource.attributes[0].value.clone().unwrap().value;
            let Some(any_value::Value::StringValue(name)) = name else {
                panic!("{resource:?}");
            };
            name
        };
        assert_eq!(named(&[]), "tasks");
        assert_eq!(
            named(&["--otel-resource-attributes", "service.name=shop,a=b"]),
            "shop"
        );
        let both = [
            "--otel-resource-attributes",
            "service.name=shop",
            "--otel-service-name",
            "mine",
        ];
        assert_eq!(named(&both), "mine");
    }
}
