//! The cost of polling Prometheus for many apps, and that nothing is written while nothing changes: real apps on a real
//! API server, and a real Prometheus that has their series.
//!
//! ```text
//! cargo bench -p apiserver-tests --bench poll              # 1,000 apps
//! APPS=100 cargo bench -p apiserver-tests --bench poll     # fewer
//! ```

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Result, ensure};
use apiserver_tests::{Proxy, RunningOperator, TestNamespace, block_on, condition, options};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use futures::{StreamExt, TryStreamExt, stream};
use golden_tests::prometheus::Prometheus;
use http::header::TRANSFER_ENCODING;
use http::{HeaderMap, Method, StatusCode, Uri};
use kube::ResourceExt;
use kube::api::ListParams;
use lab::wait;
use observedapp_desired::Kind;
use recorded::RecordedApp;
use serde_json::{Value, json};
use tokio::net::TcpListener;

#[path = "../../promises.rs"]
mod promises;
#[path = "support/recorded.rs"]
mod recorded;

/// The most requests and bytes of one polling round, whatever the number of apps.
const MOST_REQUESTS: f64 = 10.0;
const MOST_MIB: f64 = 2.0;
const SLOS: [&str; 2] = ["availability", "latency"];
/// Enough for any number of apps on a slow machine.
const TIMEOUT: Duration = Duration::from_mins(20);
const REST: Duration = Duration::from_mins(2);
/// Requested once a round, so its count is the number of rounds.
const ONCE: &str = "/api/v1/status/runtimeinfo";

fn main() -> Result<ExitCode> {
    let apps: usize = std::env::var("APPS")
        .ok()
        .and_then(|apps| apps.parse().ok())
        .unwrap_or(1000);
    block_on(measure(apps))?;
    Ok(promises::outcome())
}

async fn measure(apps: usize) -> Result<()> {
    let ns = TestNamespace::new("poll").await?;
    stream::iter(0..apps)
        .map(|number| {
            let ns = ns.clone();
            async move { ns.apply(&format!("app-{number}"), spec()).await }
        })
        .buffer_unordered(16)
        .try_collect::<Vec<_>>()
        .await?;
    let recorded: Vec<RecordedApp> = hashes_of_rules(&ns, apps)
        .await?
        .into_iter()
        .map(|(name, hash)| RecordedApp {
            namespace: ns.name.clone(),
            name,
            hash,
        })
        .collect();

    let prometheus = Prometheus::with_openmetrics(&recorded::series(&recorded, &SLOS)?);
    let counted = Counted::start(prometheus.url()).await?;
    let proxy = Proxy::start(&ns).await?;
    let namespaces = format!("--namespaces={}", ns.name);
    let url = format!("--prometheus-url={}", counted.url);
    let operator = RunningOperator::start(options(&[&namespaces, &url]), proxy.config());
    wait::eventually("every app is True by Prometheus", TIMEOUT, async || {
        let list = ns.apps().list(&ListParams::default()).await?;
        let done = list
            .iter()
            .filter(|app| {
                ["Monitored", "RulesLoaded", "SLOsMet"]
                    .iter()
                    .all(|type_| condition(app, type_).0 == "True")
            })
            .count();
        ensure!(done == apps, "{done} of {apps}");
        Ok(())
    })
    .await?;

    let (writes, before) = (proxy.writes().len(), counted.so_far());
    tokio::time::sleep(REST).await;
    let after = counted.so_far();
    let rounds = f64::from(after.of(ONCE) - before.of(ONCE));
    let requests = f64::from(after.requests() - before.requests()) / rounds;
    #[allow(clippy::cast_precision_loss)]
    let mib = (after.bytes - before.bytes) as f64 / rounds / 1024.0 / 1024.0;
    println!(
        "{apps} apps with {} objectives each, {rounds} rounds:",
        SLOS.len()
    );
    println!("  requests a round: {requests:.1}; received a round: {mib:.2} MiB compressed");
    let written = proxy.writes().len() - writes;
    promises::promise(
        &format!("at most {MOST_REQUESTS} requests a round"),
        requests <= MOST_REQUESTS,
    );
    promises::promise(&format!("at most {MOST_MIB} MiB a round"), mib <= MOST_MIB);
    promises::promise(
        &format!(
            "nothing is written in {} s without changes: {written} writes",
            REST.as_secs()
        ),
        written == 0,
    );
    operator.stop().await
}

fn spec() -> Value {
    let slos = SLOS.map(|name| {
        let indicator = match name {
            "latency" => json!({"latency": {"threshold": "300ms"}}),
            _ => json!({"availability": {}}),
        };
        json!({"name": name, "objective": 99.9, "indicator": indicator})
    });
    json!({
        "image": "tasks:1", "port": 5000, "replicas": 2,
        "database": {"builtin": {}}, "cache": {"builtin": {}}, "metrics": {"port": 8000},
        "slos": slos,
    })
}

/// Runs an operator without a Prometheus until every app has its rules; returns the hash of each app's rules.
async fn hashes_of_rules(ns: &TestNamespace, apps: usize) -> Result<BTreeMap<String, String>> {
    let (_proxy, operator) = RunningOperator::behind_proxy(ns).await?;
    let hashes = wait::eventually("every app has its rules", TIMEOUT, async || {
        let rules = ns
            .objects(Kind::PrometheusRule)
            .list(&ListParams::default())
            .await?;
        let hashes: BTreeMap<String, String> = rules
            .iter()
            .filter_map(|rule| Some((rule.name_any(), recorded::hash(&rule.data)?.to_owned())))
            .collect();
        ensure!(hashes.len() == apps, "{} of {apps}", hashes.len());
        Ok(hashes)
    })
    .await?;
    operator.stop().await?;
    Ok(hashes)
}

/// Requests and bytes so far.
#[derive(Clone, Debug, Default)]
struct Traffic {
    asked: BTreeMap<String, u32>,
    /// Of the response bodies, compressed.
    bytes: usize,
}

impl Traffic {
    fn of(&self, path: &str) -> u32 {
        self.asked.get(path).copied().unwrap_or_default()
    }

    fn requests(&self) -> u32 {
        self.asked.values().sum()
    }
}

/// A reverse proxy to Prometheus that counts requests.
struct Counted {
    url: String,
    traffic: Arc<Mutex<Traffic>>,
    _server: tokio_util::task::AbortOnDropHandle<()>,
}

#[derive(Clone)]
struct Way {
    to: String,
    client: reqwest::Client,
    traffic: Arc<Mutex<Traffic>>,
}

impl Counted {
    async fn start(to: &str) -> Result<Self> {
        let traffic = Arc::<Mutex<Traffic>>::default();
        let way = Way {
            to: to.to_owned(),
            client: reqwest::Client::builder()
                .no_gzip()
                .no_proxy()
                .tls_certs_only([])
                .build()?,
            traffic: Arc::clone(&traffic),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let router = Router::new().fallback(pass_on).with_state(way);
        let server = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                eprintln!("the proxy to Prometheus has ended: {error}");
            }
        });
        Ok(Self {
            url,
            traffic,
            _server: tokio_util::task::AbortOnDropHandle::new(server),
        })
    }

    fn so_far(&self) -> Traffic {
        self.traffic
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

async fn pass_on(
    State(way): State<Way>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, (StatusCode, String)> {
    let answer = async {
        let sent = way
            .client
            .request(method, format!("{}{uri}", way.to))
            .headers(headers)
            .body(body)
            .send()
            .await?;
        let (code, mut headers) = (sent.status(), sent.headers().clone());
        // The body is forwarded unchanged, still compressed.
        headers.remove(TRANSFER_ENCODING);
        reqwest::Result::Ok((code, headers, sent.bytes().await?))
    };
    let (code, headers, body) = answer
        .await
        .map_err(|error| (StatusCode::BAD_GATEWAY, error.to_string()))?;
    let mut traffic = way.traffic.lock().unwrap_or_else(PoisonError::into_inner);
    *traffic.asked.entry(uri.path().to_owned()).or_default() += 1;
    traffic.bytes += body.len();
    drop(traffic);
    let mut response = Response::new(body.into());
    *response.status_mut() = code;
    *response.headers_mut() = headers;
    Ok(response)
}
